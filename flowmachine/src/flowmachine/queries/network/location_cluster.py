"""Cluster sites or cells that are near each other."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.network._infrastructure import Infrastructure, in_service, projection
from flowmachine.spec.fields import Choice, Flag, Integer, Number, optional
from flowmachine.spec.query import Query, Sources, query_kind


@query_kind("location_cluster", direct=True)
class LocationCluster(Infrastructure, Query):
    """Number, from 0, the cluster of each site or cell in service on a date.

    Only places with a point are included.

    ``kmeans`` makes ``number_of_clusters`` clusters, fewer where there are fewer points. ``dbscan`` joins
    places with at least ``density_tolerance`` places, themselves included, within ``distance_tolerance`` km,
    and the places near to them. Other places are in no cluster, and in the result, with a null cluster, only
    if ``return_no_cluster``. ``aggregate`` gives a row for each cluster instead: its members' ids in byte
    order, its hull and its points as GeoJSON.

    Distances are those on an azimuthal equidistant map about the mean of the points: within 500 km of the
    mean they are true to a thousandth.
    """

    #: The clusters are found by window functions that only PostGIS has.
    needs_database: ClassVar[bool] = True

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

    def select(self, sources: Sources) -> Select[Any]:
        points = in_service(sources, self).cte("points")
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

    def _cluster(self, points: FromClause) -> Any:
        """Return the window function that numbers the clusters."""
        on_map = sa.func.ST_Transform(points.c.point, projection(points))
        if self.method == "dbscan":
            metres = sa.cast(self.distance_tolerance * 1000, sa.Double)
            return sa.func.ST_ClusterDBSCAN(on_map, metres, self.density_tolerance)
        distinct = sa.select(sa.func.count(points.c.point.distinct())).scalar_subquery()
        count = sa.cast(sa.func.least(self.number_of_clusters, distinct), sa.Integer)
        return sa.func.ST_ClusterKMeans(on_map, count)
