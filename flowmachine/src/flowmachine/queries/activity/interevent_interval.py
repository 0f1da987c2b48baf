"""Measure the time between successive events of a subscriber."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import statistic, statistic_type
from flowmachine.queries.activity._gaps import Gaps
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind


@query_kind("interevent_interval", direct=True)
class IntereventInterval(Gaps, SubscriberMetric):
    """Take a statistic of the seconds between each subscriber's events.

    A subscriber with a single event has no gap: the count is 0, other statistics are null.
    """

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {"subscriber": sa.Text(), "value": statistic_type(self.statistic, sa.Double())}

    def select(self, sources: Sources) -> Select[Any]:
        gaps = self.gaps(sources)
        value = statistic(self.statistic, gaps.c.seconds)
        return sa.select(gaps.c.subscriber, value.label("value")).group_by(gaps.c.subscriber)
