"""Measure how far each subscriber's most frequent places lie from their centre."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.movement._sequence import PLACES, Sequenced, visits
from flowmachine.spec.fields import Integer, optional
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.sql.geometry import geodesic_metres


@query_kind(
    "k_radius_of_gyration",
    summary="How far from their centre subscribers' most frequent places lie, in kilometres.",
)
class KRadiusOfGyration(Sequenced, Sampled, SubscriberMetric):
    """Compute the radius of gyration of the ``k`` places with most events.

    Ties go to the earlier first event, then to the place that sorts first. The centre is the mean of
    longitudes and of latitudes, and each event weighs the same. Distances are km on the spheroid (Pappalardo
    and others, Nature Communications 6, 8166, 2015).
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}

    k: int = optional(Integer(at_least=2), 2, "Number of places.", example=3)

    def select(self, sources: Sources) -> Select[Any]:
        found = visits(sources, self)
        rank = sa.func.row_number().over(
            partition_by=found.c.subscriber,
            order_by=[found.c.events.desc(), found.c.first, found.c.location],
        )
        ranked = sa.select(found, rank.label("rank")).subquery("ranked")
        regions = sources.regions(PLACES)
        places = (
            sa.select(
                ranked.c.subscriber,
                sa.cast(ranked.c.events, sa.Double).label("events"),
                regions.c.lon,
                regions.c.lat,
            )
            .join(regions, ranked.c.location == regions.c.location)
            .where(ranked.c.rank <= self.k)
            .cte("places")
        )
        total = sa.func.sum(places.c.events)
        centres = (
            sa.select(
                places.c.subscriber,
                (sa.func.sum(places.c.lon * places.c.events) / total).label("lon"),
                (sa.func.sum(places.c.lat * places.c.events) / total).label("lat"),
            )
            .group_by(places.c.subscriber)
            .subquery("centres")
        )
        distance = geodesic_metres(places.c.lon, places.c.lat, centres.c.lon, centres.c.lat)
        mean_square = sa.func.sum(distance * distance * places.c.events) / sa.func.sum(places.c.events)
        return (
            sa.select(places.c.subscriber, (sa.func.sqrt(mean_square) / 1000).label("value"))
            .join(centres, places.c.subscriber == centres.c.subscriber)
            .group_by(places.c.subscriber)
        )
