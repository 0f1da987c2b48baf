"""Measure how much each subscriber uses their phone in a day."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries._statistics import STATISTICS, statistic
from flowmachine.spec.fields import Choice, optional, required
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events, select_events
from flowmachine.sql.functions import microseconds

PLACES = SpatialUnit("lon-lat")

#: Measures of one day by their words, of its events in no order.
_COUNTED = ("events", "cells", "locations", "hours")


@query_kind(
    "activity_statistic", summary="A statistic over days of how much each subscriber used their phone."
)
class ActivityStatistic(Window, EventFields, Sampled, SubscriberMetric):
    """Take a statistic, over the days with events, of a measure of the day.

    ``events`` counts events, ``cells`` distinct cells, ``locations`` distinct points of cells, ``hours`` clock
    hours with events. ``mean_gap`` and ``stddev_gap`` are mean and deviation of the seconds between successive
    events of the day; days with fewer than two or three events have none. Subscribers without a measured day
    have no row.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}

    measure: str = required(Choice(*_COUNTED, "mean_gap", "stddev_gap"))
    statistic: str = optional(Choice(*STATISTICS), "avg")

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        days = self._counts(sources) if self.measure in _COUNTED else self._gaps(sources)
        value = sa.cast(statistic(self.statistic, days.c.measure), sa.Double)
        return (
            sa.select(days.c.subscriber, value.label("value"))
            .where(days.c.measure.is_not(None))
            .group_by(days.c.subscriber)
        )

    def _counts(self, sources: Sources) -> FromClause:
        if self.measure == "locations":
            events = locate_events(sources, self.events[0], PLACES, ("local_time",), keep_unplaced=True)
        else:
            events = select_events(sources, self.events[0], ("local_time", "cell"))
        measure: ColumnElement[Any]
        match self.measure:
            case "events":
                measure = sa.func.count()
            case "cells":
                measure = sa.func.count(events.c.cell.distinct())
            case "locations":
                measure = sa.func.count(events.c.location.distinct())
            case _:
                measure = sa.func.count(sa.extract("hour", events.c.local_time).distinct())
        return _by_day(events, measure)

    def _gaps(self, sources: Sources) -> FromClause:
        events = select_events(sources, self.events[0], ("time", "local_time"))
        before = sa.func.lag(events.c.time).over(
            partition_by=[events.c.subscriber, _date(events)], order_by=events.c.time
        )
        successive = sa.select(events, before.label("before")).subquery("successive")
        gap = microseconds(successive.c.time) - microseconds(successive.c.before)
        seconds = sa.cast(gap, sa.Double) / 1e6
        name = {"mean_gap": "avg", "stddev_gap": "stddev"}[self.measure]
        return _by_day(successive, statistic(name, seconds))


def _date(events: FromClause) -> ColumnElement[Any]:
    return sa.cast(events.c.local_time, sa.Date)


def _by_day(events: FromClause, measure: ColumnElement[Any]) -> FromClause:
    """Return (``subscriber``, ``measure``) of each day with events."""
    day = [events.c.subscriber, _date(events).label("date")]
    # Statistics of doubles are computed alike by the databases.
    return (
        sa.select(*day, sa.cast(measure, sa.Double).label("measure"))
        .group_by(events.c.subscriber, _date(events))
        .subquery("days")
    )
