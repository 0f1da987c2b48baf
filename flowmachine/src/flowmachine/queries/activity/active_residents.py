"""Count the residents of each location who use their phone on each day."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Choice, EventTypes, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Measure, Published, Region, Value
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.windows import EVENT_TYPES, WholeDays
from flowmachine.sql.events import locate_events, select_events


@query_kind(
    "active_residents",
    summary="The residents of each location and those of them with an event, by day.",
)
class ActiveResidents(WholeDays, Aggregate):
    """Count subscribers by reference location, and those with an event, by day.

    ``active`` ``at_home`` counts only events at the reference location, ``anywhere`` all. Every loaded day has
    a row for each location with residents, also where nobody was active. A count of people divided by
    (``active_share`` of its day / median ``active_share`` of quiet weeks) is free of changes in how much
    people use their phones (the method of Flowminder's reports on COVID-19, 2020).

    A row is released if residents, active and inactive residents are each nobody or over the floor.
    """

    reference_location: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))
    active: str = optional(
        Choice("anywhere", "at_home"),
        "anywhere",
        "Where an event makes a resident active.",
        example="at_home",
    )
    event_types: tuple[str, ...] | None = optional(EventTypes(), doc=EVENT_TYPES)

    @property
    def unit(self) -> SpatialUnit:
        unit = self.reference_location.unit
        assert unit is not None
        return unit

    @property
    def events(self) -> tuple[EventSelection]:
        return (EventSelection(self.start_date, self.end_date, self.event_types),)

    def contributors(self, sources: Sources) -> FromClause:
        """Return each resident on each day, with 1 for the active."""
        located = sources.stored(self.reference_location)
        residents = (
            sa.select(located.c.location, located.c.subscriber)
            .where(located.c.location.is_not(None))
            .subquery("residents")
        )
        loaded = sources.loaded_dates(self.events[0])
        days = sa.union_all(*(sa.select(sa.literal(day, sa.Date).label("date")) for day in loaded)).subquery(
            "days"
        )
        seen = self._seen(sources)
        same = [seen.c.subscriber == residents.c.subscriber, seen.c.date == days.c.date]
        if self.active == "at_home":
            same.append(seen.c.location == residents.c.location)
        return (
            sa.select(
                residents.c.location,
                days.c.date,
                residents.c.subscriber,
                sa.case((seen.c.subscriber.is_not(None), 1), else_=0).label("seen"),
            )
            .select_from(residents.join(days, sa.true()).outerjoin(seen, sa.and_(*same)))
            .subquery("people")
        )

    def _seen(self, sources: Sources) -> FromClause:
        """Return who had an event on which day and, for those at home, where."""
        if self.active == "at_home":
            events = locate_events(sources, self.events[0], self.unit, ("local_time",))
            place = [events.c.location]
        else:
            events = select_events(sources, self.events[0], ("local_time",))
            place = []
        date = sa.cast(events.c.local_time, sa.Date).label("date")
        return sa.select(events.c.subscriber, date, *place).distinct().subquery("seen")

    def value(self, contributors: FromClause) -> ColumnElement[Any]:
        return sa.func.sum(contributors.c.seen)

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        counts = counted.subquery("counts")
        return sa.select(
            counts,
            counts.c.subscribers.label("residents"),
            counts.c.value.label("active"),
            (counts.c.subscribers - counts.c.value).label("inactive"),
            (sa.cast(counts.c.value, sa.Double) / counts.c.subscribers).label("active_share"),
        )

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit),
                Value("date", sa.Date()),
                Measure("residents", sa.BigInteger()),
                Measure("active", sa.BigInteger()),
                Measure("active_share", sa.Double()),
            ),
            KeepOver("residents", beside=("active", "inactive")),
        )
