"""Compute the area that each site or cell may serve."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries.network._infrastructure import Infrastructure, in_service, projection
from flowmachine.spec.fields import Choice, Number, optional
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.tables import admin_table

#: Corners in each quarter of a circle; its area is then true to a thousandth.
CORNERS = 32


@query_kind("location_area", direct=True)
class LocationArea(Infrastructure, Query):
    """Draw the area of each site or cell in service on a date as GeoJSON.

    Only places with a point are included. The area is given in square km.

    ``voronois``: all of the country (``admin0``) that is nearer to the place than to any other place. Places
    at one point share their area. Without a boundary of the country, these areas end beyond the outermost
    points.

    ``radius``: the circle of ``radius`` km.

    ``radius-voronois``: the intersection of both, which may be empty.

    Lines and distances are straight on an azimuthal equidistant map about the mean of the points: within 500
    km of the mean, true to a thousandth.
    """

    #: Only PostGIS cuts the plane into Voronoi polygons.
    needs_database: ClassVar[bool] = True

    method: str = optional(Choice("voronois", "radius", "radius-voronois"), "voronois")
    radius: float = optional(Number(at_least=0.001), 35.0)

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {
            "location": sa.Integer(),
            f"geom_{self.method.replace('-', '_')}": sa.Text(),
            "area": sa.Double(),
        }

    def select(self, sources: Sources) -> Select[Any]:
        points = in_service(sources, self).cte("points")
        on_map = (
            sa.select(
                points.c.location, sa.func.ST_Transform(points.c.point, projection(points)).label("point")
            )
            .cte("on_map")
            .prefix_with("MATERIALIZED")
        )
        circle = sa.func.ST_Buffer(
            on_map.c.point, sa.cast(self.radius * 1000, sa.Double), sa.cast(CORNERS, sa.Integer)
        )
        joined: FromClause = on_map
        area: ColumnElement[Any] = circle
        if self.method != "radius":
            country = self._country(points)
            polygons = self._voronois(on_map, country)
            joined = on_map.outerjoin(polygons, sa.func.ST_Contains(polygons.c.geom, on_map.c.point))
            # A single place has no polygon of its own: its area is the whole country.
            own = sa.func.coalesce(
                sa.func.ST_Intersection(polygons.c.geom, country), polygons.c.geom, country
            )
            area = own if self.method == "voronois" else sa.func.ST_Intersection(own, circle)
        areas = sa.select(on_map.c.location, area.label("area")).select_from(joined).subquery("areas")
        geom = sa.func.ST_Transform(areas.c.area, projection(points), 4326).label("geom")
        shapes = sa.select(areas.c.location, geom).subquery("shapes")
        name = list(self.columns)[1]
        return sa.select(
            shapes.c.location,
            sa.func.ST_AsGeoJSON(shapes.c.geom).label(name),
            (sa.func.ST_Area(sa.func.geography(shapes.c.geom)) / 1e6).label("area"),
        )

    def _country(self, points: FromClause) -> ColumnElement[Any]:
        """Return the country on the map, null if it has no boundary."""
        table, _ = admin_table(SpatialUnit("admin0"))
        return sa.select(
            sa.func.ST_Transform(sa.func.ST_Union(table.c.geom), projection(points))
        ).scalar_subquery()

    def _voronois(self, on_map: FromClause, country: ColumnElement[Any]) -> FromClause:
        """Return ``geom``: the polygons of everything nearest to one of the points."""
        together = sa.select(sa.func.ST_Collect(on_map.c.point)).scalar_subquery()
        polygons = sa.func.ST_VoronoiPolygons(together, sa.cast(0, sa.Double), country)
        return sa.func.ST_Dump(polygons).table_valued("path", "geom", name="polygons").render_derived()
