"""Draw areas as paths of SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

#: Width of the drawing in its own units; at 1,000 pixels one unit is one pixel.
WIDTH = 1000


def outlines(geometries: Sequence[Any], coarseness: float = 1.0) -> tuple[list[str], int]:
    """Return a path for each area, and the height of the drawing.

    Parameters
    ----------
    geometries : sequence of shapely geometries
        Areas in degrees that do not overlap. Common borders stay common.
    coarseness : float
        How far a line may move, in units of the drawing.
    """
    import numpy
    import shapely

    shapes = numpy.asarray(list(geometries), dtype=object)
    west, south, east, north = shapely.total_bounds(shapes)
    # A degree of longitude is shorter than one of latitude.
    narrow = math.cos(math.radians((south + north) / 2))
    unit = (east - west) * narrow / WIDTH

    def drawn(points: Any) -> Any:
        return numpy.column_stack([(points[:, 0] - west) * narrow / unit, (north - points[:, 1]) / unit])

    flat = shapely.transform(shapes, drawn)
    # The tolerance is the root of the area of a triangle that may go.
    simple = shapely.coverage_simplify(flat, coarseness)
    return [_path(shape) for shape in simple], math.ceil((north - south) / unit)


def _path(shape: Any) -> str:
    """Return the rings of a shape, in steps between whole units."""
    import shapely

    rings = []
    for polygon in shapely.get_parts(shape):
        for ring in (polygon.exterior, *polygon.interiors):
            points = [(round(x), round(y)) for x, y in ring.coords]
            steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points)]
            moved = " ".join(f"{x} {y}" for x, y in steps[:-1] if (x, y) != (0, 0))
            if moved:
                rings.append(f"M{points[0][0]} {points[0][1]}l{moved}z")
    return "".join(rings)
