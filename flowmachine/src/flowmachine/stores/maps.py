"""Build cell-to-region maps once per version of the cells.

A map says when each cell lay in which region. It is two tables in schema ``engine``:
``regions_<unit>_<version>`` (integer key and id columns, in byte order) and ``cells_<unit>_<version>`` (cell,
validity on the wall clock, region key). The region key is null for a cell that a mapping table puts into a
region that does not exist. Maps hold nothing about subscribers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.places import (
    ADMIN_LEVELS,
    CELLS,
    GEOMETRIES,
    GRID_PROJECTION,
    GRIDS,
    SITES,
    VERSIONED_CELLS,
    SpatialUnit,
)
from flowmachine.sql.statements import CreateTableAs
from flowmachine.tables import (
    admin_table,
    location_keys,
    location_table,
    named_table,
    regions_around,
    site_table,
)

SINCE_EVER = datetime(1, 1, 1)
FOR_EVER = datetime(9999, 12, 31)


@dataclass(frozen=True)
class UnitMap:
    """Hold one unit's map at one version (``DataState.map_version``).

    It has the two relations, the number of regions and the ordered dates on which any cell changes its place.
    """

    unit: SpatialUnit
    version: str
    region_count: int = 0
    moves: tuple[date, ...] = ()

    @property
    def cells(self) -> sa.TableClause:
        """Return the cells' table.

        Columns: ``location_id`` (text), ``cell`` (integer key of the columnar files), ``valid_from``,
        ``valid_before``, ``location``.
        """
        return sa.table(
            f"cells_{self.unit.key}_{self.version}",
            sa.column("location_id", sa.Text),
            sa.column("cell", sa.Integer),
            sa.column("valid_from", sa.DateTime),
            sa.column("valid_before", sa.DateTime),
            sa.column("location", sa.Integer),
            schema="engine",
        )

    @property
    def regions(self) -> sa.TableClause:
        """Return the regions' table: ``location`` and the unit's id columns."""
        return sa.table(
            f"regions_{self.unit.key}_{self.version}",
            sa.column("location", sa.Integer),
            *(sa.column(name, type_) for name, type_ in self.unit.id_columns.items()),
            schema="engine",
        )

    @property
    def boundaries(self) -> FromClause:
        """Return ``location`` and ``geom`` of an administrative unit's regions."""
        table, pcod = admin_table(self.unit)
        regions = self.regions
        joined = regions.join(table, regions.c.pcod == pcod)
        return sa.select(regions.c.location, table.c.geom).select_from(joined).subquery("boundaries")

    @property
    def parents(self) -> FromClause:
        """Return ``location`` and ``parent``: the place code of the region one level up."""
        regions = self.regions
        level = ADMIN_LEVELS.index(self.unit.name)
        if level == 0:
            nothing = sa.cast(sa.null(), sa.Text).label("parent")
            return sa.select(regions.c.location, nothing).subquery("parents")
        around = regions_around(self.unit).subquery("around")
        parent = around.c[ADMIN_LEVELS[level - 1]].label("parent")
        joined = regions.outerjoin(around, around.c.pcod == regions.c.pcod)
        return sa.select(regions.c.location, parent).select_from(joined).subquery("parents")

    @property
    def exported(self) -> list[sa.TableClause | sa.Subquery]:
        """Return the named relations that another store needs copies of.

        Geometries of boundaries are well-known binary.
        """
        if not self.unit.has_polygons:
            return [self.cells, self.regions]
        boundaries = self.boundaries
        geom = sa.func.ST_AsBinary(boundaries.c.geom, type_=sa.LargeBinary)
        binary = sa.select(boundaries.c.location, geom.label("geom")).subquery(self.boundaries_name)
        parents = sa.select(self.parents).subquery(self.parents_name)
        return [self.cells, self.regions, binary, parents]

    @property
    def boundaries_name(self) -> str:
        return f"boundaries_{self.unit.key}_{self.version}"

    @property
    def parents_name(self) -> str:
        return f"parents_{self.unit.key}_{self.version}"


def unit_map(connection: sa.Connection, unit: SpatialUnit, version: str) -> UnitMap:
    """Return the unit's map, created once if missing, also by concurrent callers."""
    found = UnitMap(unit, version)
    if not _exists(connection, found):
        # The lock lasts until the caller's transaction ends, so do not take it just to look.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(found.cells.name))))
        if not _exists(connection, found):
            connection.execute(CreateTableAs("engine", found.regions.name, _regions(unit)))
            connection.execute(CreateTableAs("engine", found.cells.name, _cells(unit, found.regions)))
    count = connection.execute(sa.select(sa.func.count()).select_from(found.regions)).scalar_one()
    cells = found.cells
    moves = sa.union(sa.select(cells.c.valid_from.label("day")), sa.select(cells.c.valid_before)).order_by(
        "day"
    )
    return UnitMap(unit, version, count, tuple(day.date() for day in connection.execute(moves).scalars()))


def _exists(connection: sa.Connection, found: UnitMap) -> bool:
    return sa.inspect(connection).has_table(found.cells.name, schema="engine")


def outdated_maps(names: Iterable[str], cells_version: int) -> list[str]:
    """Return the names of outdated maps' relations.

    A map is outdated if its cells are former cells, or if its unit has a newer map.
    """
    versions: dict[str, tuple[str, tuple[int, ...]]] = {}
    newest: dict[str, tuple[int, ...]] = {}
    for name in names:
        if (parts := _NAME.fullmatch(name)) is not None:
            unit, version = parts[1], tuple(map(int, parts[2].split("_")))
            versions[name] = unit, version
            newest[unit] = max(version, newest.get(unit, version))
    return [
        name
        for name, (unit, version) in versions.items()
        if version[-1] < cells_version or version < newest[unit]
    ]


#: The map's unit and the numbers of ``DataState.map_version``; the last number is that of the cells, and none
#: ever falls.
_NAME = re.compile(r"((?:cells|regions|boundaries|edges|parents|weights)_.+?)_(\d+(?:_\d+)*)")


def drop_old_maps(connection: sa.Connection, cells_version: int) -> list[str]:
    """Drop outdated maps; return the names of their tables."""
    old = outdated_maps(sa.inspect(connection).get_table_names(schema="engine"), cells_version)
    for name in old:
        sa.Table(name, sa.MetaData(), schema="engine").drop(connection)
    return old


def _versions(table: sa.TableClause, id_column: str) -> FromClause:
    """Return each version of a cell or a site with its point, which may be null."""
    point = table.c.geom_point
    return sa.select(
        table.c.id.label(id_column),
        table.c.version,
        sa.func.ST_X(point).label("lon"),
        sa.func.ST_Y(point).label("lat"),
    ).subquery("ids")


def _points(unit: SpatialUnit) -> FromClause:
    """Return the distinct points of a lon-lat unit."""
    cells = location_table()
    point: ColumnElement[Any] = cells.c.geom_point
    if unit.geom_table is not None:
        geometry = named_table(unit.geom_table, "geom_point")
        point = geometry.c.geom_point
    return (
        sa.select(sa.func.ST_X(point).label("lon"), sa.func.ST_Y(point).label("lat"))
        .where(point.is_not(None))
        .distinct()
        .subquery("points")
    )


def _tile(unit: SpatialUnit, point: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the code of the tile in which a point lies, such as ``1kmN2599E4695``.

    Northing and easting are those of the lower left corner, in sides of a tile (the form of Eurostat's grids).
    """
    on_map = sa.func.ST_Transform(point, GRID_PROJECTION)
    side = sa.literal(float(GRIDS[unit.name]))
    north, east = (
        sa.cast(sa.func.floor(axis(on_map) / side), sa.BigInteger) for axis in (sa.func.ST_Y, sa.func.ST_X)
    )
    return sa.func.concat(unit.name.removeprefix("grid-"), "N", north, "E", east)


def _regions(unit: SpatialUnit) -> Select[Any]:
    if unit.has_polygons:
        pcod = admin_table(unit)[1]
        ids: FromClause = sa.select(pcod.label("pcod")).distinct().subquery("ids")
        order: list[ColumnElement[Any]] = [sa.collate(ids.c.pcod, "C")]
    elif unit == CELLS:
        ids = sa.union(sa.select(location_keys.c.location_id), sa.select(location_table().c.id)).subquery(
            "ids"
        )
        order = [sa.collate(ids.c.location_id, "C")]
    elif unit == VERSIONED_CELLS:
        ids = _versions(location_table(), "location_id")
        order = [sa.collate(ids.c.location_id, "C"), ids.c.version]
    elif unit == SITES:
        ids = _versions(site_table(), "site_id")
        order = [sa.collate(ids.c.site_id, "C"), ids.c.version]
    elif unit.name in GRIDS:
        point = location_table().c.geom_point
        tile = _tile(unit, point).label("grid_id")
        ids = sa.select(tile).where(point.is_not(None)).distinct().subquery("ids")
        order = [sa.collate(ids.c.grid_id, "C")]
    else:
        ids = _points(unit)
        order = [ids.c.lon, ids.c.lat]
    key = sa.cast(sa.func.row_number().over(order_by=order) - 1, sa.Integer).label("location")
    return sa.select(key, *ids.c)


def _named_points(unit: SpatialUnit, regions: sa.TableClause) -> FromClause:
    """Return ``name`` and ``location`` of a geometry table's points.

    Each point occurs once for a name.
    """
    column = unit.mapped_column
    geometry = named_table(unit.geom_table or GEOMETRIES, column, "geom_point").alias("geometry")
    point = geometry.c.geom_point
    at_point = sa.and_(regions.c.lon == sa.func.ST_X(point), regions.c.lat == sa.func.ST_Y(point))
    name = sa.cast(geometry.c[column], sa.Text).label("name")
    return sa.select(name, regions.c.location).join(regions, at_point).distinct().subquery("named_points")


def _cells(unit: SpatialUnit, regions: sa.TableClause) -> Select[Any]:
    if unit == CELLS:
        # No list says when these are in service, so they always are.
        return sa.select(
            regions.c.location_id,
            location_keys.c.location_key.label("cell"),
            sa.literal(SINCE_EVER, sa.DateTime).label("valid_from"),
            sa.literal(FOR_EVER, sa.DateTime).label("valid_before"),
            regions.c.location,
        ).outerjoin_from(regions, location_keys, location_keys.c.location_id == regions.c.location_id)
    cells = location_table()
    joined: FromClause
    location: ColumnElement[int] = regions.c.location
    first, last = cells.c.date_of_first_service, cells.c.date_of_last_service
    if unit == SITES:
        sites = site_table()
        first, last = sites.c.date_of_first_service, sites.c.date_of_last_service
        joined = cells.join(sites, cells.c.site_id == sites.c.id).join(
            regions, sa.and_(regions.c.site_id == sites.c.id, regions.c.version == sites.c.version)
        )
    elif unit == VERSIONED_CELLS:
        joined = cells.join(
            regions, sa.and_(regions.c.location_id == cells.c.id, regions.c.version == cells.c.version)
        )
    elif unit.name in GRIDS:
        joined = cells.join(regions, regions.c.grid_id == _tile(unit, cells.c.geom_point))
    elif unit.mapping_table is not None:
        mapping = named_table(unit.mapping_table, "id", unit.mapped_column).alias("mapping")
        mapped = sa.cast(mapping.c[unit.mapped_column], sa.Text)
        named: FromClause = regions if unit.has_polygons else _named_points(unit, regions)
        name = named.c.pcod if unit.has_polygons else named.c.name
        location = named.c.location
        # A cell missing from the table is nowhere; a cell in an unknown region is at the null place.
        joined = cells.join(mapping, sa.cast(mapping.c.id, sa.Text) == cells.c.id).outerjoin(
            named, name == mapped
        )
    elif unit.has_polygons:
        table, pcod = admin_table(unit)
        joined = cells.join(table, sa.func.ST_Within(cells.c.geom_point, table.c.geom)).join(
            regions, regions.c.pcod == pcod
        )
    else:
        point = cells.c.geom_point
        joined = cells.join(
            regions, sa.and_(regions.c.lon == sa.func.ST_X(point), regions.c.lat == sa.func.ST_Y(point))
        )
    return sa.select(
        cells.c.id.label("location_id"),
        location_keys.c.location_key.label("cell"),
        sa.func.coalesce(sa.cast(first, sa.DateTime), SINCE_EVER).label("valid_from"),
        sa.func.coalesce(sa.cast(last + 1, sa.DateTime), FOR_EVER).label("valid_before"),
        sa.cast(location, sa.Integer).label("location"),
    ).select_from(joined.outerjoin(location_keys, location_keys.c.location_id == cells.c.id))
