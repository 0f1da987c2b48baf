"""Compute the times between successive events of a subscriber."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.queries._statistics import STATISTICS
from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.query import EventSelection, Sources, field_group
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import select_events
from flowmachine.sql.functions import microseconds


@field_group
class Gaps(Window, EventFields):
    """Hold the fields of kinds that take a statistic of gaps between events.

    The events are a subscriber's own events of a direction.
    """

    reads_cells: ClassVar[bool] = False

    statistic: str = optional(Choice(*STATISTICS), "avg")
    direction: str = optional(Choice("in", "out", "both"), "out")

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def gaps(self, sources: Sources) -> FromClause:
        """Return ``subscriber`` and ``seconds`` since the previous event.

        ``seconds`` is null for a subscriber's first event.
        """
        events = select_events(sources, self.events[0], ("time",), direction=self.direction)
        timed = sa.select(events.c.subscriber, microseconds(events.c.time).label("at")).subquery("timed")
        before: ColumnElement[Any] = sa.func.lag(timed.c.at).over(
            partition_by=timed.c.subscriber, order_by=timed.c.at
        )
        seconds = sa.cast(timed.c.at - before, sa.Double) / 1e6
        return sa.select(timed.c.subscriber, seconds.label("seconds")).subquery("gaps")
