"""Measure each subscriber's calls with each contact."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.contacts._contacts import with_contact
from flowmachine.queries.contacts._durations import CallDurations
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.sql.events import select_events


@query_kind("paired_subscriber_call_durations", direct=True)
class PairedSubscriberCallDurations(CallDurations, Query):
    """Take a statistic of the seconds of each subscriber's calls by counterpart.

    Calls with oneself are included.
    """

    reads_cells: ClassVar[bool] = False

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return self.with_value({"subscriber": sa.Text(), "msisdn_counterpart": sa.Text()})

    def select(self, sources: Sources) -> Select[Any]:
        events = select_events(sources, self.events[0], ("counterpart", "duration"), direction=self.direction)
        calls = with_contact(events, exclude_self_calls=False).subquery("calls")
        return self.durations(calls, calls.c.subscriber, calls.c.counterpart.label("msisdn_counterpart"))
