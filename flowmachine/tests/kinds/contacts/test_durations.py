"""Durations of calls by caller, place and contact, on worlds drawn as tables."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ..specs import WINDOW, rows
from ..world import Stage, drawn

#: Two calls between Ann and Bob, each in both their records; in the second both are elsewhere.
CALLS = drawn(
    """
    subscriber | time    | id | type  | outgoing | counterpart | duration | cell
    ann        | 1 10:00 | a  | calls | out      | bob         | 10       | in-b
    bob        | 1 10:00 | a  | calls | in       | ann         | 10       | in-B
    ann        | 1 11:00 | b  | calls | out      | bob         | 30       | in-B
    bob        | 1 11:00 | b  | calls | in       | ann         | 30       | in-a1
    ann        | 1 12:00 | c  | calls | out      | cat         | 5        | in-b
    ann        | 1 13:00 | d  | calls | out      | -           | 100      | in-b
    ann        | 1 14:00 | a  | sms   | out      | bob         | -        | in-b
    bob        | 1 14:00 | a  | sms   | in       | ann         | -        | in-b
    """
)


@pytest.mark.parametrize(
    ("statistic", "value"), [("sum", 145.0), ("count", 4), ("max", 100.0), ("median", 20.0)]
)
def test_durations(stage_in_utc: Stage, executor: str, statistic: str, value: Any) -> None:
    found = rows(stage_in_utc, executor, CALLS, "subscriber_call_durations", **WINDOW, statistic=statistic)
    assert found == [("ann", value)]


def test_durations_by_place_and_contact(stage_in_utc: Stage, executor: str) -> None:
    def found(kind: str, **fields: Any) -> list[Any]:
        return rows(stage_in_utc, executor, CALLS, kind, **WINDOW, **fields)

    assert found("per_location_subscriber_call_durations") == [("ann", "B", 30.0), ("ann", "b", 115.0)]
    by_cell = found("per_location_subscriber_call_durations", aggregation_unit="cell", direction="in")
    assert by_cell == [("bob", "in-B", 10.0), ("bob", "in-a1", 30.0)]
    assert found("paired_subscriber_call_durations", direction="both") == [
        ("ann", "bob", 40.0),
        ("ann", "cat", 5.0),
        ("bob", "ann", 40.0),
    ]
    # Cat's record is missing.
    assert found("paired_per_location_subscriber_call_durations") == [
        ("ann", "B", "bob", "a 1", 30.0),
        ("ann", "b", "bob", "B", 10.0),
    ]


def test_the_other_party_need_not_be_in_the_subset(stage_in_utc: Stage, executor: str) -> None:
    callers = {"query_kind": "event_count", **WINDOW, "direction": "out"}
    found = rows(
        stage_in_utc,
        executor,
        CALLS,
        "paired_per_location_subscriber_call_durations",
        **WINDOW,
        subscriber_subset=callers,
        statistic="count",
    )
    assert found == [("ann", "B", "bob", "a 1", 1), ("ann", "b", "bob", "B", 1)]


def test_distance_of_contacts(stage_in_utc: Stage, executor: str) -> None:
    found = rows(
        stage_in_utc,
        executor,
        CALLS,
        "distance_counterparts",
        **WINDOW,
        statistic="max",
        event_types=["calls"],
    )
    # In the second call: one and a quarter degrees of longitude at 28 degrees north, and one of latitude.
    east, north = 1.25 * 111.32 * math.cos(math.radians(28)), 110.85
    expected = pytest.approx(math.hypot(east, north), rel=0.005)
    assert found == [("ann", expected), ("bob", expected)]
    # A message with the id of a call is another event; they were at the same cell.
    counted = rows(stage_in_utc, executor, CALLS, "distance_counterparts", **WINDOW, statistic="count")
    assert counted == [("ann", 3), ("bob", 3)]


def test_a_cell_that_moved_is_where_it_was_on_the_day(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | id | outgoing | counterpart | cell
        ann        | 2 10:00 | a  | out      | bob         | moves
        bob        | 2 10:00 | a  | in       | ann         | in-b
        """
    )
    assert rows(stage_in_utc, executor, world, "distance_counterparts", **WINDOW) == [
        ("ann", 0.0),
        ("bob", 0.0),
    ]
