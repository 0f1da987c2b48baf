"""Count each subscriber's contacts."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import Directed, EventFields, Window, window_selection
from flowmachine.sql.events import select_events


@query_kind("subscriber_degree", summary="The number of people each subscriber was in contact with.")
class SubscriberDegree(Window, Directed, EventFields, Sampled, SubscriberMetric):
    """Count distinct counterparts of each subscriber, except the subscriber.

    Subscribers without counterparts have no row.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.BigInteger()}
    reads_cells: ClassVar[bool] = False
    event_columns: ClassVar[tuple[str, ...]] = ("counterpart",)

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        events = select_events(sources, self.events[0], ("counterpart",), direction=self.direction)
        contacts = (
            sa.select(events.c.subscriber, events.c.counterpart)
            .where(events.c.counterpart != events.c.subscriber)
            .distinct()
            .subquery("contacts")
        )
        return sa.select(contacts.c.subscriber, sa.func.count().label("value")).group_by(
            contacts.c.subscriber
        )
