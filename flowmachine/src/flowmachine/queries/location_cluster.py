"""Clusters of sites or cells that are near each other."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.fields import Choice, Flag, Integer, Moment, Number, optional, required
from flowmachine.maps import location_table, site_table
from flowmachine.registry import Query, query_kind
from flowmachine.sql.sources import Sources
from flowmachine.units import SITES, VERSIONED_CELLS, SpatialUnit


@query_kind("location_cluster", direct=True)
class LocationCluster(Query):
    """The cluster, numbered from 0, of each site or cell in service on a date that has a point.

    ``kmeans`` makes ``number_of_clusters`` clusters, fewer where there are not so many points. ``dbscan`` joins places
    with at least ``density_tolerance`` places, themselves included, within ``distance_tolerance`` km, and the places that
    near to them; the others are in no cluster, and in the result, with a null cluster, only if ``return_no_cluster``.
    ``aggregate`` gives a row for each cluster instead: its members' ids in byte order, its hull and its points as GeoJSON.

    A place is in service from its first day on and before its last. Distances are those on an azimuthal equidistant map
    about the mean of the points: within 500 km of it they are true to a thousandth.
    """

    #: The clusters are found by window functions that only PostGIS has.
    needs_database: ClassVar[bool] = True

    point_collection: str = optional(Choice("sites", "cells"), "sites")
    date: datetime = required(Moment())
    method: str = optional(Choice("kmeans", "dbscan"), "kmeans")
    number_of_clusters: int = optional(Integer(at_least=1), 5)
    distance_tolerance: float = optional(Number(at_least=0.0), 1.0)
    density_tolerance: int = optional(Integer(at_least=1), 5)
    aggregate: bool = optional(Flag(), False)
    return_no_cluster: bool = optional(Flag(), False)

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        if not self.aggregate:
            return {"location": sa.Integer(), "cluster_id": sa.Integer()}
        return {
            "cluster_id": sa.Integer(),
            "location_id_members": sa.ARRAY(sa.Text()),
            "geom_cluster": sa.Text(),
            "geom": sa.Text(),
        }

    @property
    def unit(self) -> SpatialUnit:
        return SITES if self.point_collection == "sites" else VERSIONED_CELLS

    def select(self, sources: Sources) -> Select[Any]:
        points = self._points(sources).cte("points")
        clusters = sa.select(
            points, self._cluster(points).over(order_by=points.c.location).label("cluster_id")
        ).subquery("clusters")
        if self.aggregate:
            members = sa.func.array_agg(aggregate_order_by(clusters.c.id, clusters.c.location))
            together = sa.func.ST_Collect(aggregate_order_by(clusters.c.point, clusters.c.location))
            return (
                sa.select(
                    clusters.c.cluster_id,
                    members.label("location_id_members"),
                    sa.func.ST_AsGeoJSON(sa.func.ST_ConvexHull(together)).label("geom_cluster"),
                    sa.func.ST_AsGeoJSON(together).label("geom"),
                )
                .where(clusters.c.cluster_id.is_not(None))
                .group_by(clusters.c.cluster_id)
            )
        found = sa.select(clusters.c.location, clusters.c.cluster_id)
        return found if self.return_no_cluster else found.where(clusters.c.cluster_id.is_not(None))

    def _points(self, sources: Sources) -> Select[Any]:
        """``location``, ``id``, ``point`` of the places in service."""
        regions = sources.regions(self.unit)
        table = site_table() if self.point_collection == "sites" else location_table()
        id_column = regions.c[next(iter(self.unit.id_columns))]
        first, last = table.c.date_of_first_service, table.c.date_of_last_service
        joined = regions.join(table, sa.and_(table.c.id == id_column, table.c.version == regions.c.version))
        day = self.date.date()
        return (
            sa.select(regions.c.location, table.c.id, table.c.geom_point.label("point"))
            .select_from(joined)
            .where(
                table.c.geom_point.is_not(None),
                sa.or_(first.is_(None), first <= day),
                sa.or_(last.is_(None), last > day),
            )
        )

    def _cluster(self, points: FromClause) -> Any:
        """The window function that numbers the clusters."""
        x, y = sa.func.ST_X(points.c.point), sa.func.ST_Y(points.c.point)
        projection = sa.select(
            sa.func.concat("+proj=aeqd +datum=WGS84 +lon_0=", sa.func.avg(x), " +lat_0=", sa.func.avg(y))
        ).scalar_subquery()
        on_map: ColumnElement[Any] = sa.func.ST_Transform(points.c.point, projection)
        if self.method == "dbscan":
            metres = sa.cast(self.distance_tolerance * 1000, sa.Double)
            return sa.func.ST_ClusterDBSCAN(on_map, metres, self.density_tolerance)
        distinct = sa.select(sa.func.count(points.c.point.distinct())).scalar_subquery()
        count = sa.cast(sa.func.least(self.number_of_clusters, distinct), sa.Integer)
        return sa.func.ST_ClusterKMeans(on_map, count)
