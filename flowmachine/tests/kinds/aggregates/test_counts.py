"""Check released counts of subscribers and events on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest

from ..specs import answer, window
from ..world import Stage, drawn

DAILY = {
    "query_kind": "daily_location",
    "date": "2016-01-01",
    "method": "last",
    "aggregation_unit": "admin3",
}
NEXT_DAY = DAILY | {"date": "2016-01-02"}

CROWDS = drawn(
    """
    subscriber | time    | cell  | outgoing
    a1..16     | 1 10:00 | in-b  | out
    b1..15     | 1 10:00 | in-B  | in
    c1..17     | 1 10:00 | in-é  | out
    c1..17     | 1 11:00 | in-a1 | in
    a1..16     | 2 10:00 | in-B  | in
    c1..17     | 2 10:00 | in-a1 | out
    """
)


def test_sixteen_are_released_and_fifteen_are_not(stage_in_utc: Stage, executor: str) -> None:
    spec = {"query_kind": "spatial_aggregate", "locations": DAILY}
    assert answer(stage_in_utc, spec, CROWDS, executor) == [("a 1", 17), ("b", 16)]


def test_unique_subscriber_counts(stage_in_utc: Stage, executor: str) -> None:
    spec = window("unique_subscriber_counts")
    assert answer(stage_in_utc, spec, CROWDS, executor) == [("B", 31), ("a 1", 17), ("b", 16), ("é", 17)]


def test_flows(stage_in_utc: Stage, executor: str) -> None:
    spec = {"query_kind": "flows", "from_location": DAILY, "to_location": NEXT_DAY}
    assert answer(stage_in_utc, spec, CROWDS, executor) == [("a 1", "a 1", 17), ("b", "B", 16)]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("flows", [("b", "B", 16)]), ("inflows", [("B", 16)]), ("outflows", [("b", 16)])],
)
def test_who_stayed_may_be_left_out(stage_in_utc: Stage, executor: str, kind: str, rows: list[Any]) -> None:
    spec = {"query_kind": kind, "from_location": DAILY, "to_location": NEXT_DAY}
    assert answer(stage_in_utc, spec | {"exclude_stayers": True}, CROWDS, executor) == rows
    assert len(answer(stage_in_utc, spec, CROWDS, executor)) == 2


def test_who_may_have_stayed_is_not_left_out(stage_in_utc: Stage, executor: str) -> None:
    spec = {"query_kind": "flows", "from_location": DAILY, "to_location": NEXT_DAY, "exclude_stayers": True}
    full = spec | {"join_type": "full outer"}
    assert answer(stage_in_utc, full, LEAVERS, executor) == [
        ("b", "é", 16),
        ("b", "B", 16),
        ("b", None, 16),
        (None, "B", 16),
    ]


LEAVERS = drawn(
    """
    subscriber | time    | cell
    a1..16     | 1 10:00 | in-b
    b1..16     | 2 10:00 | in-B
    c1..16     | 1 10:00 | in-b
    c1..16     | 2 10:00 | in-é
    d1..16     | 1 10:00 | in-b
    d1..16     | 2 10:00 | in-B
    """
)


@pytest.mark.parametrize(
    ("join", "rows"),
    [
        ("inner", [("b", "é", 16), ("b", "B", 16)]),
        ("left", [("b", "é", 16), ("b", "B", 16), ("b", None, 16)]),
        ("right outer", [("b", "é", 16), ("b", "B", 16), (None, "B", 16)]),
        ("full outer", [("b", "é", 16), ("b", "B", 16), ("b", None, 16), (None, "B", 16)]),
    ],
)
def test_joins_of_flows(stage_in_utc: Stage, executor: str, join: str, rows: list[Any]) -> None:
    spec = {"query_kind": "flows", "from_location": DAILY, "to_location": NEXT_DAY, "join_type": join}
    assert answer(stage_in_utc, spec, LEAVERS, executor) == rows


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("inflows", [("é", 16), ("B", 32), (None, 16)]), ("outflows", [("b", 48), (None, 16)])],
)
def test_ends_of_flows(stage_in_utc: Stage, executor: str, kind: str, rows: list[Any]) -> None:
    spec = {
        "query_kind": kind,
        "from_location": DAILY,
        "to_location": NEXT_DAY,
        "join_type": "full outer",
    }
    assert answer(stage_in_utc, spec, LEAVERS, executor) == rows


def test_inflows_are_judged_by_people_not_by_movements(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..8      | 1 10:00 | in-b
        a1..8      | 1 11:00 | in-B
        """
    )
    everywhere = window("unique_locations")
    spec = {"query_kind": "inflows", "from_location": everywhere, "to_location": everywhere}
    # Sixteen movements to each place, but only eight people.
    assert answer(stage_in_utc, spec, world, executor) == []
