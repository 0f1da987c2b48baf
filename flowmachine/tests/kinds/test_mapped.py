"""Check cells that tables place: in regions, at points, or at the null place.

The stage's mapping table puts in-b into é, in-é into b, in-B and beside into a region that does not exist, and leaves in-a1 out.
"""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.queries.catalogue import load_any

from .land import MAPPED_UNITS
from .specs import Spec, classified, coalesced, crowd, daily, majority, on, visits, window
from .world import Stage, World, drawn

IN_REGIONS, AT_PLACES, AT_SITES = MAPPED_UNITS


def mapped(spec: Any, fields: Spec = IN_REGIONS) -> Any:
    """The spec with another unit in each of its parts that has one."""
    if isinstance(spec, dict):
        found = {name: mapped(value, fields) for name, value in spec.items()}
        return found | fields if "aggregation_unit" in spec else found
    return [mapped(part, fields) for part in spec] if isinstance(spec, list) else spec


def answer(stage: Stage, spec: Spec, world: World, executor: str) -> list[tuple[Any, ...]]:
    return stage.evaluate(load_any(mapped(spec)), world, executor)


def test_cells_are_where_the_table_puts_them(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | in-b
        b1..17     | 1 10:00 | in-B
        c1..18     | 1 10:00 | in-a1
        """
    )
    counts = {"query_kind": "spatial_aggregate", "locations": daily(1)}
    # Cells that are not in the table are nowhere; a region that it alone knows has no name.
    assert answer(stage_in_utc, counts, world, executor) == [("é", 16), (None, 17)]
    events = {"query_kind": "event_count", "start_date": "2016-01-01", "end_date": "2016-01-02"}
    averages = {
        "query_kind": "joined_spatial_aggregate",
        "locations": daily(1),
        "metric": events,
        "method": "avg",
    }
    assert answer(stage_in_utc, averages, world, executor) == [("é", 1)]


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        # A place may have two points; one that has none, or that is in no row, is the null place.
        (AT_PLACES, {"ann": [(84.0, 27.0)], "bob": [(84.125, 27.5), (85.25, 28.5)], "cat": [None], "dan": [None]}),
        # All cells of the site, each point once.
        (
            AT_SITES,
            {"ann": [(84.25, 27.25), (84.5, 27.5), (85.5, 27.25)], "bob": [(85.75, 28.125)], "cat": [None], "dan": [None]},
        ),
        # Without a column the cell's own name leads to the points of all its versions.
        (
            {"aggregation_unit": "lon-lat", "mapping_table": IN_REGIONS["mapping_table"]},
            {
                "ann": [(84.25, 27.25)],
                "bob": [(85.75, 28.125)],
                "cat": [(85.5, 27.5)],
                "dan": [(85.75, 28.125)],
            },
        ),
    ],
)  # fmt: skip
def test_points_are_those_of_the_geometry_table(
    stage_in_utc: Stage, executor: str, fields: Spec, places: dict[str, list[Any]]
) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        bob        | 1 10:00 | in-é
        cat        | 1 10:00 | in-B
        dan        | 1 10:00 | beside
        eve        | 1 10:00 | in-a1
        """
    )
    query = load_any(mapped(window("unique_locations"), fields))
    expected = [(who, place) for who, found in places.items() for place in found]
    assert stage_in_utc.evaluate(query, world, executor) == expected


def test_the_default_geometry_table_may_be_named(stage_in_utc: Stage) -> None:
    named = load_any(mapped(daily(1), AT_SITES | {"geom_table": "infrastructure.cells"}))
    assert named.unit == load_any(mapped(daily(1), AT_SITES)).unit


def test_a_table_without_schema_is_of_ours() -> None:
    one, other = (
        load_any(daily(1, mapping_table=name)).unit for name in ("districts", "flowmachine.districts")
    )
    assert one == other


#: ann is last, mostly and on most days at the null place; bob is as much at é, and ties go to what has a name.
NOWHERE = drawn(
    """
    subscriber | time    | cell
    ann        | 1 10:00 | in-b
    ann        | 1 11:00 | in-B
    ann        | 2 11:00 | beside
    bob        | 1 10:00 | in-B
    bob        | 1 10:00 | in-b
    """
)


@pytest.mark.parametrize(
    "spec",
    [
        window("most_frequent_location"),
        window("visited_most_days"),
        {"query_kind": "modal_location", "locations": [daily(1), daily(2)]},
        daily(1),
    ],
    ids=lambda spec: spec["query_kind"],
)
def test_a_subscriber_may_be_at_the_null_place(stage_in_utc: Stage, executor: str, spec: Spec) -> None:
    assert answer(stage_in_utc, spec, NOWHERE, executor) == [("ann", None), ("bob", "é")]


#: On day 1 at the null place, on day 2 at é; bob was never anywhere else than at the null place.
SOMETIMES = drawn(
    """
    subscriber | time    | cell
    ann        | 1 10:00 | in-B
    ann        | 2 10:00 | in-b
    bob        | 1 10:00 | in-B
    bob        | 2 10:00 | beside
    """
)


def test_a_null_place_falls_back_and_nobody_falls_back_on_one(stage_in_utc: Stage, executor: str) -> None:
    spec = coalesced(majority(1), majority(2), visits(1, 2))
    assert answer(stage_in_utc, spec, SOMETIMES, executor) == [("ann", "é"), ("bob", None)]
    # There is no preferred location on day 3, and a null place has no weight.
    only_fallback = coalesced(majority(3), majority(2), visits(1, 2))
    assert answer(stage_in_utc, only_fallback, SOMETIMES, executor) == [("ann", "é")]


def test_who_is_at_the_null_place_is_unlocated(stage_in_utc: Stage, executor: str) -> None:
    there = classified(on(2), on(1))
    assert answer(stage_in_utc, there, SOMETIMES, executor) == [("ann", "unlocated"), ("bob", "unlocated")]
    back = classified(on(1), on(2))
    assert answer(stage_in_utc, back, SOMETIMES, executor) == [
        ("ann", "not_always_locatable"),
        ("bob", "unlocated"),
    ]


def test_everybody_without_a_location_is_in_one_row(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..10     | 1 10:00 | in-B
        a1..10     | 2 10:00 | in-B
        b1..10     | 1 10:00 | in-b
        b1..10     | 2 10:00 | in-é
        """
    )
    spec = {"query_kind": "spatial_aggregate", "locations": majority(1, 2, include_unlocatable=True)}
    assert answer(stage_in_utc, spec, world, executor) == [(None, 20)]


#: All at home at the null place, all the time.
AT_NOWHERE = drawn(
    """
    subscriber | time    | cell
    a1..16     | 1 10:00 | in-B
    a1..16     | 2 10:00 | beside
    """
)


def test_the_null_place_equals_no_place(stage_in_utc: Stage, executor: str) -> None:
    seen = window("unique_locations")
    active = {
        "query_kind": "active_at_reference_location_counts",
        "unique_locations": seen,
        "reference_locations": daily(1),
    }
    assert answer(stage_in_utc, active, AT_NOWHERE, executor) == []
    at_home = {
        "query_kind": "unmoving_at_reference_location_counts",
        "locations": seen,
        "reference_locations": daily(1),
    }
    assert answer(stage_in_utc, at_home, AT_NOWHERE, executor) == []
    unmoving = {"query_kind": "unmoving_counts", "locations": seen}
    assert answer(stage_in_utc, unmoving, AT_NOWHERE, executor) == [(None, 16)]


def test_movement_to_and_from_the_null_place(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | in-b
        a1..16     | 2 10:00 | in-B
        a1..16     | 2 11:00 | beside
        a1..16     | 3 10:00 | in-é
        """
    )
    flows = {"query_kind": "flows", "from_location": daily(1), "to_location": daily(2)}
    assert answer(stage_in_utc, flows, world, executor) == [("é", None, 16)]
    # A trip is between two places that differ, which null and a place do not.
    assert answer(stage_in_utc, window("trips_od_matrix"), world, executor) == [("é", "b", 16)]
    steps = window("consecutive_trips_od_matrix")
    assert answer(stage_in_utc, steps, world, executor) == [
        ("é", None, 16),
        (None, "b", 16),
        (None, None, 16),
    ]


def test_events_at_the_null_place_are_counted(stage_in_utc: Stage, executor: str) -> None:
    # So that subscribers have to be counted one by one.
    world = drawn("subscriber | time | cell\n" + crowd(16, "1 10:00", "in-B", bits=1))
    events = window("location_event_counts", interval="day", direction="both")
    assert answer(stage_in_utc, events, world, executor) == [(None, "2016-01-01", 16)]
    objects = answer(stage_in_utc, window("total_network_objects"), world, executor)
    assert [row[:2] for row in objects] == [(None, 1)]
