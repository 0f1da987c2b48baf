"""Measure how each subscriber's events are divided among contacts."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.contacts._contacts import Contacts
from flowmachine.queries.contacts.counterparts_subset import CounterpartsSubset
from flowmachine.spec.query import Query, Sources, query_kind


@query_kind("contact_balance", direct=True)
class ContactBalance(Contacts, Query):
    """Count events between each subscriber and contact, with their share.

    The share is of the subscriber's events with contacts.
    """

    columns: ClassVar[dict[str, Any]] = {
        "subscriber": sa.Text(),
        "msisdn_counterpart": sa.Text(),
        "events": sa.BigInteger(),
        "proportion": sa.Double(),
    }
    order: ClassVar[tuple[str, ...]] = ("-proportion",)

    def counterparts_subset(self, include_subscribers: bool = False) -> CounterpartsSubset:
        """Return the contacts as a query for subsets, with the subscribers if asked."""
        return CounterpartsSubset(contact_balance=self, include_subscribers=include_subscribers)

    def select(self, sources: Sources) -> Select[Any]:
        contacts = self.contacts(sources)
        subscriber, counterpart = contacts.c.subscriber, contacts.c.counterpart
        events = sa.func.count()
        total = sa.func.sum(events).over(partition_by=subscriber)
        return sa.select(
            subscriber,
            counterpart.label("msisdn_counterpart"),
            events.label("events"),
            (sa.cast(events, sa.Double) / sa.cast(total, sa.Double)).label("proportion"),
        ).group_by(subscriber, counterpart)
