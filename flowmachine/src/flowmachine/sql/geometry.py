"""Define geometric functions whose spelling differs between the two databases."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class geodesic_metres(FunctionElement[float]):
    """Return metres on the WGS 84 spheroid between two (lon, lat) in degrees."""

    type = sa.Double()
    inherit_cache = True


@compiles(geodesic_metres, "postgresql")
def _geodesic_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    lon_a, lat_a, lon_b, lat_b = (compiler.process(clause, **kwargs) for clause in element.clauses)
    points = [
        f"ST_SetSRID(ST_MakePoint({lon}, {lat}), 4326)::geography"
        for lon, lat in ((lon_a, lat_a), (lon_b, lat_b))
    ]
    return f"ST_Distance({points[0]}, {points[1]})"


@compiles(geodesic_metres, "duckdb")
def _geodesic_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    lon_a, lat_a, lon_b, lat_b = (compiler.process(clause, **kwargs) for clause in element.clauses)
    # Unlike its PostGIS namesake, this function takes latitude first.
    return f"ST_Distance_Spheroid(ST_Point({lat_a}, {lon_a})::POINT_2D, ST_Point({lat_b}, {lon_b})::POINT_2D)"


class strictly_within(FunctionElement[bool]):
    """Return whether the point (x, y) lies inside a geometry and not on its edge."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(strictly_within, "postgresql")
def _strictly_within_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    x, y, geometry = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"ST_Within(ST_SetSRID(ST_MakePoint({x}, {y}), 4326), {geometry})"


@compiles(strictly_within, "duckdb")
def _strictly_within_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    x, y, geometry = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"ST_Within(ST_Point({x}, {y}), {geometry})"


class geometry_from_text(FunctionElement[Any]):
    """Parse a geometry from its well-known text."""

    inherit_cache = True


@compiles(geometry_from_text, "postgresql")
def _geometry_from_text_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"ST_GeomFromText({compiler.process(element.clauses, **kwargs)}, 4326)"


@compiles(geometry_from_text, "duckdb")
def _geometry_from_text_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"ST_GeomFromText({compiler.process(element.clauses, **kwargs)})"


class leader_clusters(FunctionElement[Any]):
    """Number the cluster, from 1, of each point of ordered lon, lat and weight lists.

    Each point joins the first cluster whose centre is nearer than ``radius`` metres on the spheroid, and
    pulls the centre towards itself by its weight. A point without such a cluster starts a new cluster
    (Hartigan's leader algorithm, Clustering Algorithms, 1975, chapter 3). Each step needs the previous step,
    so PostgreSQL uses a recursion and DuckDB a reduction of the list. The arguments are columns, because they
    are named several times.
    """

    type = sa.ARRAY(sa.Integer())
    inherit_cache = True


@compiles(leader_clusters, "postgresql")
def _leader_clusters_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    lons, lats, weights, radius = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"""(
        WITH RECURSIVE walk (step, lons, lats, weights, members) AS (
            SELECT 0, ARRAY[]::float8[], ARRAY[]::float8[], ARRAY[]::float8[], ARRAY[]::int[]
            UNION ALL
            SELECT
                site.step,
                lons[:k - 1] || (coalesce(lons[k] * weights[k], 0) + site.lon * site.weight) / total || lons[k + 1:],
                lats[:k - 1] || (coalesce(lats[k] * weights[k], 0) + site.lat * site.weight) / total || lats[k + 1:],
                weights[:k - 1] || total || weights[k + 1:],
                members || k
            FROM walk
            CROSS JOIN LATERAL (
                SELECT walk.step + 1, ({lons})[walk.step + 1], ({lats})[walk.step + 1],
                    ({weights})[walk.step + 1]::float8
            ) AS site (step, lon, lat, weight)
            CROSS JOIN LATERAL (
                SELECT coalesce(min(i), cardinality(lons) + 1)
                FROM generate_subscripts(lons, 1) AS i
                WHERE ST_Distance(
                    ST_SetSRID(ST_MakePoint(lons[i], lats[i]), 4326)::geography,
                    ST_SetSRID(ST_MakePoint(site.lon, site.lat), 4326)::geography
                ) < {radius}
            ) AS nearest (k)
            CROSS JOIN LATERAL (SELECT coalesce(weights[k], 0) + site.weight) AS grown (total)
            WHERE walk.step < cardinality({lons})
        )
        SELECT members FROM walk ORDER BY step DESC LIMIT 1
    )"""  # noqa: S608  (made of columns only)


@compiles(leader_clusters, "duckdb")
def _leader_clusters_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    lons, lats, weights, radius = (compiler.process(clause, **kwargs) for clause in element.clauses)
    cluster = "STRUCT(lon DOUBLE, lat DOUBLE, weight DOUBLE)[]"
    # A degree of latitude is at least 110574 m, which settles most pairs without the expensive distance.
    near = (
        f"CASE WHEN abs(c.lat - site.lat) * 110574 >= {radius} THEN false ELSE"
        " ST_Distance_Spheroid(ST_Point(c.lat, c.lon)::POINT_2D, ST_Point(site.lat, site.lon)::POINT_2D)"
        f" < {radius} END"
    )
    # A reduction's state has the type of the list's items, so each site carries empty lists.
    return f"""list_reduce(
        list_transform(
            list_zip({lons}, {lats}, {weights}),
            lambda s: {{'lon': s[1], 'lat': s[2], 'weight': s[3]::DOUBLE,
                'clusters': NULL::{cluster}, 'members': NULL::INTEGER[]}}
        ),
        lambda state, site: list_transform(
            [coalesce(
                nullif(list_position(list_transform(state.clusters, lambda c: {near}), true), 0),
                len(state.clusters) + 1
            )],
            lambda k: {{'lon': site.lon, 'lat': site.lat, 'weight': site.weight,
                'clusters': list_transform(
                    CASE WHEN k > len(state.clusters)
                        THEN list_append(state.clusters, {{'lon': site.lon, 'lat': site.lat, 'weight': 0::DOUBLE}})
                        ELSE state.clusters END,
                    lambda c, i: CASE WHEN i = k THEN {{
                        'lon': (c.lon * c.weight + site.lon * site.weight) / (c.weight + site.weight),
                        'lat': (c.lat * c.weight + site.lat * site.weight) / (c.weight + site.weight),
                        'weight': c.weight + site.weight}}
                        ELSE c END
                ),
                'members': list_append(state.members, k::INTEGER)}}
        )[1],
        {{'lon': 0::DOUBLE, 'lat': 0::DOUBLE, 'weight': 0::DOUBLE,
            'clusters': []::{cluster}, 'members': []::INTEGER[]}}
    ).members"""
