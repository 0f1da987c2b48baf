"""Spatial units: what a region is, and by which columns it is named.

Inside the engine a region is one integer, ``location``: the position of its id columns in ascending byte order among
the regions of the unit. So the order of keys is the order that breaks ties, and joins and groupings compare integers.
The id columns come back when a result is published.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import marshmallow as ma
import sqlalchemy as sa

from flowmachine.fields import Choice, ColumnName, TableName, canonical_json, optional, required
from flowmachine.registry import field_group

ADMIN_LEVELS = ("admin0", "admin1", "admin2", "admin3")
UNITS = (*ADMIN_LEVELS, "lon-lat")
#: Units whose places are the network's own; for direct use only.
NETWORK_UNITS = ("cell", "versioned-cell", "versioned-site")


@dataclass(frozen=True)
class SpatialUnit:
    """A unit: its name and, where cells are not placed by their own point, the tables that place them."""

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
    def key(self) -> str:
        """A short text, equal for equal units; part of the names of the unit's map."""
        if self == SpatialUnit(self.name):
            return self.name.replace("-", "_")
        parts = [self.name, self.mapping_table, self.geom_table, self.geom_table_join_column]
        digest = hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:12]
        return f"{self.name.replace('-', '_')}_{digest}"


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
        if self.aggregation_unit in ADMIN_LEVELS:
            # Administrative units always lie in the geography schema: the geometry fields mean nothing to them.
            return SpatialUnit(self.aggregation_unit, self.mapping_table)
        geom_table = None if self.geom_table == "infrastructure.cells" else self.geom_table
        return SpatialUnit(self.aggregation_unit, self.mapping_table, geom_table, self.geom_table_join_column)


@field_group
class NetworkUnit(Unit):
    """Fields of a kind for direct use that has a spatial unit of its own, which may be one of the network's."""

    aggregation_unit: str = required(Choice(*UNITS, *NETWORK_UNITS))

    def check(self) -> None:
        if self.aggregation_unit in NETWORK_UNITS:
            given = ("mapping_table", "geom_table", "geom_table_join_column")
            text = "Cells and sites are places themselves: no table places them."
            refused = {name: [text] for name in given if getattr(self, name) is not None}
            if refused:
                raise ma.ValidationError(refused)


def demand_points(unit: SpatialUnit, field: str) -> None:
    """Refuse a unit without points for a kind that measures distances; raises marshmallow.ValidationError under a field."""
    if not unit.has_points:
        raise ma.ValidationError(
            {field: [f"aggregation_unit must be one of points, such as lon-lat, not {unit.name}."]}
        )
