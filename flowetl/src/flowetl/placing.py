"""Check that cells and regions fit: refuse errors, report doubts."""

from collections.abc import Sequence

from psycopg2.extensions import cursor as Cursor

from flowetl.errors import DataFault

SHOWN = 3
"""How many of the cells and regions that a message speaks of are named."""
SLIVER_SHARE = 0.01
SLIVER_DEGREES = 50 / 111_320
"""An overlap of neighbours that is a smaller part of a region, or no wider, comes of drawing and is no fault."""

_PLACED = """
SELECT count(*), count(*) FILTER (WHERE regions = 0), count(*) FILTER (WHERE regions > 1), count(*) FILTER (WHERE exchanged),
    array_agg(id ORDER BY id) FILTER (WHERE regions = 0), array_agg(id ORDER BY id) FILTER (WHERE regions > 1)
FROM (
    SELECT cells.id, count(here.gid) AS regions, EXISTS (
        SELECT FROM geography.geoms AS there WHERE there.geo_kind_id = 1 AND there.spatial_resolution = %(level)s
        AND ST_Contains(there.geom, ST_FlipCoordinates(cells.geom_point))
    ) AS exchanged
    FROM infrastructure.cells AS cells LEFT JOIN geography.geoms AS here
    ON here.geo_kind_id = 1 AND here.spatial_resolution = %(level)s AND ST_Contains(here.geom, cells.geom_point)
    WHERE cells.geom_point IS NOT NULL GROUP BY cells.id, cells.version, cells.geom_point
) AS placed
"""
_OVERLAPS = """
SELECT one, other, share FROM (
    SELECT one.short_name AS one, other.short_name AS other, common,
        ST_Area(common) / least(ST_Area(one.geom), ST_Area(other.geom)) AS share
    FROM geography.geoms AS one JOIN geography.geoms AS other
    ON one.geom && other.geom AND one.short_name < other.short_name AND ST_Relate(one.geom, other.geom, '2********')
    CROSS JOIN LATERAL ST_CollectionExtract(ST_Intersection(one.geom, other.geom), 3) AS common
    WHERE one.geo_kind_id = 1 AND other.geo_kind_id = 1
    AND one.spatial_resolution = %(level)s AND other.spatial_resolution = %(level)s
) AS pairs
WHERE share > %(share)s AND NOT ST_IsEmpty(ST_Buffer(common, -%(width)s / 2)) ORDER BY share DESC
"""


def examine(cursor: Cursor) -> list[str]:
    """Return doubts about cells, sites and regions as they are loaded now.

    Raises
    ------
    DataFault
        When cells would count twice, or latitude and longitude are exchanged.
    """
    told = []
    cursor.execute("SELECT DISTINCT spatial_resolution FROM geography.geoms WHERE geo_kind_id = 1 ORDER BY 1")
    for (level,) in cursor.fetchall():
        told += _examine_level(cursor, level)
    cursor.execute(
        "SELECT array_agg(DISTINCT id) FROM infrastructure.cells WHERE ST_X(geom_point) = 0 AND ST_Y(geom_point) = 0"
    )
    (zero,) = cursor.fetchone() or (None,)
    if zero:
        told.append(
            f"{len(zero)} cells lie at latitude 0, longitude 0, such as {_some(zero)}: leave both empty if unknown"
        )
    cursor.execute(
        "SELECT array_agg(DISTINCT id) FROM infrastructure.sites AS sites "
        "WHERE NOT EXISTS (SELECT FROM infrastructure.cells WHERE site_id = sites.id)"
    )
    (without,) = cursor.fetchone() or (None,)
    if without:
        told.append(f"{len(without)} sites have no cell, such as {_some(without)}")
    return told


def _examine_level(cursor: Cursor, level: int) -> list[str]:
    told = []
    cursor.execute(_OVERLAPS, {"level": level, "share": SLIVER_SHARE, "width": SLIVER_DEGREES})
    overlaps = cursor.fetchall()
    if overlaps:
        one, other, share = overlaps[0]
        raise DataFault(
            f"admin{level}: regions overlap, and a cell in both would count twice: {one} and {other} share {share:.0%} of "
            f"the smaller one"
            + (f", and {len(overlaps) - 1} other pairs overlap" if len(overlaps) > 1 else "")
        )
    cursor.execute(_PLACED, {"level": level})
    cells, outside, twice, exchanged, nowhere, doubled = cursor.fetchone() or (0, 0, 0, 0, None, None)
    if twice:
        raise DataFault(
            f"admin{level}: {twice} cells lie in two regions and would count twice, such as {_some(doubled)}"
        )
    if outside * 2 > cells and exchanged * 2 > cells:
        raise DataFault(
            f"admin{level}: {_all_or(outside, cells)} lie outside; with latitude and longitude exchanged {exchanged} lie "
            f"inside: exchange them in cells.csv or in the boundaries of admin{level}"
        )
    if outside:
        told.append(f"admin{level}: {_all_or(outside, cells)} lie in no region, such as {_some(nowhere)}")
    cursor.execute(
        "SELECT array_agg(short_name ORDER BY short_name) FROM geography.geoms AS child WHERE geo_kind_id = 1 "
        "AND spatial_resolution = %(level)s AND additional_metadata ->> 'parent' IS NOT NULL "
        "AND EXISTS (SELECT FROM geography.geoms WHERE geo_kind_id = 1 AND spatial_resolution = %(level)s - 1) "
        "AND NOT EXISTS (SELECT FROM geography.geoms AS parent WHERE parent.geo_kind_id = 1 "
        "AND parent.spatial_resolution = %(level)s - 1 AND parent.short_name = child.additional_metadata ->> 'parent')",
        {"level": level},
    )
    (orphans,) = cursor.fetchone() or (None,)
    if orphans:
        told.append(
            f"admin{level}: {len(orphans)} regions name a parent that does not exist, such as {_some(orphans)}"
        )
    return told


def _all_or(part: int, whole: int) -> str:
    return f"all {whole} cells" if part == whole else f"{part} of {whole} cells"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN])
