"""Count subscribers seen at each location."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Aggregate, EventSelection, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events


@query_kind("unique_subscriber_counts", summary="The number of subscribers seen at each location.")
class UniqueSubscriberCounts(Window, Unit, EventFields, Aggregate):
    """Count distinct subscribers with an event at each location.

    A subscriber counts at every location visited.
    """

    columns: ClassVar[dict[str, Any]] = {"location": sa.Integer(), "value": sa.BigInteger()}

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(sources, self.events[0], self.unit, ())
        visits = sa.select(located.c.subscriber, located.c.location).distinct().subquery("visits")
        return sa.select(visits.c.location, sa.func.count().label("value")).group_by(visits.c.location)

    @property
    def published(self) -> Published:
        return Published((Region(self.unit), Value("value", sa.BigInteger())), KeepOver("value"))
