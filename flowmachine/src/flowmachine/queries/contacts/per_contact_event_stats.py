"""Describe how each subscriber's events are distributed over contacts."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import STATISTICS, statistic_type, whole_statistic
from flowmachine.queries.contacts.contact_balance import ContactBalance
from flowmachine.spec.fields import Choice, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind


@query_kind("per_contact_event_stats", direct=True)
class PerContactEventStats(SubscriberMetric):
    """Take a statistic of each subscriber's numbers of events with each contact."""

    reads_cells: ClassVar[bool] = False

    contact_balance: ContactBalance = required(Nested("contact_balance"))
    statistic: str = optional(Choice(*STATISTICS), "avg")

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {"subscriber": sa.Text(), "value": statistic_type(self.statistic, sa.BigInteger())}

    def select(self, sources: Sources) -> Select[Any]:
        balance = sources.stored(self.contact_balance)
        value = whole_statistic(self.statistic, balance.c.events)
        return sa.select(balance.c.subscriber, value.label("value")).group_by(balance.c.subscriber)
