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
        if self.name == "lon-lat":
            return {"lon": sa.Double(), "lat": sa.Double()}
        if self == SITES:
            return {"site_id": sa.Text(), "version": sa.Integer(), "lon": sa.Double(), "lat": sa.Double()}
        return {"pcod": sa.Text()}

    @property
    def has_polygons(self) -> bool:
        return self.name in ADMIN_LEVELS

    @property
    def key(self) -> str:
        """A short text, equal for equal units; part of the names of the unit's map."""
        if self == SpatialUnit(self.name):
            return self.name.replace("-", "_")
        parts = [self.name, self.mapping_table, self.geom_table, self.geom_table_join_column]
        digest = hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:12]
        return f"{self.name.replace('-', '_')}_{digest}"


#: Each version of a site, with its point; for use inside a kind only. An event is at every version of its cell's site in
#: service that day, once for each version of the cell.
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
