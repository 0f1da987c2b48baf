"""Define spatial units: what a region is and which columns name it.

Inside the engine a region is one integer, ``location``: the position of its id columns in ascending byte
order among the regions of the unit. The order of keys thus breaks ties, and joins and groupings compare
integers. Published results have the id columns again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from flowmachine.spec.fields import canonical_json

ADMIN_LEVELS = ("admin0", "admin1", "admin2", "admin3")

UNITS = (*ADMIN_LEVELS, "lon-lat")

#: The default table of points, which has each cell's own point; every server has this table.
GEOMETRIES = "infrastructure.cells"

#: Units whose places are parts of the network; for direct use only.
NETWORK_UNITS = ("cell", "versioned-cell", "versioned-site")

#: Units of square tiles, with the length of a side in metres; for direct use only, since a tile and a region of one
#: question could be subtracted.
GRIDS = {"grid-100m": 100, "grid-1km": 1000, "grid-10km": 10_000}

#: All units for direct use only.
DIRECT_UNITS = (*NETWORK_UNITS, *GRIDS)

#: The map on which tiles are squares: equal-area, in metres, of the whole world (EPSG 6933). Places keep their codes.
GRID_PROJECTION = "+proj=cea +lat_ts=30 +lon_0=0 +datum=WGS84 +units=m +no_defs"


@dataclass(frozen=True)
class SpatialUnit:
    """Describe a unit: its name and any tables that place its cells.

    Tables are ``schema.table``; ``geom_table`` is None for the list of cells.
    """

    name: str
    mapping_table: str | None = None
    geom_table: str | None = None
    geom_table_join_column: str | None = None

    @property
    def id_columns(self) -> dict[str, Any]:
        """Return the columns that name a region in results, with their types."""
        names = {
            "cell": ("location_id",),
            "versioned-cell": ("location_id", "version", "lon", "lat"),
            "versioned-site": ("site_id", "version", "lon", "lat"),
            "lon-lat": ("lon", "lat"),
            **dict.fromkeys(GRIDS, ("grid_id",)),
        }.get(self.name, ("pcod",))
        types = {"version": sa.Integer(), "lon": sa.Double(), "lat": sa.Double()}
        return {name: types.get(name, sa.Text()) for name in names}

    @property
    def has_polygons(self) -> bool:
        return self.name in ADMIN_LEVELS

    @property
    def has_points(self) -> bool:
        """Return whether each region is one point, so that distances exist.

        Only points of cells and sites may be null.
        """
        return "lon" in self.id_columns

    @property
    def has_unknown_places(self) -> bool:
        """Return whether an event may be at the null place.

        Its cell is then mapped to a region that does not exist.
        """
        return self.mapping_table is not None

    @property
    def tables(self) -> tuple[str, ...]:
        """List the tables that place the cells, as ``schema.table``.

        The list of cells and the boundaries are left out.
        """
        return tuple(name for name in (self.mapping_table, self.geom_table) if name is not None)

    @property
    def mapped_column(self) -> str:
        """Return the column of the mapping table that names a cell's region."""
        return f"{self.name}pcod" if self.has_polygons else (self.geom_table_join_column or "id")

    @property
    def key(self) -> str:
        """Return a short text, equal for equal units, for names of the unit's map."""
        if self == SpatialUnit(self.name):
            return self.name.replace("-", "_")
        parts = [self.name, self.mapping_table, self.geom_table, self.geom_table_join_column]
        digest = hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:12]
        # The letter keeps a digest of digits from looking like a version.
        return f"{self.name.replace('-', '_')}_t{digest}"


#: Every cell in the list of cells or named by an event, in service or not.
CELLS = SpatialUnit("cell")

#: Each version of a cell, with its point.
VERSIONED_CELLS = SpatialUnit("versioned-cell")

#: Each version of a site, with its point. An event is at every version of its cell's site in service that
#: day, once for each version of the cell.
SITES = SpatialUnit("versioned-site")


class Tables(Protocol):
    """Look up the tables that specs may name, as ``schema.table``."""

    def columns(self, name: str) -> Collection[str] | None:
        """Return the columns of a table, or None if specs may not name it."""
        ...

    def weights_problem(self, name: str, column: str) -> str | None:
        """Return what is wrong with weights by place code in a table's column, or None."""
        ...
