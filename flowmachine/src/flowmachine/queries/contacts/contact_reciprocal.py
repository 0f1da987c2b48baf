"""Find whether contact goes both ways."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, Select

from flowmachine.queries.contacts._contacts import with_contact
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import select_events


@query_kind("contact_reciprocal", direct=True)
class ContactReciprocal(Window, EventFields, Query):
    """Count events in and out for each subscriber and contact, with their shares.

    Shares are of the subscriber's events in that direction. ``reciprocal`` is whether there are both. Oneself
    is no contact; a share of no events is 0; events of unknown direction are left out.
    """

    columns: ClassVar[dict[str, Any]] = {
        "subscriber": sa.Text(),
        "msisdn_counterpart": sa.Text(),
        "events_in": sa.BigInteger(),
        "events_out": sa.BigInteger(),
        "proportion_in": sa.Double(),
        "proportion_out": sa.Double(),
        "reciprocal": sa.Boolean(),
    }
    reads_cells: ClassVar[bool] = False
    event_columns: ClassVar[tuple[str, ...]] = ("counterpart", "outgoing")

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        events = select_events(sources, self.events[0], ("counterpart", "outgoing"))
        directed = with_contact(events, exclude_self_calls=True).where(events.c.outgoing.is_not(None))
        contacts = directed.subquery("contacts")
        counts = (
            sa.select(
                contacts.c.subscriber,
                contacts.c.counterpart,
                sa.func.count(sa.case((~contacts.c.outgoing, 1))).label("events_in"),
                sa.func.count(sa.case((contacts.c.outgoing, 1))).label("events_out"),
            )
            .group_by(contacts.c.subscriber, contacts.c.counterpart)
            .subquery("counts")
        )

        def share(count: ColumnElement[int]) -> ColumnElement[float]:
            total = sa.func.sum(count).over(partition_by=counts.c.subscriber)
            of_some = sa.cast(count, sa.Double) / sa.cast(sa.func.nullif(total, 0), sa.Double)
            return sa.func.coalesce(of_some, 0.0)

        return sa.select(
            counts.c.subscriber,
            counts.c.counterpart.label("msisdn_counterpart"),
            counts.c.events_in,
            counts.c.events_out,
            share(counts.c.events_in).label("proportion_in"),
            share(counts.c.events_out).label("proportion_out"),
            sa.and_(counts.c.events_in > 0, counts.c.events_out > 0).label("reciprocal"),
        )
