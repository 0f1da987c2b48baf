"""Check places by event, first and last places and call days on drawn tables."""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.queries import (
    CallDays,
    FirstLocation,
    LastLocation,
    SpatialAggregate,
    SubscriberLocations,
    SubscriberLocationSubset,
)
from flowmachine.spec.query import Query

from ..specs import WINDOW, rows_of
from ..world import Stage, drawn, moment


def test_subscriber_locations_at_single_cells(stage_in_utc: Stage, executor: str) -> None:
    assert rows_of(stage_in_utc, SubscriberLocations(**WINDOW), executor) == [
        ("ann", moment("1 10:00"), "in-b"),
        ("ann", moment("2 00:30"), "in-b"),
        ("ann", moment("2 10:00"), "moves"),
        ("ann", moment("3 10:00"), "moves"),
        ("bob", moment("1 10:00"), "unknown"),
        ("cat", moment("2 23:00"), "nowhere"),
    ]


def test_subscriber_locations_at_versions_of_cells(stage_in_utc: Stage, executor: str) -> None:
    query = SubscriberLocations(**WINDOW, aggregation_unit="versioned-cell")
    assert rows_of(stage_in_utc, query, executor) == [
        ("ann", moment("1 10:00"), ("in-b", 0, 84.25, 27.25)),
        ("ann", moment("2 00:30"), ("in-b", 0, 84.25, 27.25)),
        ("ann", moment("2 10:00"), ("moves", 0, 84.25, 27.25)),
        ("ann", moment("3 10:00"), ("moves", 1, 85.25, 28.5)),
        ("cat", moment("2 23:00"), ("nowhere", 0, None, None)),
    ]


def test_events_are_at_a_site_once_for_each_version_of_their_cell(stage_in_utc: Stage, executor: str) -> None:
    query = SubscriberLocations(
        start_date="2016-01-03", end_date="2016-01-04", aggregation_unit="versioned-site"
    )
    assert rows_of(stage_in_utc, query, executor) == [
        ("ann", moment("3 10:00"), ("moved", 1, 84.2525, 27.25)),
        ("ann", moment("3 10:00"), ("p", 0, 84.25, 27.25)),
    ]


def test_events_without_a_cell_can_be_kept(stage_in_utc: Stage, executor: str) -> None:
    everywhere = SubscriberLocations(**WINDOW, ignore_nulls=False)
    unplaced = [row for row in rows_of(stage_in_utc, everywhere, executor) if row[2] is None]
    assert unplaced == [("bob", moment("1 11:00"), None)] * 2
    last = LastLocation(**WINDOW, aggregation_unit="cell", ignore_nulls=False)
    assert rows_of(stage_in_utc, last, executor) == [("ann", "moves"), ("bob", None), ("cat", "nowhere")]


def test_a_cell_sorts_before_none(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | -
        ann        | 1 10:00 | moves
        ann        | 1 10:00 | meets
        """
    )
    last = LastLocation(**WINDOW, aggregation_unit="cell", ignore_nulls=False)
    assert rows_of(stage_in_utc, last, executor, world) == [("ann", "meets")]


def test_last_location_of_any_window(stage_in_utc: Stage, executor: str) -> None:
    assert rows_of(stage_in_utc, LastLocation(**WINDOW), executor) == [("ann", "é")]
    cell = LastLocation(**WINDOW, aggregation_unit="cell")
    assert rows_of(stage_in_utc, cell, executor) == [("ann", "moves"), ("bob", "unknown"), ("cat", "nowhere")]


def test_a_last_location_can_be_counted(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        s1..16     | 1 10:00 | unknown
        t1..15     | 1 10:00 | in-b
        """
    )
    counts = SpatialAggregate(locations=LastLocation(**WINDOW, aggregation_unit="cell"))
    assert rows_of(stage_in_utc, counts, executor, world) == [("unknown", 16)]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, [("ann", "1 10:00"), ("bob", "1 10:00"), ("cat", "2 23:00")]),
        ({"location": "any"}, [("ann", "1 10:00"), ("bob", "1 10:00"), ("cat", "2 23:00")]),
        ({"location": "moves"}, [("ann", "2 10:00")]),
        ({"location": ["moves", "unknown"]}, [("ann", "2 10:00"), ("bob", "1 10:00")]),
        ({"location": "é", "aggregation_unit": "admin3"}, [("ann", "3 10:00")]),
        ({"location": "moved", "aggregation_unit": "versioned-site"}, [("ann", "2 10:00")]),
        ({"location": "nobody was there"}, []),
    ],
)
def test_first_location(
    stage_in_utc: Stage, executor: str, place: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    found = rows_of(stage_in_utc, FirstLocation(**WINDOW, **place), executor)
    assert found == [(who, moment(time)) for who, time in expected]


def test_call_days(stage_in_utc: Stage, executor: str) -> None:
    query = CallDays(subscriber_locations=SubscriberLocations(**WINDOW, ignore_nulls=False))
    assert rows_of(stage_in_utc, query, executor) == [
        ("ann", "in-b", 2),
        ("ann", "moves", 2),
        ("bob", "unknown", 1),
        ("cat", "nowhere", 1),
    ]


def test_days_of_calls_are_those_of_the_wall_clock(stage_in_nepal: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time       | cell
        ann        | 1 00:00    | in-b
        ann        | 1 23:59:59 | in-b
        """
    )
    query = CallDays(subscriber_locations=SubscriberLocations(**WINDOW))
    assert rows_of(stage_in_nepal, query, executor, world) == [("ann", "in-b", 1)]


def test_places_of_several_calls(stage_in_utc: Stage, executor: str) -> None:
    def subset(**more: Any) -> Query:
        return SubscriberLocationSubset(**WINDOW, aggregation_unit="admin3", **more)

    assert rows_of(stage_in_utc, subset(min_calls=2), executor) == [("ann", "b")]
    # Of the three calls at b two go out.
    assert rows_of(stage_in_utc, subset(min_calls=3), executor) == [("ann", "b")]
    assert rows_of(stage_in_utc, subset(min_calls=3, direction="out"), executor) == []
    messages = drawn(
        """
        subscriber | time    | cell | type
        ann        | 1 10:00 | in-b | sms
        """
    )
    assert rows_of(stage_in_utc, subset(min_calls=1), executor, messages) == []
