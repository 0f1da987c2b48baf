"""Events counted and compared at places, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.queries.catalogue import load_any
from flowmachine.spec.query import NotBuildable

from ..specs import answer, crowd, window
from ..world import Stage, World, drawn


def test_introversion(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell  | id | outgoing
        a1..16     | 1 10:00 | in-b  | x  | out
        b          | 1 10:00 | in-b  | x  | in
        c          | 1 10:00 | in-B  | x  | in
        d1..15     | 1 10:00 | in-é  | y  | out
        e1..15     | 1 10:00 | in-é  | y  | in
        f1..16     | 1 10:00 | in-a1 | z  | out
        """
    )
    both = window("location_introversion")
    # Of the 32 calls from b half end there; the one that ends there began there 16 times.
    expected = [("é", 1.0), ("b", pytest.approx(32 / 48))]
    assert answer(stage_in_utc, both, world, executor) == expected
    assert answer(stage_in_utc, both | {"direction": "out"}, world, executor) == [("b", 0.5)]
    # é has 15 on each side, b one receiver.
    assert answer(stage_in_utc, both | {"direction": "in"}, world, executor) == []


def test_events_without_direction_have_no_introversion(stage_in_utc: Stage) -> None:
    query = load_any(window("location_introversion", event_types=["mds"]))
    with stage_in_utc.loaded(World([])) as (_, state), pytest.raises(NotBuildable, match="'outgoing'"):
        state.check(query)


HOURLY = drawn(
    """
    subscriber | time       | cell | outgoing
    a1..16     | 1 10:00    | in-b | out
    a1..16     | 1 10:59:59 | in-b | in
    a1..16     | 1 11:00    | in-b | in
    b1..16     | 2 10:00    | in-b | out
    c1..15     | 2 11:00    | in-b | out
    """
)


@pytest.mark.parametrize(
    ("interval", "rows"),
    [
        ("day", [("b", "2016-01-01", 48), ("b", "2016-01-02", 31)]),
        (
            "hour",
            [("b", "2016-01-01", 10, 32), ("b", "2016-01-01", 11, 16), ("b", "2016-01-02", 10, 16)],
        ),
        (
            "min",
            [
                ("b", "2016-01-01", 10, 0, 16),
                ("b", "2016-01-01", 10, 59, 16),
                ("b", "2016-01-01", 11, 0, 16),
                ("b", "2016-01-02", 10, 0, 16),
            ],
        ),
    ],
)
def test_location_event_counts(stage_in_utc: Stage, executor: str, interval: str, rows: list[Any]) -> None:
    spec = window("location_event_counts", interval=interval)
    assert answer(stage_in_utc, spec, HOURLY, executor) == rows


def test_event_counts_are_judged_by_the_direction_they_count(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell | outgoing
        a1         | 1 10:00 | in-b | in
        a1..40     | 1 10:00 | in-b | out
        """
    )
    spec = window("location_event_counts", interval="day", direction="in")
    assert answer(stage_in_utc, spec, world, executor) == []


def test_a_window_from_noon_loses_the_second_date(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 11:00 | in-b
        a1..16     | 1 12:00 | in-b
        a1..16     | 2 11:00 | in-b
        """
    )
    spec = window("location_event_counts", "2016-01-01 12:00", "2016-01-02 12:00", interval="day")
    assert answer(stage_in_utc, spec, world, executor) == [("b", "2016-01-01", 16)]


@pytest.mark.parametrize(
    "spec",
    [window("total_network_objects", total_by="hour"), window("location_event_counts", interval="hour")],
)
@pytest.mark.parametrize(
    ("floor", "number", "bits", "passes"),
    [
        (15, 15, 15, False),
        (15, 16, 16, True),
        (15, 16, 1, True),
        (15, 17, 15, True),
        (15, 65, 2, True),
        (15, 70, 64, True),
        (30, 30, 30, False),
        (30, 31, 9, True),
        (64, 64, 40, False),
        (64, 65, 64, True),
        (70, 71, 5, True),
    ],
)
def test_rows_by_the_hour_pass_by_people_however_their_keys_fall(
    stage_in_utc: Stage,
    executor: str,
    monkeypatch: pytest.MonkeyPatch,
    spec: dict[str, Any],
    floor: int,
    number: int,
    bits: int,
    passes: bool,
) -> None:
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", str(floor))
    people = crowd(number, "1 10:00", "in-b", bits=bits)
    # All of them twice more, once from another cell of the place: neither events nor cells are people.
    again = people.replace("10:00", "10:30")
    elsewhere = people.replace("10:00", "10:45").replace("in-b", "moves")
    world = drawn(f"subscriber | time | cell\n{people}\n{again}\n{elsewhere}")
    rows = answer(stage_in_utc, spec, world, executor)
    assert [row[0] for row in rows] == (["b"] if passes else [])
    if passes:
        expected = 2 if spec["query_kind"] == "total_network_objects" else 3 * number
        assert expected in rows[0]
