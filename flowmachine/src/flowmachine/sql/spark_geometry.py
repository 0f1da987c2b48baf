"""Spell distances, clusters and points within regions for Spark SQL.

Spark has no geometry. A geometry is the list of the edges of its rings: two points each.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pyarrow as pa
import shapely
from sqlalchemy.ext.compiler import compiles

from flowmachine.sql import geometry
from flowmachine.sql.spark import arguments

#: Type of a geometry in files.
EDGES = pa.list_(pa.struct([(name, pa.float64()) for name in ("x1", "y1", "x2", "y2")]))

# The WGS 84 spheroid: its axes in metres, and its flattening.
_EQUATOR, _POLE = 6378137.0, 6356752.314245179
_FLATTENING = 1 / 298.257223563

# Vincenty's inverse formula, Survey Review 23 (176), 1975. Sine and cosine of the reduced latitudes are b, c and
# d, e; l is the difference of longitudes and m that on the auxiliary sphere. Of the arc, x and y are the sine in
# two parts, g the length, r the sine, z the cosine and k the cosine at its middle; a is the sine of its azimuth
# at the equator and q the square of the cosine; f is the correction for the flattening. The series of p, o and h
# give the length w on the spheroid.
_TERMS = {
    **{name: f"s.{name}" for name in "bcdel"},
    "m": f"s.l + (1D - s.f) * {_FLATTENING!r}D * s.a"
    " * (s.g + s.f * s.r * (s.k + s.f * s.z * (2D * s.k * s.k - 1D)))",
    "x": "s.e * sin(s.m)",
    "y": "s.c * s.d - s.b * s.e + 2D * s.b * s.e * power(sin(s.m / 2D), 2D)",
    "z": "s.b * s.d + s.c * s.e * cos(s.m)",
    "r": "sqrt(s.x * s.x + s.y * s.y)",
    "g": "atan2(sqrt(s.x * s.x + s.y * s.y), s.z)",
    "a": "coalesce(s.c * s.x / nullif(s.r, 0D), 0D * s.r)",
    "q": "1D - s.a * s.a",
    "p": f"s.q * {(_EQUATOR**2 - _POLE**2) / _POLE**2!r}D",
    "k": "coalesce(s.z - 2D * s.b * s.d / nullif(s.q, 0D), 0D * s.q)",
    "f": f"{_FLATTENING / 16!r}D * s.q * (4D + {_FLATTENING!r}D * (4D - 3D * s.q))",
    "o": "1D + s.p / 16384D * (4096D + s.p * (-768D + s.p * (320D - 175D * s.p)))",
    "h": "s.p / 1024D * (256D + s.p * (-128D + s.p * (74D - 47D * s.p)))",
    "w": f"{_POLE!r}D * s.o * (s.g - s.h * s.r * (s.k + s.h / 4D * (s.z * (2D * s.k * s.k - 1D)"
    " - s.h / 6D * s.k * (4D * s.r * s.r - 3D) * (4D * s.k * s.k - 3D))))",
}
#: A term has its value of the step before in the other terms, so five steps are one iteration of the formula. An
#: iteration leaves a 300th of the error or less, except between almost opposite points of the earth.
_STEPS = 5 * 6 + 3


def metres(lon_a: str, lat_a: str, lon_b: str, lat_b: str) -> str:
    """Return the metres on the spheroid between two points, to half a millimetre."""
    u, v = (f"atan({1 - _FLATTENING!r}D * tan(radians({lat})))" for lat in (lat_a, lat_b))
    apart = f"radians({lon_b} - {lon_a})"
    # Sail refuses a state that may be null at one step and not at another.
    zero = f"abs(0D * {apart})"
    start = dict.fromkeys(_TERMS, zero) | {"l": apart, "m": apart}
    start |= {
        "b": f"sin({u}) + {zero}",
        "c": f"cos({u}) + {zero}",
        "d": f"sin({v}) + {zero}",
        "e": f"cos({v}) + {zero}",
    }
    # Nested lambdas would name the terms, too, but Sail takes twice as long to plan each level.
    return f"aggregate(sequence(1, {_STEPS}), {_struct(start)}, (s, i) -> {_struct(_TERMS)}, s -> s.w)"


def _struct(fields: Mapping[str, str]) -> str:
    """Return a struct of expressions."""
    return "named_struct({})".format(", ".join(f"'{name}', {value}" for name, value in fields.items()))


@compiles(geometry.geodesic_metres, "spark")
def _geodesic(element: Any, compiler: Any, **kwargs: Any) -> str:
    return metres(*arguments(element, compiler, **kwargs))


@compiles(geometry.strictly_within, "spark")
def _strictly_within(element: Any, compiler: Any, **kwargs: Any) -> str:
    x, y, edges = arguments(element, compiler, **kwargs)
    # Twice the area to the left of the edge: zero on its line.
    side = f"((e.x2 - e.x1) * ({y} - e.y1) - ({x} - e.x1) * (e.y2 - e.y1))"
    crossed = f"(e.y1 > {y}) <> (e.y2 > {y}) AND ({side} > 0D) = (e.y2 > e.y1)"
    on_it = (
        f"{side} = 0D AND {x} BETWEEN least(e.x1, e.x2) AND greatest(e.x1, e.x2)"
        f" AND {y} BETWEEN least(e.y1, e.y2) AND greatest(e.y1, e.y2)"
    )
    return f"(size(filter({edges}, e -> {crossed})) % 2 = 1 AND size(filter({edges}, e -> {on_it})) = 0)"


@compiles(geometry.geometry_from_text, "spark")
def _geometry_from_text(element: Any, compiler: Any, **kwargs: Any) -> str:
    (text,) = element.clauses
    listed = (
        "named_struct({})".format(", ".join(f"'{name}', {value!r}D" for name, value in edge.items()))
        for edge in edges_of(shapely.from_wkt(text.value))
    )
    return f"array({', '.join(listed)})"


def edges_of(geometry: Any) -> list[dict[str, float]]:
    """Return the edges of all rings of polygons."""
    rings = shapely.get_parts(shapely.get_rings(shapely.get_parts(geometry)))
    found = []
    for ring in rings:
        points = shapely.get_coordinates(ring).tolist()
        found += [{"x1": x1, "y1": y1, "x2": x2, "y2": y2} for (x1, y1), (x2, y2) in pairwise(points)]
    return found


@compiles(geometry.leader_clusters, "spark")
def _leader_clusters(element: Any, compiler: Any, **kwargs: Any) -> str:
    lons, lats, weights, radius = arguments(element, compiler, **kwargs)
    cluster = "STRUCT<lon: DOUBLE, lat: DOUBLE, weight: DOUBLE>"
    state = f"STRUCT<clusters: ARRAY<{cluster}>, members: ARRAY<INT>>"
    lon, lat = f"element_at({lons}, i)", f"element_at({lats}, i)"
    weight = f"CAST(element_at({weights}, i) AS DOUBLE)"
    # A degree of latitude is at least 110574 m, which settles most pairs without the expensive distance.
    near = (
        f"CASE WHEN abs(c.lat - {lat}) * 110574D >= {radius} THEN false"
        f" ELSE {metres('c.lon', 'c.lat', lon, lat)} < {radius} END"
    )
    chosen = (
        f"coalesce(nullif(array_position(transform(state.clusters, c -> {near}), true), 0L),"
        " size(state.clusters) + 1L)"
    )
    grown = f"""CAST(transform(
        CASE WHEN k > size(state.clusters)
            THEN concat(state.clusters, array(CAST(named_struct('lon', {lon}, 'lat', {lat}, 'weight', 0D) AS {cluster})))
            ELSE state.clusters END,
        (c, j) -> CASE WHEN j + 1 = k THEN named_struct(
            'lon', (c.lon * c.weight + {lon} * {weight}) / (c.weight + {weight}),
            'lat', (c.lat * c.weight + {lat} * {weight}) / (c.weight + {weight}),
            'weight', c.weight + {weight}) ELSE c END) AS ARRAY<{cluster}>)"""
    return f"""aggregate(
        sequence(1, size({lons})),
        CAST(named_struct('clusters', array(), 'members', array()) AS {state}),
        (state, i) -> element_at(transform(array({chosen}), k -> CAST(named_struct(
            'clusters', {grown},
            'members', concat(state.members, array(CAST(k AS INT)))) AS {state})), 1),
        state -> state.members)"""
