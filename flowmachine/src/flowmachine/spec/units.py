"""Define and check the fields of kinds that have a spatial unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import marshmallow as ma

from flowmachine.spec.fields import Choice, ColumnName, TableName, optional, required
from flowmachine.spec.places import ADMIN_LEVELS, DIRECT_UNITS, GEOMETRIES, GRIDS, UNITS, SpatialUnit, Tables
from flowmachine.spec.query import field_group


def demand_polygons(aggregation_unit: str) -> None:
    """Refuse a unit of points for a kind that needs areas.

    Raises marshmallow.ValidationError under its field. The field itself names every unit, because scopes are
    made of its words.
    """
    if aggregation_unit not in ADMIN_LEVELS:
        raise ma.ValidationError({"aggregation_unit": [f"Must be one of: {', '.join(ADMIN_LEVELS)}."]})


class UnitName(Choice):
    """Accept the name of a published unit, and in direct use that of any unit.

    The words are those published, because scopes are made of them.
    """

    def __init__(self) -> None:
        super().__init__(*UNITS)

    def deserialize(self, value: Any, *args: Any, **context: Any) -> Any:
        if not isinstance(value, str) or value not in DIRECT_UNITS:
            return super().deserialize(value, *args, **context)
        reading = context.get("reading")
        if reading is None or reading.direct:
            return value
        why = ", because a tile could be subtracted from its region" if value in GRIDS else ""
        raise ma.ValidationError(f"Must be one of: {', '.join(UNITS)}. {value} is for direct use only{why}.")


@field_group
class Unit:
    """Hold the fields of a kind with its own spatial unit."""

    aggregation_unit: str = required(UnitName())
    mapping_table: str | None = optional(
        TableName(), doc="Table that maps cells to areas, in place of their position."
    )
    geom_table: str | None = optional(TableName(), doc="Table of geometries, for ``lon-lat`` only.")
    geom_table_join_column: str | None = optional(ColumnName(), doc="Column of that table to join on.")

    @property
    def unit(self) -> SpatialUnit:
        return self._placed

    @property
    def _placed(self) -> SpatialUnit:
        mapping_table = qualified(self.mapping_table)
        if self.aggregation_unit in ADMIN_LEVELS:
            # Administrative units always use the geography schema, so the geometry fields do not apply.
            return SpatialUnit(self.aggregation_unit, mapping_table)
        geom_table = qualified(self.geom_table)
        if geom_table == GEOMETRIES:
            geom_table = None
        return SpatialUnit(self.aggregation_unit, mapping_table, geom_table, self.geom_table_join_column)

    def check(self) -> None:
        """Refuse tables that cannot place cells."""
        if self.aggregation_unit not in DIRECT_UNITS:
            _refuse(self._refused_tables(None))
            return
        given = ("mapping_table", "geom_table", "geom_table_join_column")
        text = "Cells, sites and tiles are places themselves: no table places them."
        refused = {name: [text] for name in given if getattr(self, name) is not None}
        if refused:
            raise ma.ValidationError(refused)

    def check_tables(self, tables: Tables) -> None:
        """Refuse tables that cannot place cells, are missing or lack a column."""
        if self.aggregation_unit not in DIRECT_UNITS:
            _refuse(self._refused_tables(tables))

    def _refused_tables(self, tables: Tables | None) -> Iterator[tuple[str, str]]:
        unit = self._placed
        not_mapped = "geom_table_join_on not in mapping table's columns."
        if unit.mapping_table is None:
            if unit.geom_table is not None:
                text = f"{self.geom_table} places cells through a mapping_table only: give one, or leave geom_table out."
                yield "geom_table", text
            return
        if unit.geom_table is not None and unit.geom_table_join_column is None:
            yield "geom_table_join_column", not_mapped
        if tables is None:
            return
        mapping = tables.columns(unit.mapping_table)
        if mapping is None:
            yield "mapping_table", f"{self.mapping_table} is not a known table."
        elif "id" not in mapping or (unit.has_polygons and unit.mapped_column not in mapping):
            yield "mapping_table", not_mapped
        elif unit.mapped_column not in mapping:
            yield "geom_table_join_column", not_mapped
        if unit.has_polygons:
            return
        geometry_table = unit.geom_table or GEOMETRIES
        geometry = tables.columns(geometry_table)
        if geometry is None:
            yield "geom_table", f"{self.geom_table} is not a known table."
        elif "geom_point" not in geometry:
            yield "geom_table", f"{geometry_table} has no column geom_point."
        elif unit.mapped_column not in geometry:
            yield "geom_table_join_column", f"{geometry_table} has no column {unit.mapped_column}."


@field_group
class NetworkUnit(Unit):
    """Hold the unit fields of a direct-use kind, units for direct use included."""

    aggregation_unit: str = required(Choice(*UNITS, *DIRECT_UNITS))


def _refuse(problems: Iterator[tuple[str, str]]) -> None:
    errors: dict[str, list[str]] = {}
    for name, text in problems:
        errors.setdefault(name, [text])
    if errors:
        raise ma.ValidationError(errors)


def qualified(table: str | None) -> str | None:
    """Return a table's name with its schema, by default ``flowmachine``."""
    return table if table is None or "." in table else f"flowmachine.{table}"


def demand_points(unit: SpatialUnit, field: str) -> None:
    """Refuse a unit without points for a kind that measures distances.

    Raises marshmallow.ValidationError under the field.
    """
    if not unit.has_points:
        raise ma.ValidationError(
            {field: [f"aggregation_unit must be one of points, such as lon-lat, not {unit.name}."]}
        )
