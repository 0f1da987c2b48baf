"""Count subscribers seen at each location."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import EventSelection, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.contributors import COUNTED_COLUMNS
from flowmachine.sql.events import locate_events


@query_kind("unique_subscriber_counts", summary="The number of subscribers seen at each location.")
class UniqueSubscriberCounts(Window, Unit, EventFields, Aggregate):
    """Count distinct subscribers with an event at each location.

    A subscriber counts at every location visited.
    """

    adds_up: ClassVar[bool] = False
    columns: ClassVar[dict[str, Any]] = COUNTED_COLUMNS

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def contributors(self, sources: Sources) -> FromClause:
        located = locate_events(sources, self.events[0], self.unit, ())
        return sa.select(located.c.location, located.c.subscriber).distinct().subquery("visits")

    @property
    def published(self) -> Published:
        return Published((Region(self.unit), Value("value", sa.BigInteger())), KeepOver("value"))
