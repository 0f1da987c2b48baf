"""Count each subscriber's events."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import Directed, EventFields, Window, window_selection
from flowmachine.sql.events import select_events


@query_kind("event_count", summary="The number of each subscriber's events.")
class EventCount(Window, Directed, EventFields, Sampled, SubscriberMetric):
    """Count each subscriber's events, located or not.

    Subscribers without events have no row.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.BigInteger()}
    reads_cells: ClassVar[bool] = False

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        events = select_events(sources, self.events[0], (), direction=self.direction)
        return sa.select(events.c.subscriber, sa.func.count().label("value")).group_by(events.c.subscriber)
