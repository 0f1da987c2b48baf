"""Measure how long each subscriber's calls last."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.contacts._durations import CallDurations
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind
from flowmachine.sql.events import select_events


@query_kind("subscriber_call_durations", direct=True)
class SubscriberCallDurations(CallDurations, SubscriberMetric):
    """Take a statistic of the seconds of each subscriber's calls."""

    reads_cells: ClassVar[bool] = False

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return self.with_value({"subscriber": sa.Text()})

    def select(self, sources: Sources) -> Select[Any]:
        calls = select_events(sources, self.events[0], ("duration",), direction=self.direction)
        return self.durations(calls, calls.c.subscriber)
