"""Locate each subscriber where they were on most days."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.query import EventSelection, Sources, SubscriberLocations, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events
from flowmachine.sql.functions import earlier_place, first_by


@query_kind("visited_most_days", summary="One location per subscriber: the one seen at on most days.")
class VisitedMostDays(Window, Unit, EventFields, Sampled, SubscriberLocations):
    """Find each subscriber's location with most calendar days.

    Ties go to most events, then to the latest event, then to the location that sorts first.
    """

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(sources, self.events[0], self.unit, ("time", "local_time"))
        date = sa.cast(located.c.local_time, sa.Date)
        days = (
            sa.select(
                located.c.subscriber,
                located.c.location,
                sa.func.count().label("events"),
                sa.func.max(located.c.time).label("latest"),
            )
            .group_by(located.c.subscriber, located.c.location, date)
            .subquery("days")
        )
        visits = (
            sa.select(
                days.c.subscriber,
                days.c.location,
                sa.func.count().label("days"),
                sa.func.sum(days.c.events).label("events"),
                sa.func.max(days.c.latest).label("latest"),
            )
            .group_by(days.c.subscriber, days.c.location)
            .subquery("visits")
        )
        location = first_by(
            visits.c.location,
            visits.c.days,
            visits.c.events,
            visits.c.latest,
            earlier_place(visits.c.location),
        )
        return sa.select(visits.c.subscriber, location.label("location")).group_by(visits.c.subscriber)
