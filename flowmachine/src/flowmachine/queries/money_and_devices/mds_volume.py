"""Measure how much data each subscriber transferred."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import STATISTICS, statistic, statistic_type
from flowmachine.spec.fields import Choice, HourInterval, Hours, optional
from flowmachine.spec.nested import SubscriberSubset
from flowmachine.spec.query import EventSelection, Query, Sources, SubscriberMetric, query_kind
from flowmachine.spec.windows import Window
from flowmachine.sql.events import select_events


@query_kind("mds_volume", direct=True)
class MDSVolume(Window, SubscriberMetric):
    """Take a statistic of the volumes, in megabytes, of each subscriber's sessions."""

    reads_cells: ClassVar[bool] = False

    volume: str = optional(Choice("total", "upload", "download"), "total")
    statistic: str = optional(Choice(*STATISTICS), "sum")
    subscriber_subset: Query | None = optional(SubscriberSubset())
    hours: HourInterval | None = optional(Hours())

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {"subscriber": sa.Text(), "value": statistic_type(self.statistic, sa.Double())}

    @property
    def events(self) -> tuple[EventSelection]:
        return (EventSelection(self.start_date, self.end_date, ("mds",), self.hours, self.subscriber_subset),)

    def select(self, sources: Sources) -> Select[Any]:
        name = f"volume_{self.volume}"
        sessions = select_events(sources, self.events[0], (name,))
        value = statistic(self.statistic, sessions.c[name])
        return sa.select(sessions.c.subscriber, value.label("value")).group_by(sessions.c.subscriber)
