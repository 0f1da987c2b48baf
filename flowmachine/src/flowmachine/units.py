"""Spatial units: what a region is, and by which columns it is named.

Inside the engine a region is one integer, ``location``: the position of its id columns in ascending byte order among
the regions of the unit. So the order of keys is the order that breaks ties, and joins and groupings compare integers.
The id columns come back when a result is published.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import marshmallow as ma
import sqlalchemy as sa

from flowmachine.fields import Choice, ColumnName, TableName, canonical_json, known_tables, optional, required
from flowmachine.registry import field_group

ADMIN_LEVELS = ("admin0", "admin1", "admin2", "admin3")
UNITS = (*ADMIN_LEVELS, "lon-lat")
#: The table of points where none is named: a cell's own. Every server knows it.
GEOMETRIES = "infrastructure.cells"
#: Units whose places are the network's own; for direct use only.
NETWORK_UNITS = ("cell", "versioned-cell", "versioned-site")


@dataclass(frozen=True)
class SpatialUnit:
    """A unit: its name and, where cells are not placed by their own point, the tables that place them.

    Tables are ``schema.table``; ``geom_table`` is None for the list of cells.
    """

    name: str
    mapping_table: str | None = None
    geom_table: str | None = None
    geom_table_join_column: str | None = None

    @property
    def id_columns(self) -> dict[str, Any]:
        """The columns that name a region in results, with their types."""
        names = {
            "cell": ("location_id",),
            "versioned-cell": ("location_id", "version", "lon", "lat"),
            "versioned-site": ("site_id", "version", "lon", "lat"),
            "lon-lat": ("lon", "lat"),
        }.get(self.name, ("pcod",))
        types = {"version": sa.Integer(), "lon": sa.Double(), "lat": sa.Double()}
        return {name: types.get(name, sa.Text()) for name in names}

    @property
    def has_polygons(self) -> bool:
        return self.name in ADMIN_LEVELS

    @property
    def has_points(self) -> bool:
        """Whether each region is one point, so that there are distances; only points of cells and sites may be null."""
        return "lon" in self.id_columns

    @property
    def has_unknown_places(self) -> bool:
        """Whether an event may be at the null place: its cell is mapped to a region that does not exist."""
        return self.mapping_table is not None

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that place the cells, beside the list of cells and the boundaries: ``schema.table``."""
        return tuple(name for name in (self.mapping_table, self.geom_table) if name is not None)

    @property
    def mapped_column(self) -> str:
        """The column of the mapping table that names a cell's region."""
        return f"{self.name}pcod" if self.has_polygons else (self.geom_table_join_column or "id")

    @property
    def key(self) -> str:
        """A short text, equal for equal units; part of the names of the unit's map."""
        if self == SpatialUnit(self.name):
            return self.name.replace("-", "_")
        parts = [self.name, self.mapping_table, self.geom_table, self.geom_table_join_column]
        digest = hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:12]
        # A letter, lest a digest of digits alone be taken for a version.
        return f"{self.name.replace('-', '_')}_t{digest}"


#: Every cell that is in the list of cells or that an event named, whether in service or not.
CELLS = SpatialUnit("cell")
#: Each version of a cell, with its point.
VERSIONED_CELLS = SpatialUnit("versioned-cell")
#: Each version of a site, with its point. An event is at every version of its cell's site in service that day, once for
#: each version of the cell.
SITES = SpatialUnit("versioned-site")


def demand_polygons(aggregation_unit: str) -> None:
    """Refuse a unit of points for a kind that needs areas; raises marshmallow.ValidationError under its field.

    The field itself names every unit, because scopes are made of its words.
    """
    if aggregation_unit not in ADMIN_LEVELS:
        raise ma.ValidationError({"aggregation_unit": [f"Must be one of: {', '.join(ADMIN_LEVELS)}."]})


@field_group
class Unit:
    """Fields of a kind that has a spatial unit of its own."""

    aggregation_unit: str = required(Choice(*UNITS))
    mapping_table: str | None = optional(TableName())
    geom_table: str | None = optional(TableName())
    geom_table_join_column: str | None = optional(ColumnName())

    @property
    def unit(self) -> SpatialUnit:
        return self._placed

    @property
    def _placed(self) -> SpatialUnit:
        mapping_table = _qualified(self.mapping_table)
        if self.aggregation_unit in ADMIN_LEVELS:
            # Administrative units always lie in the geography schema: the geometry fields mean nothing to them.
            return SpatialUnit(self.aggregation_unit, mapping_table)
        geom_table = _qualified(self.geom_table)
        if geom_table == GEOMETRIES:
            geom_table = None
        return SpatialUnit(self.aggregation_unit, mapping_table, geom_table, self.geom_table_join_column)

    def check(self) -> None:
        """Refuse tables that cannot place cells; where ``known_tables`` is set, those that are not there, too."""
        errors: dict[str, list[str]] = {}
        for name, text in self._refused_tables():
            errors.setdefault(name, [text])
        if errors:
            raise ma.ValidationError(errors)

    def _refused_tables(self) -> Iterator[tuple[str, str]]:
        unit, columns_of = self._placed, known_tables.get()
        not_mapped = "geom_table_join_on not in mapping table's columns."
        if unit.mapping_table is None:
            if unit.geom_table is not None:
                text = f"{self.geom_table} places cells through a mapping_table only: give one, or leave geom_table out."
                yield "geom_table", text
            return
        if unit.geom_table is not None and unit.geom_table_join_column is None:
            yield "geom_table_join_column", not_mapped
        if columns_of is None:
            return
        mapping = columns_of(unit.mapping_table)
        if mapping is None:
            yield "mapping_table", f"{self.mapping_table} is not a known table."
        elif "id" not in mapping or (unit.has_polygons and unit.mapped_column not in mapping):
            yield "mapping_table", not_mapped
        elif unit.mapped_column not in mapping:
            yield "geom_table_join_column", not_mapped
        if unit.has_polygons:
            return
        geometry_table = unit.geom_table or GEOMETRIES
        geometry = columns_of(geometry_table)
        if geometry is None:
            yield "geom_table", f"{self.geom_table} is not a known table."
        elif "geom_point" not in geometry:
            yield "geom_table", f"{geometry_table} has no column geom_point."
        elif unit.mapped_column not in geometry:
            yield "geom_table_join_column", f"{geometry_table} has no column {unit.mapped_column}."


@field_group
class NetworkUnit(Unit):
    """Fields of a kind for direct use that has a spatial unit of its own, which may be one of the network's."""

    aggregation_unit: str = required(Choice(*UNITS, *NETWORK_UNITS))

    def check(self) -> None:
        if self.aggregation_unit not in NETWORK_UNITS:
            super().check()
        else:
            given = ("mapping_table", "geom_table", "geom_table_join_column")
            text = "Cells and sites are places themselves: no table places them."
            refused = {name: [text] for name in given if getattr(self, name) is not None}
            if refused:
                raise ma.ValidationError(refused)


def _qualified(table: str | None) -> str | None:
    """A table's name with its schema, which is ``flowmachine`` where none is given."""
    return table if table is None or "." in table else f"flowmachine.{table}"


def demand_points(unit: SpatialUnit, field: str) -> None:
    """Refuse a unit without points for a kind that measures distances; raises marshmallow.ValidationError under a field."""
    if not unit.has_points:
        raise ma.ValidationError(
            {field: [f"aggregation_unit must be one of points, such as lon-lat, not {unit.name}."]}
        )
