"""Count subscribers by the locations of two successive events."""

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

#: No region's key.
_NONE_FOLLOWS = -1


@query_kind(
    "consecutive_trips_od_matrix",
    component="ConsecutiveTripsODMatrix",
    summary="The number of subscribers seen at one location, then at another or the same.",
)
class ConsecutiveTripsODMatrix(Window, Unit, EventFields, Aggregate):
    """Count distinct subscribers for each pair of locations of successive events.

    Pairs of the same location are included. Events at the same moment are in the order of their locations.
    """

    adds_up: ClassVar[bool] = False

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def contributors(self, sources: Sources) -> FromClause:
        located = locate_events(sources, self.events[0], self.unit, ("time",))
        # A marker separates the last event from an event followed by an event at the null place.
        following = sa.func.lead(located.c.location, 1, _NONE_FOLLOWS).over(
            partition_by=located.c.subscriber,
            order_by=[located.c.time, located.c.location.asc().nulls_last()],
        )
        steps = sa.select(
            located.c.location.label("location_from"),
            following.label("location_to"),
            located.c.subscriber,
        ).subquery("steps")
        return (
            sa.select(steps)
            .where(steps.c.location_to.is_distinct_from(_NONE_FOLLOWS))
            .distinct()
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
