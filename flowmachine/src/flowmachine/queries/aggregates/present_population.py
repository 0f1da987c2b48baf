"""Count the subscribers who are at each location at points of time."""

from __future__ import annotations

from datetime import datetime, timedelta

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import EventTypes, Integer, Moment, optional, required
from flowmachine.spec.nested import SubscriberSubset
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EVENT_TYPES, SUBSET
from flowmachine.sql.events import locate_events
from flowmachine.sql.functions import earlier_place, first_by, microseconds

#: Each point is compared with each event.
MOST_POINTS = 1_000
_MICROSECOND = timedelta(microseconds=1)
#: The clock is put forward or back by at most this much, so that a tolerance may end that much later.
_CLOCK_CHANGE = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1)


@query_kind(
    "present_population",
    summary="The number of subscribers at each location at points of time.",
)
class PresentPopulation(Unit, Aggregate):
    """Count subscribers by the location of their event nearest to a point of time.

    Points lie on the wall clock: ``start_date``, and every ``interval_minutes`` after it until ``end_date``, which may
    be a point, too. An event counts if it is at most ``tolerance_minutes`` away. Of events equally near the earlier
    counts, then the location that sorts first. Subscribers without such an event are nowhere (the method of
    Eurostat's multimno 1.0.0, present population).
    """

    start_date: datetime = required(Moment(), "The first point of time, ISO text or a date.")
    end_date: datetime = required(
        Moment(), "The last possible point of time, included.", example="2016-01-08"
    )
    interval_minutes: int = optional(Integer(15, 1440), 720, "Minutes between two points.", example=360)
    tolerance_minutes: int = optional(
        Integer(1, 720), 60, "Minutes that an event may be away from a point.", example=90
    )
    event_types: tuple[str, ...] | None = optional(EventTypes(), doc=EVENT_TYPES)
    subscriber_subset: Query | None = optional(SubscriberSubset(), doc=SUBSET)

    def check(self) -> None:
        super().check()
        if self.end_date < self.start_date:
            raise ma.ValidationError({"end_date": ["Must not be before start_date."]})
        number = (self.end_date - self.start_date) // self._interval + 1
        if number > MOST_POINTS:
            raise ma.ValidationError(
                {"interval_minutes": [f"Must give at most {MOST_POINTS} points of time; these are {number}."]}
            )

    @property
    def _interval(self) -> timedelta:
        return timedelta(minutes=self.interval_minutes)

    @property
    def points(self) -> list[datetime]:
        """Return the points of time on the wall clock."""
        number = (self.end_date - self.start_date) // self._interval + 1
        return [self.start_date + n * self._interval for n in range(number)]

    @property
    def events(self) -> tuple[EventSelection]:
        reach = timedelta(minutes=self.tolerance_minutes) + _CLOCK_CHANGE
        start, end = self.start_date - reach, self.end_date + reach + _MICROSECOND
        return (EventSelection(start, end, self.event_types, subset=self.subscriber_subset),)

    def contributors(self, sources: Sources) -> FromClause:
        located = locate_events(sources, self.events[0], self.unit)
        points = sa.union_all(
            *(
                sa.select(
                    sa.literal(point, sa.DateTime).label("datetime"),
                    sa.literal((sources.utc(point) - _EPOCH) // _MICROSECOND, sa.BigInteger).label("instant"),
                )
                for point in self.points
            )
        ).subquery("points")
        time = microseconds(located.c.time)
        distance = sa.func.abs(time - points.c.instant)
        reach = self.tolerance_minutes * 60_000_000
        near = (
            sa.select(
                located.c.subscriber,
                located.c.location,
                points.c.datetime,
                time.label("time"),
                distance.label("distance"),
            )
            .join(points, sa.and_(time >= points.c.instant - reach, time <= points.c.instant + reach))
            .subquery("near")
        )
        nearest = first_by(near.c.location, -near.c.distance, -near.c.time, earlier_place(near.c.location))
        return (
            sa.select(nearest.label("location"), near.c.datetime, near.c.subscriber)
            .group_by(near.c.datetime, near.c.subscriber)
            .subquery("present")
        )

    @property
    def published(self) -> Published:
        return Published(
            (Region(self.unit), Value("datetime", sa.DateTime()), Value("value", sa.BigInteger())),
            KeepOver("value"),
        )
