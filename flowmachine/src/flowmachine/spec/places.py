"""Spatial units: what a region is, and by which columns it is named.

Inside the engine a region is one integer, ``location``: the position of its id columns in ascending byte order among
the regions of the unit. So the order of keys is the order that breaks ties, and joins and groupings compare integers.
The id columns come back when a result is published.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from flowmachine.spec.fields import canonical_json

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
