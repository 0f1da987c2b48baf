"""Measure how far each subscriber's events lie from their centre."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events
from flowmachine.sql.geometry import geodesic_metres

PLACES = SpatialUnit("lon-lat")


@query_kind("radius_of_gyration", summary="How far from their centre each subscriber ranges, in kilometres.")
class RadiusOfGyration(Window, EventFields, Sampled, SubscriberMetric):
    """Compute the root mean squared distance of events from their centre.

    Distances are km on the spheroid, between a subscriber's located events and their centre. The centre is
    the mean of longitudes and of latitudes. Every event weighs the same (González, Hidalgo and Barabási,
    Nature 453, 2008).
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        # Few distinct places stand behind many events, and the spheroid distance is the expensive part.
        located = locate_events(sources, self.events[0], PLACES, ())
        visits = (
            sa.select(located.c.subscriber, located.c.location, sa.func.count().label("events"))
            .group_by(located.c.subscriber, located.c.location)
            .subquery("visits")
        )
        regions = sources.regions(PLACES)
        places = (
            sa.select(visits.c.subscriber, visits.c.events, regions.c.lon, regions.c.lat)
            .join(regions, visits.c.location == regions.c.location)
            .cte("places")
        )
        count = sa.cast(sa.func.sum(places.c.events), sa.Double)
        centres = (
            sa.select(
                places.c.subscriber,
                (sa.func.sum(places.c.lon * places.c.events) / count).label("lon"),
                (sa.func.sum(places.c.lat * places.c.events) / count).label("lat"),
                count.label("events"),
            )
            .group_by(places.c.subscriber)
            .subquery("centres")
        )
        distance = geodesic_metres(places.c.lon, places.c.lat, centres.c.lon, centres.c.lat)
        mean_square = sa.func.sum(distance * distance * places.c.events) / sa.func.max(centres.c.events)
        return (
            sa.select(places.c.subscriber, (sa.func.sqrt(mean_square) / 1000).label("value"))
            .join(centres, places.c.subscriber == centres.c.subscriber)
            .group_by(places.c.subscriber)
        )
