"""Measure each subscriber's calls at each location."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.contacts._durations import CallDurations
from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.places import DIRECT_UNITS, UNITS
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.spec.units import NetworkUnit
from flowmachine.sql.events import locate_events


@query_kind("per_location_subscriber_call_durations", direct=True)
class PerLocationSubscriberCallDurations(CallDurations, NetworkUnit, Query):
    """Take a statistic of the seconds of each subscriber's calls at each location."""

    aggregation_unit: str = optional(Choice(*UNITS, *DIRECT_UNITS), "admin3")

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return self.with_value({"subscriber": sa.Text(), "location": sa.Integer()})

    def select(self, sources: Sources) -> Select[Any]:
        calls = locate_events(sources, self.events[0], self.unit, ("duration",), direction=self.direction)
        return self.durations(calls, calls.c.subscriber, calls.c.location)
