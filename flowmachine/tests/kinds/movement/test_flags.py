"""Flags of subscribers who stayed, and lengths of stays, on drawn worlds."""

from __future__ import annotations

import marshmallow as ma
import pytest

from flowmachine.queries import (
    ActiveAtReferenceLocation,
    SubscriberStayLengths,
    Unmoving,
    UnmovingAtReferenceLocation,
)

from ..specs import daily, on, window
from ..world import Stage, drawn

#: Ann stays at b, Bob goes from b to B and back, Cat is at B alone, and Dan nowhere that is known.
WORLD = drawn(
    """
    subscriber | time    | cell
    ann        | 1 10:00 | in-b
    ann        | 2 10:00 | in-b
    ann        | 3 10:00 | in-b
    bob        | 1 10:00 | in-b
    bob        | 2 10:00 | in-B
    bob        | 3 10:00 | in-b
    cat        | 2 10:00 | in-B
    dan        | 1 10:00 | unknown
    """
)
SEEN = window("unique_locations", start="2016-01-02")


def test_who_was_at_one_place_only(stage_in_utc: Stage, executor: str) -> None:
    found = stage_in_utc.evaluate(Unmoving(unique_locations=SEEN), WORLD, executor)
    assert found == [("ann", True), ("bob", False), ("cat", True)]


def test_who_never_left_home(stage_in_utc: Stage, executor: str) -> None:
    at_first = UnmovingAtReferenceLocation(unique_locations=SEEN, reference_location=daily(1))
    assert stage_in_utc.evaluate(at_first, WORLD, executor) == [("ann", True), ("bob", False)]
    at_second = UnmovingAtReferenceLocation(unique_locations=SEEN, reference_location=daily(2))
    assert stage_in_utc.evaluate(at_second, WORLD, executor) == [
        ("ann", True),
        ("bob", False),
        ("cat", True),
    ]


def test_who_was_seen_at_home(stage_in_utc: Stage, executor: str) -> None:
    active = ActiveAtReferenceLocation(
        unique_locations=window("unique_locations", start="2016-01-02", end="2016-01-03"),
        reference_location=daily(1),
    )
    assert stage_in_utc.evaluate(active, WORLD, executor) == [("ann", True), ("bob", False)]
    # Of a home that is null nothing is said; Cat's is that of the second day, and on the third Cat is not seen.
    home = on(2)
    third = ActiveAtReferenceLocation(
        unique_locations=window("unique_locations", start="2016-01-03"), reference_location=home
    )
    assert stage_in_utc.evaluate(third, WORLD, executor) == [("ann", True), ("bob", False), ("cat", False)]


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [("max", [3, 1, 1]), ("count", [1, 3, 1]), ("avg", [3.0, 1.0, 1.0]), ("sum", [3, 3, 1])],
)
def test_stay_lengths(stage_in_utc: Stage, executor: str, statistic: str, expected: list[float]) -> None:
    lengths = SubscriberStayLengths(locations=[daily(1), daily(2), daily(3)], statistic=statistic)
    found = stage_in_utc.evaluate(lengths, WORLD, executor)
    assert found == list(zip(["ann", "bob", "cat"], expected, strict=True))


def test_a_missing_period_ends_a_stay(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        bob        | 2 10:00 | in-b
        ann        | 3 10:00 | in-b
        """
    )
    days = [daily(day) for day in (1, 2, 3)]
    lengths = SubscriberStayLengths(locations=days, statistic="count")
    assert stage_in_utc.evaluate(lengths, world, executor) == [("ann", 2), ("bob", 1)]
    longest = SubscriberStayLengths(locations=days)
    assert stage_in_utc.evaluate(longest, world, executor) == [("ann", 1), ("bob", 1)]


def test_units_must_be_equal() -> None:
    other = daily(1, aggregation_unit="admin2")
    for make in (
        lambda: UnmovingAtReferenceLocation(unique_locations=SEEN, reference_location=other),
        lambda: ActiveAtReferenceLocation(unique_locations=SEEN, reference_location=other),
        lambda: SubscriberStayLengths(locations=[daily(1), other]),
    ):
        with pytest.raises(ma.ValidationError, match="must have the same aggregation unit"):
            make()
