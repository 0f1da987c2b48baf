"""Count each subscriber's locations."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events


@query_kind("unique_location_counts", summary="The number of locations each subscriber was seen at.")
class UniqueLocationCounts(Window, Unit, EventFields, SubscriberMetric):
    """Count distinct locations at which each subscriber had an event."""

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.BigInteger()}

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(sources, self.events[0], self.unit, ())
        visits = sa.select(located.c.subscriber, located.c.location).distinct().subquery("visits")
        return sa.select(visits.c.subscriber, sa.func.count().label("value")).group_by(visits.c.subscriber)
