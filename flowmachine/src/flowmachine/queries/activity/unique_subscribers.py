"""Find active subscribers."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import select_events


@query_kind("unique_subscribers", direct=True)
class UniqueSubscribers(Window, EventFields, Query):
    """List everybody who had an event, located or not, once each."""

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text()}
    reads_cells: ClassVar[bool] = False

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        events = select_events(sources, self.events[0], ())
        return sa.select(events.c.subscriber).distinct()
