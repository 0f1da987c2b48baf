"""Find new and active subscribers on worlds drawn as tables."""

from __future__ import annotations

from flowmachine.queries import NewSubscribers, UniqueSubscribers
from flowmachine.queries.catalogue import load_any

from ..world import Stage, drawn


def everybody(start: int, end: int) -> UniqueSubscribers:
    return UniqueSubscribers(start_date=f"2016-01-0{start}", end_date=f"2016-01-0{end}")


def test_who_is_new(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | -
        ann        | 2 10:00 | -
        bob        | 1 10:00 | -
        cat        | 2 10:00 | in-b
        cat        | 2 11:00 | in-b
        """
    )
    assert stage_in_utc.evaluate(everybody(1, 3), world, executor) == [("ann",), ("bob",), ("cat",)]
    new = NewSubscribers(benchmark=everybody(1, 2), focal=everybody(2, 3))
    assert stage_in_utc.evaluate(new, world, executor) == [("cat",)]


ACTIVE = {
    "query_kind": "active_subscribers",
    "start_date": "2016-01-01",
    "minor_period_length": 8,
    "minor_periods_per_major_period": 3,
    "total_major_periods": 3,
    "minor_period_threshold": 2,
    "major_period_threshold": 2,
}


def test_who_is_active(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time       | cell
        ann        | 1 00:00    | -
        ann        | 1 08:00    | -
        ann        | 3 15:59:59 | -
        ann        | 3 16:00    | -
        bob        | 1 01:00    | -
        bob        | 1 09:00    | -
        bob        | 2 07:00    | -
        bob        | 2 07:30    | -
        cat        | 2 00:00    | -
        cat        | 2 09:00    | -
        cat        | 2 17:00    | -
        """
    )
    # Bob's second day has but one active third; Cat has all thirds of a single day.
    assert stage_in_utc.evaluate(load_any(ACTIVE), world, executor) == [("ann",)]
    lenient = load_any(ACTIVE | {"minor_period_threshold": 1})
    assert stage_in_utc.evaluate(lenient, world, executor) == [("ann",), ("bob",)]
