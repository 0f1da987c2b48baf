"""Locate each subscriber where they stay longest on a day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.movement.stays import STAY, Stays
from flowmachine.spec.fields import Integer, Moment, Number, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Sources, SubscriberLocations, field_group, query_kind
from flowmachine.spec.windows import WHOLE_DAYS
from flowmachine.sql.functions import earlier_place, first_by, microseconds


@field_group
class StaysOfDay:
    """Hold the fields of kinds about one day of stays."""

    stays: Stays = required(Nested("stays"))
    date: datetime = required(Moment(), "The day, ISO text or a date.", example="2016-01-01")
    day_start_hour: int = optional(Integer(0, 23), 0, "Hour at which the day begins.", example=4)
    minimum_minutes: float = optional(
        Number(0.0, 25.0 * 60), 0.0, "Least time at a location, in all stays of the day.", example=60
    )

    def check(self) -> None:
        problem = WHOLE_DAYS.edge_problem(self.date)
        if not self.stays.start_date <= self.date < self.stays.end_date:
            problem = "date must lie in the window of stays."
        if problem is not None:
            raise ma.ValidationError({"date": [problem]})

    @property
    def unit(self) -> SpatialUnit:
        return self.stays.unit

    def stayed(self, sources: Sources) -> FromClause:
        """Return (``subscriber``, ``location``, ``seconds``) of the longest stays.

        The time of all stays at one location counts.
        """
        found = sources.stored(self.stays)
        begin = self.date + timedelta(hours=self.day_start_hour)
        first, last = (sources.utc(moment) for moment in (begin, begin + timedelta(days=1)))
        start = sa.case((found.c.start < first, sa.literal(first, sa.DateTime)), else_=found.c.start)
        end = sa.case((found.c.end > last, sa.literal(last, sa.DateTime)), else_=found.c.end)
        inside = (
            sa.select(
                found.c.subscriber,
                found.c.location,
                sa.func.sum(microseconds(end) - microseconds(start)).label("time"),
            )
            .where(found.c.state == STAY, found.c.start < last, found.c.end > first)
            .group_by(found.c.subscriber, found.c.location)
            .subquery("inside")
        )
        time = sa.cast(inside.c.time, sa.BigInteger)
        longest = first_by(inside.c.location, time, earlier_place(inside.c.location))
        chosen = (
            sa.select(inside.c.subscriber, longest.label("location"), sa.func.max(time).label("time"))
            .group_by(inside.c.subscriber)
            .subquery("chosen")
        )
        return (
            sa.select(
                chosen.c.subscriber,
                chosen.c.location,
                (sa.cast(chosen.c.time, sa.Double) / 1e6).label("seconds"),
            )
            .where(chosen.c.time >= round(self.minimum_minutes * 60e6))
            .subquery("stayed")
        )


@query_kind("longest_stay", summary="One location per subscriber: where they stayed longest on a day.")
class LongestStay(StaysOfDay, SubscriberLocations):
    """Find the location with most time of stays on a day.

    The day has 24 hours from ``day_start_hour``. Only the part of a stay inside the day counts. Ties go to the location that sorts first. Subscribers without a
    stay have no row, and those who stay nowhere for ``minimum_minutes``.
    """

    def select(self, sources: Sources) -> Select[Any]:
        found = self.stayed(sources)
        return sa.select(found.c.subscriber, found.c.location)
