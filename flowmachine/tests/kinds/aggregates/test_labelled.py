"""Counts and flows by label, on worlds drawn as tables."""

from __future__ import annotations

from ..specs import answer, classified, coalesced, daily, on
from ..world import Stage, drawn

#: Sixteen who stay and sixteen who go; at é fifteen who go beside sixteen who stay.
MIGRATION = drawn(
    """
    subscriber | time    | cell
    a1..16     | 1 10:00 | in-b
    a1..16     | 2 10:00 | in-b
    b1..17     | 1 10:00 | in-B
    b1..17     | 2 10:00 | in-b
    c1..16     | 1 10:00 | in-é
    c1..16     | 2 10:00 | in-é
    d1..15     | 1 10:00 | in-b
    d1..15     | 2 10:00 | in-é
    e1..18     | 1 10:00 | in-a1
    e1..18     | 2 10:00 | in-a1
    e1..18     | 2 11:00 | in-b
    """
)


def test_one_small_label_withholds_all_of_a_location(stage_in_utc: Stage, executor: str) -> None:
    spec = {
        "query_kind": "labelled_spatial_aggregate",
        "locations": on(2),
        "labels": classified(on(1), on(2)),
    }
    # At é are 16 stable and 15 mobile ones; both rows are gone.
    assert answer(stage_in_utc, spec, MIGRATION, executor) == [("b", "mobile", 35), ("b", "stable", 16)]


def test_labelled_flows(stage_in_utc: Stage, executor: str) -> None:
    spec = {
        "query_kind": "labelled_flows",
        "from_location": on(1),
        "to_location": on(2),
        "labels": classified(on(1), on(2)),
    }
    assert answer(stage_in_utc, spec, MIGRATION, executor) == [
        ("B", "b", "mobile", 17),
        ("a 1", "b", "mobile", 18),
        ("b", "b", "stable", 16),
        ("é", "é", "stable", 16),
    ]


def test_flows_of_coalesced_points_sort_by_latitude_first(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | in-a1
        b1..16     | 1 10:00 | in-b
        c1..16     | 1 10:00 | in-B
        """
    )
    point = daily(1, aggregation_unit="lon-lat")
    visit = {"query_kind": "location_visits", "locations": [point]}
    there = {"query_kind": "majority_location", "subscriber_location_weights": visit}
    spec = {
        "query_kind": "flows",
        "from_location": coalesced(there, there, visit),
        "to_location": coalesced(there, there, visit),
    }
    west, east, north = (84.25, 27.25), (85.5, 27.5), (84.25, 28.5)
    pairs = [(*place, *place, 16) for place in (west, east, north)]
    assert answer(stage_in_utc, spec, world, executor) == pairs
    by_longitude = spec | {"from_location": point, "to_location": point}
    assert answer(stage_in_utc, by_longitude, world, executor) == [pairs[0], pairs[2], pairs[1]]


def test_subscribers_without_a_label_are_under_null(stage_in_utc: Stage, executor: str) -> None:
    spec = {
        "query_kind": "labelled_spatial_aggregate",
        "locations": on(1),
        "labels": classified(on(3)),
    }
    assert answer(stage_in_utc, spec, MIGRATION, executor) == [
        ("B", None, 17),
        ("a 1", None, 18),
        ("b", None, 31),
        ("é", None, 16),
    ]
