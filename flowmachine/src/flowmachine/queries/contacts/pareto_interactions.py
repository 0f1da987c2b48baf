"""Measure how concentrated each subscriber's contacts are."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.fields import Number, required
from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import select_events
from flowmachine.sql.functions import at_least_share


@query_kind(
    "pareto_interactions",
    summary="The share of contacts, busiest first, behind a share of a subscriber's events.",
)
class ParetoInteractions(Window, EventFields, Sampled, SubscriberMetric):
    """Compute the share of contacts, busiest first, behind a proportion of events.

    Contacts are counterparts in either direction, including oneself and the unknown.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}
    reads_cells: ClassVar[bool] = False
    event_columns: ClassVar[tuple[str, ...]] = ("counterpart",)

    proportion: float = required(
        Number(0.0, 1.0, exclusive=True),
        "Proportion of the interactions, between 0 and 1.",
        example=0.8,
    )

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        events = select_events(sources, self.events[0], ("counterpart",))
        contacts = (
            sa.select(events.c.subscriber, events.c.counterpart, sa.func.count().label("events"))
            .group_by(events.c.subscriber, events.c.counterpart)
            .subquery("contacts")
        )
        busiest: dict[str, Any] = {
            "partition_by": contacts.c.subscriber,
            "order_by": [contacts.c.events.desc(), contacts.c.counterpart.desc().nulls_first()],
        }
        ranked = sa.select(
            contacts.c.subscriber,
            sa.func.row_number().over(**busiest).label("rank"),
            sa.func.sum(contacts.c.events).over(**busiest, rows=(None, 0)).label("running"),
            sa.func.sum(contacts.c.events).over(partition_by=contacts.c.subscriber).label("total"),
            sa.func.count().over(partition_by=contacts.c.subscriber).label("contacts"),
        ).subquery("ranked")
        enough = at_least_share(ranked.c.running, self.proportion, ranked.c.total)
        value = sa.cast(sa.func.min(ranked.c.rank), sa.Double) / sa.func.max(ranked.c.contacts)
        return (
            sa.select(ranked.c.subscriber, value.label("value")).where(enough).group_by(ranked.c.subscriber)
        )
