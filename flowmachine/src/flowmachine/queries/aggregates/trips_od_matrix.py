"""Count subscribers who made a trip between two locations."""

from __future__ import annotations

from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.aggregates._flowing import pair_order
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import EventSelection, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events


@query_kind(
    "trips_od_matrix",
    component="TripsODMatrix",
    summary="The number of subscribers seen at one location before they were last at another.",
)
class TripsODMatrix(Window, Unit, EventFields, Aggregate):
    """Count subscribers by ordered pairs of visited locations.

    A subscriber counts for a pair after being at the first location before last being at the second location.
    Other locations may lie between the two.
    """

    adds_up: ClassVar[bool] = False

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def contributors(self, sources: Sources) -> FromClause:
        located = locate_events(sources, self.events[0], self.unit, ("time",))
        visits = (
            sa.select(
                located.c.subscriber,
                located.c.location,
                sa.func.min(located.c.time).label("first"),
                sa.func.max(located.c.time).label("last"),
            )
            .group_by(located.c.subscriber, located.c.location)
            .cte("visits")
        )
        origins, destinations = visits.alias("origins"), visits.alias("destinations")
        trip = sa.and_(
            origins.c.subscriber == destinations.c.subscriber,
            origins.c.location != destinations.c.location,
            origins.c.first < destinations.c.last,
        )
        return (
            sa.select(
                origins.c.location.label("location_from"),
                destinations.c.location.label("location_to"),
                origins.c.subscriber,
            )
            .join(destinations, trip)
            .subquery("trips")
        )

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit, "location_from", "_from"),
                Region(self.unit, "location_to", "_to"),
                Value("value", sa.BigInteger()),
            ),
            KeepOver("value"),
            pair_order(self, self),
        )
