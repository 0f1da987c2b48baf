"""Score the sites of each subscriber by when they are used."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.aggregates._meaningful import HourScores, WeekdayScores, sites_of
from flowmachine.spec.fields import optional, required
from flowmachine.spec.places import SITES, SpatialUnit
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.windows import EventFields, Window, window_selection

#: By night -1, and in working hours 1.
HOURS = (*[-1.0] * 7, *[0.0] * 2, *[1.0] * 8, *[0.0] * 4, *[-1.0] * 3)


@query_kind("event_score", direct=True)
class EventScore(Window, EventFields, Query):
    """Score each site of a subscriber by the hours and weekdays of the events there.

    A score is the mean over the events. ``days`` is the number of days with an event. Sites whose point is unknown
    are left out.
    """

    columns: ClassVar[dict[str, Any]] = {
        "subscriber": sa.Text(),
        "location": sa.Integer(),
        "days": sa.BigInteger(),
        "hour_score": sa.Double(),
        "day_score": sa.Double(),
    }

    tower_hour_of_day_scores: tuple[float, ...] = optional(HourScores(), HOURS)
    tower_day_of_week_scores: dict[str, float] = required(WeekdayScores())

    @property
    def unit(self) -> SpatialUnit:
        return SITES

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        sites = sites_of(sources, self, self.events[0]).subquery("sites")
        days = sa.cast(sites.c.days, sa.BigInteger)
        return sa.select(
            sites.c.subscriber, sites.c.location, days.label("days"), sites.c.hour_score, sites.c.day_score
        )
