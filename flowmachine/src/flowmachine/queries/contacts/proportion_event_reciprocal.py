"""Measure how much of each subscriber's activity is with reciprocal contacts."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.contacts.contact_reciprocal import ContactReciprocal
from flowmachine.spec.fields import Choice, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import select_events


@query_kind("proportion_event_reciprocal", direct=True)
class ProportionEventReciprocal(Window, EventFields, SubscriberMetric):
    """Compute the share of each subscriber's events with reciprocal contacts, 0 to 1.

    The share is of all events of the direction, including events with oneself or an unknown party.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}
    reads_cells: ClassVar[bool] = False
    event_columns: ClassVar[tuple[str, ...]] = ("counterpart",)

    contact_reciprocal: ContactReciprocal = required(Nested("contact_reciprocal"))
    direction: str = optional(Choice("in", "out", "both"), "out")

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        events = select_events(sources, self.events[0], ("counterpart",), direction=self.direction)
        contacts = sources.stored(self.contact_reciprocal)
        reciprocal = (
            sa.select(contacts.c.subscriber, contacts.c.msisdn_counterpart)
            .where(contacts.c.reciprocal)
            .subquery("reciprocal")
        )
        same = sa.and_(
            events.c.subscriber == reciprocal.c.subscriber,
            events.c.counterpart == reciprocal.c.msisdn_counterpart,
        )
        found = sa.case((reciprocal.c.subscriber.is_not(None), 1), else_=0)
        share = sa.func.avg(sa.cast(found, sa.Double))
        return (
            sa.select(events.c.subscriber, share.label("value"))
            .select_from(events.outerjoin(reciprocal, same))
            .group_by(events.c.subscriber)
        )
