"""Describe how each subscriber's events are distributed over places."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import STATISTICS, statistic_type, whole_statistic
from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.places import DIRECT_UNITS, UNITS
from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.units import NetworkUnit
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events


@query_kind("per_location_event_stats", direct=True)
class PerLocationEventStats(Window, NetworkUnit, EventFields, SubscriberMetric):
    """Take a statistic of each subscriber's numbers of events at each location."""

    statistic: str = optional(Choice(*STATISTICS), "avg")
    aggregation_unit: str = optional(Choice(*UNITS, *DIRECT_UNITS), "cell")

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {"subscriber": sa.Text(), "value": statistic_type(self.statistic, sa.BigInteger())}

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(sources, self.events[0], self.unit, ())
        counts = (
            sa.select(located.c.subscriber, sa.func.count().label("events"))
            .group_by(located.c.subscriber, located.c.location)
            .subquery("counts")
        )
        value = whole_statistic(self.statistic, counts.c.events)
        return sa.select(counts.c.subscriber, value.label("value")).group_by(counts.c.subscriber)
