"""Distances and entropies along sequences of events, on worlds drawn as tables."""

from __future__ import annotations

import math
from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.queries.catalogue import load_any

from ..land import CELLS
from ..oracle import metres
from ..specs import metric, near, rows
from ..world import Stage, drawn

POINTS = {cell.id: cell.point for cell in CELLS if cell.point is not None}


def km(one: str, other: str) -> float:
    return metres(POINTS[one], POINTS[other]) / 1000


AB, AC = km("in-b", "in-B"), km("in-b", "in-é")

#: s1 is at A, B, A, C; s2 once at A; s3 is at A, then on the same day at B and C.
SEQUENCES = drawn(
    """
    subscriber | time     | cell
    s1         | 1 10:00  | in-b
    s1         | 1 14:00  | in-B
    s1         | 2 10:00  | in-b
    s1         | 3 10:00  | in-é
    s2         | 2 10:00  | in-b
    s2         | 2 10:05  | unknown
    s3         | 1 23:00  | in-b
    s3         | 2 08:00  | in-B
    s3         | 2 16:00  | in-é
    """
)
DAY_2 = {"start_date": "2016-01-02", "end_date": "2016-01-03"}


def found(stage: Stage, executor: str, kind: str, **fields: Any) -> list[Any]:
    window = {"start_date": "2016-01-01", "end_date": "2016-01-04"}
    return rows(stage, executor, SEQUENCES, kind, **(window | fields))


def test_jump_lengths(stage_in_utc: Stage, executor: str) -> None:
    last = km("in-B", "in-é")
    for word, s1, s3 in [
        ("count", 3.0, 2.0),
        ("sum", 2 * AB + AC, AB + last),
        ("max", max(AB, AC), max(AB, last)),
        ("mode", AB, min(AB, last)),
    ]:
        assert found(stage_in_utc, executor, "jump_lengths", statistic=word) == near(("s1", s1), ("s3", s3))


def test_jumps_over_long_gaps_do_not_count(stage_in_utc: Stage, executor: str) -> None:
    fields = {"statistic": "count", "max_gap_hours": 9}
    # Nine hours are no longer than nine hours.
    assert found(stage_in_utc, executor, "jump_lengths", **fields) == near(("s1", 1.0), ("s3", 2.0))
    travelled = found(stage_in_utc, executor, "distance_travelled", max_gap_hours=8.5)
    assert travelled == near(("s1", AB), ("s2", 0.0), ("s3", km("in-B", "in-é")))


def test_the_first_jump_may_begin_before_the_window(stage_in_utc: Stage, executor: str) -> None:
    kind = "distance_travelled"
    assert found(stage_in_utc, executor, kind, **DAY_2) == near(
        ("s1", 0.0), ("s2", 0.0), ("s3", km("in-B", "in-é"))
    )
    assert found(stage_in_utc, executor, kind, **DAY_2, look_back_days=1) == near(
        ("s1", AB), ("s2", 0.0), ("s3", AB + km("in-B", "in-é"))
    )
    # Of s1 the day before does not count, though it is read.
    counts = found(stage_in_utc, executor, "jump_lengths", **DAY_2, look_back_days=1, statistic="count")
    assert counts == near(("s1", 1.0), ("s3", 2.0))


def test_distance_travelled(stage_in_utc: Stage, executor: str) -> None:
    assert found(stage_in_utc, executor, "distance_travelled") == near(
        ("s1", 2 * AB + AC), ("s2", 0.0), ("s3", AB + km("in-B", "in-é"))
    )


def test_jumps_to_the_same_place(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        s1         | 1 10:00 | in-é
        s1         | 1 11:00 | beside
        s1         | 1 12:00 | in-b
        s2         | 1 10:00 | in-é
        s2         | 1 11:00 | in-é
        """
    )
    fields = metric("jump_lengths", statistic="count")
    del fields["query_kind"]
    every = rows(stage_in_utc, executor, world, "jump_lengths", **fields)
    assert every == near(("s1", 2.0), ("s2", 1.0))
    moves = rows(stage_in_utc, executor, world, "jump_lengths", **fields, exclude_zero=True)
    assert moves == near(("s1", 1.0))


def test_an_event_at_two_places_is_at_the_first(stage_in_utc: Stage, executor: str) -> None:
    """Cell meets has two versions on day 2, of which the western sorts first."""
    world = drawn(
        """
        subscriber | time    | cell
        s1         | 2 10:00 | meets
        s1         | 2 10:00 | meets
        s1         | 2 11:00 | in-b
        """
    )
    fields = {"start_date": "2016-01-02", "end_date": "2016-01-03", "statistic": "sum"}
    far = metres((84.5, 27.5), POINTS["in-b"]) / 1000
    assert rows(stage_in_utc, executor, world, "jump_lengths", **fields) == near(("s1", far))
    counted = rows(stage_in_utc, executor, world, "jump_lengths", **fields | {"statistic": "count"})
    assert counted == near(("s1", 2.0))


def test_places_that_nobody_reaches_so_fast_are_left_out(stage_in_utc: Stage, executor: str) -> None:
    """Cell in-B is over 120 km from in-b."""
    world = drawn(
        """
        subscriber | time    | cell
        wrong      | 1 10:00 | in-b
        wrong      | 1 10:10 | in-B
        wrong      | 1 10:20 | in-b
        one_leg    | 1 10:00 | in-b
        one_leg    | 1 10:10 | in-B
        one_leg    | 1 18:00 | in-b
        last       | 1 10:00 | in-b
        last       | 1 10:10 | in-B
        at_once    | 1 10:00 | in-b
        at_once    | 1 10:00 | in-B
        at_once    | 1 10:00 | in-é
        """
    )
    fields = {"start_date": "2016-01-01", "end_date": "2016-01-02", "clean": True}
    found = rows(stage_in_utc, executor, world, "distance_travelled", **fields)
    # Events at one time are in the order of places, of which the middle one is left out.
    assert found == near(("at_once", AC), ("last", AB), ("one_leg", 2 * AB), ("wrong", 0.0))


def test_k_radius_of_gyration(stage_in_utc: Stage, executor: str) -> None:
    """Of s1 A counts twice and, of B and C with one event each, the earlier."""
    a, b = POINTS["in-b"], POINTS["in-B"]
    centre = ((2 * a[0] + b[0]) / 3, (2 * a[1] + b[1]) / 3)
    radius = math.sqrt((2 * metres(a, centre) ** 2 + metres(b, centre) ** 2) / 3) / 1000
    of_two = dict(found(stage_in_utc, executor, "k_radius_of_gyration"))
    assert of_two["s1"] == pytest.approx(radius)
    assert of_two["s2"] == 0.0
    # With as many places as there are, it is the radius of gyration.
    of_all = found(stage_in_utc, executor, "k_radius_of_gyration", k=9)
    assert of_all == near(*found(stage_in_utc, executor, "radius_of_gyration"))
    assert dict(of_all)["s1"] != pytest.approx(radius)


def test_mobility_entropy(stage_in_utc: Stage, executor: str) -> None:
    three = math.log2(3)
    for fields, s1, s3 in [
        ({}, 1.5, three),
        ({"entropy": "random"}, three, three),
        ({"normalise": True}, 1.5 / three, 1.0),
    ]:
        assert found(stage_in_utc, executor, "mobility_entropy", **fields) == near(
            ("s1", s1), ("s2", 0.0), ("s3", s3)
        )


def test_only_uncorrelated_entropy_is_normalised() -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(metric("mobility_entropy", entropy="random", normalise=True))
    assert refused.value.normalized_messages() == {"normalise": ["Only for uncorrelated entropy."]}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_gap_hours", 0, "Must be greater than 0.0."),
        ("look_back_days", 8, "Must be greater than or equal to 0 and less than or equal to 7."),
    ],
)
def test_refusals(field: str, value: int, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(metric("distance_travelled", **{field: value}))
    assert refused.value.normalized_messages() == {field: [message]}
