"""Boundaries and points, as drawn."""

from __future__ import annotations

from typing import Any

import shapely
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extras import execute_values

from flowmachine.data import read_data_state
from flowmachine.queries.catalogue import load_any

from ..land import Square
from ..world import Stage, World, drawn


def test_geography(stage_in_utc: Stage) -> None:
    world = drawn("subscriber | time | cell\nann | 1 10:00 | in-b")
    query = load_any({"query_kind": "geography", "aggregation_unit": "admin3"})
    rows = stage_in_utc.evaluate(query, world, "postgres")
    assert [name for name, _ in rows] == ["B", "a", "a 1", "b", "é"]
    points = load_any({"query_kind": "geography", "aggregation_unit": "lon-lat"})
    rows = stage_in_utc.evaluate(points, world, "postgres")
    assert [row[:2] for row in rows] == sorted({row[:2] for row in rows})
    assert (85.75, 28.125) in [row[:2] for row in rows]


Point = tuple[float, float]

#: Names that sort differently by locale than by bytes.
_names = st.sampled_from(("a", "B", "b", "é", "a 1", "Z"))
_degrees = st.sampled_from((-80.5, -1.0, 0.0, 27.25, 84.0))


@st.composite
def squares(draw: st.DrawFn) -> Square:
    west, south = draw(_degrees), draw(_degrees)
    return west, south, west + draw(st.sampled_from((0.5, 1.0))), south + 0.25


def evaluate(
    stage: Stage, spec: dict[str, Any], boundaries: dict[str, Square], positions: list[Point]
) -> list[Any]:
    """Return released rows with other boundaries of admin1 and these cell positions."""
    with stage.engine.connect() as connection, connection.begin() as transaction:
        cursor = connection.connection.cursor()
        if boundaries:
            execute_values(
                cursor,
                "INSERT INTO geography.geoms (spatial_resolution, short_name, geom) VALUES %s",
                [(name, *square) for name, square in boundaries.items()],
                template="(1, %s, ST_Multi(ST_MakeEnvelope(%s, %s, %s, %s, 4326)))",
            )
        cursor.execute("DELETE FROM infrastructure.cells")
        if positions:
            execute_values(
                cursor,
                "INSERT INTO infrastructure.cells (id, version, geom_point) VALUES %s",
                [(f"cell {number}", *point) for number, point in enumerate(positions)],
                template="(%s, 0, ST_SetSRID(ST_MakePoint(%s, %s), 4326))",
            )
        connection.execute(sa.text("SET LOCAL ROLE flowmachine"))
        rows = stage.run(load_any(spec), World([]), "postgres", connection, read_data_state(connection))
        transaction.rollback()
    return rows


def defined_geography(boundaries: dict[str, Square], positions: list[Point], unit: str) -> list[Any]:
    """Define ``geography``: regions by the bytes of their names, or cells' positions."""
    if unit == "lon-lat":
        return [(*point, shapely.Point(point)) for point in sorted(set(positions))]
    by_bytes = sorted(boundaries, key=lambda name: name.encode())
    return [(name, shapely.MultiPolygon([shapely.box(*boundaries[name])])) for name in by_bytes]


@given(
    boundaries=st.dictionaries(_names, squares(), max_size=4),
    positions=st.lists(st.tuples(_degrees, _degrees), max_size=4),
    unit=st.sampled_from(("admin1", "lon-lat")),
)
def test_geography_is_as_defined(
    stage_in_utc: Stage, boundaries: dict[str, Square], positions: list[Point], unit: str
) -> None:
    spec = {"query_kind": "geography", "aggregation_unit": unit}
    found = evaluate(stage_in_utc, spec, boundaries, positions)
    expected = defined_geography(boundaries, positions, unit)
    assert [row[:-1] for row in found] == [row[:-1] for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        shape = shapely.from_wkb(bytes.fromhex(row[-1]))
        assert shapely.get_srid(shape) == 4326
        assert shape.geom_type == wanted[-1].geom_type
        assert shape.equals(wanted[-1])
