"""Published kinds at the units of direct use: cells, sites and tiles."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import pyproj
import pytest

from flowmachine.queries import (
    DailyLocation,
    EventCount,
    Flows,
    Geography,
    JoinedSpatialAggregate,
    SpatialAggregate,
)
from flowmachine.queries.catalogue import all_kinds, kinds, load, load_any
from flowmachine.spec.places import DIRECT_UNITS, GRIDS
from flowmachine.spec.units import Unit

from .land import CELLS
from .oracle import equal
from .sayings import LEAVE, OTHERS, QUIET, RETURN, SAYINGS, STAY, STORY
from .world import Stage

#: What the places of the story are called at each unit, beside their points.
NAMES: dict[str, dict[str, Any]] = {
    "lon-lat": {"b": (84.25, 27.25), "B": (85.5, 27.5), "M": (85.5, 27.25)},
    "cell": {"b": ("in-b",), "B": ("in-B",), "M": ("meets",)},
}

_ON_MAP = pyproj.Transformer.from_crs(4326, 6933, always_xy=True)


def tile(point: Any, kilometres: int) -> str:
    """Return the code of a point's tile on an equal-area map."""
    east, north = (int(metres // (1000 * kilometres)) for metres in _ON_MAP.transform(*point))
    return f"{kilometres}kmN{north}E{east}"


NAMES["grid-10km"] = {name: (tile(point, 10),) for name, point in NAMES["lon-lat"].items()}

#: Kinds with a unit of their own whose answers are of places, as the story has it. Geography has no tiles.
WITH_UNIT = sorted(
    kind
    for kind, cls in kinds().items()
    if issubclass(cls, Unit) and SAYINGS[kind].world is STORY and kind not in ("geography", "dummy_query")
)


def at(kind: str, unit: str) -> Any:
    return load_any(SAYINGS[kind].spec() | {"aggregation_unit": unit})


def named(rows: list[Any], unit: str) -> list[Any]:
    """Return rows with the story's names of places, however many columns a place has."""
    names = {value: name for name, value in NAMES[unit].items()}
    width = len(next(iter(names)))

    def of(row: Any) -> Any:
        found: list[Any] = []
        values = list(row)
        while values:
            first = values[0]
            if isinstance(first, tuple) and first in names:
                found.append(names[first])
                del values[:1]
            elif tuple(values[:width]) in names:
                found.append(names[tuple(values[:width])])
                del values[:width]
            else:
                found.append(values.pop(0))
        return tuple(found)

    return sorted(map(of, rows), key=repr)


@pytest.mark.parametrize("unit", ["cell", "grid-10km"])
@pytest.mark.parametrize("kind", WITH_UNIT)
def test_places_have_other_names_and_the_same_numbers(stage_in_utc: Stage, kind: str, unit: str) -> None:
    """Each point of the story has one cell in use and lies in a tile of its own."""
    with stage_in_utc.loaded(STORY) as (connection, state):
        expected = named(stage_in_utc.run(at(kind, "lon-lat"), STORY, "duckdb", connection, state), "lon-lat")
        for executor in ("duckdb", "postgres"):
            found = named(stage_in_utc.run(at(kind, unit), STORY, executor, connection, state), unit)
            assert equal(found, expected), executor
    assert expected


def test_most_kinds_are_tried() -> None:
    assert {"daily_location", "unique_subscriber_counts", "trips_od_matrix", "present_population"} <= set(
        WITH_UNIT
    )
    assert len(WITH_UNIT) == 12


def test_a_tile_is_that_of_the_cells_point(stage_in_utc: Stage, executor: str) -> None:
    query = SpatialAggregate(
        locations=DailyLocation(date="2016-01-01", method="last", aggregation_unit="grid-1km")
    )
    points = {cell.id: cell.point for cell in CELLS}
    found = stage_in_utc.evaluate(query, STORY, executor)
    at_b = STAY + LEAVE + RETURN + QUIET
    assert sorted(found) == sorted([(tile(points["in-B"], 1), OTHERS), (tile(points["in-b"], 1), at_b)])


@pytest.mark.parametrize("unit", ["cell", "versioned-cell", "versioned-site", "grid-10km"])
def test_aggregates_take_direct_units(stage_in_utc: Stage, executor: str, unit: str) -> None:
    first, second = (
        DailyLocation(date=f"2016-01-0{day}", method="last", aggregation_unit=unit) for day in (1, 2)
    )
    flows = stage_in_utc.evaluate(Flows(from_location=first, to_location=second), STORY, executor)
    assert sorted(row[-1] for row in flows) == [STAY, OTHERS, LEAVE + RETURN]
    counted = EventCount(start_date="2016-01-01", end_date="2016-01-02")
    joined = JoinedSpatialAggregate(locations=first, metric=counted, method="avg")
    assert sorted(row[-1] for row in stage_in_utc.evaluate(joined, STORY, executor)) == [1.0, 2.0]


@pytest.mark.parametrize("unit", DIRECT_UNITS)
def test_the_api_refuses_them_and_says_why(unit: str) -> None:
    spec = {
        "query_kind": "unique_subscriber_counts",
        "start_date": "2016-01-01",
        "end_date": "2016-01-02",
        "aggregation_unit": unit,
    }
    with pytest.raises(ma.ValidationError) as refused:
        load(spec)
    [told] = refused.value.normalized_messages()["aggregation_unit"]
    assert told.startswith("Must be one of: admin0, admin1, admin2, admin3, lon-lat.")
    assert f"{unit} is for direct use only" in told
    assert ("subtracted" in told) is (unit in GRIDS)
    # Nor does an id that names such a query let it in as a subset.
    there = {"query_kind": "daily_location", "date": "2016-01-01", "method": "last", "aggregation_unit": unit}
    subset = load_any(there)
    with pytest.raises(ma.ValidationError, match=f"{unit} is for direct use only"):
        load(
            spec | {"aggregation_unit": "admin3", "subscriber_subset": subset.query_id},
            find_spec={subset.query_id: there}.get,
        )


def test_what_places_itself_needs_no_table() -> None:
    for unit in DIRECT_UNITS:
        with pytest.raises(ma.ValidationError, match="no table places them"):
            DailyLocation(
                date="2016-01-01",
                method="last",
                aggregation_unit=unit,
                mapping_table="geography.cell_mapping",
            )
    with pytest.raises(ma.ValidationError, match="grid-1km has no geometries"):
        Geography(aggregation_unit="grid-1km")
    assert not all_kinds()["daily_location"].direct
