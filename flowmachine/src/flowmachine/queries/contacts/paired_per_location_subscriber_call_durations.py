"""Measure calls between each two subscribers at each two locations."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.contacts._contacts import both_ends
from flowmachine.queries.contacts._durations import CallDurations
from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.places import DIRECT_UNITS, UNITS, SpatialUnit
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.spec.units import NetworkUnit


@query_kind("paired_per_location_subscriber_call_durations", direct=True)
class PairedPerLocationSubscriberCallDurations(CallDurations, NetworkUnit, Query):
    """Take a statistic of calls' seconds by subscriber, counterpart and locations.

    Both parties' records must be in the data and located.
    """

    aggregation_unit: str = optional(Choice(*UNITS, *DIRECT_UNITS), "admin3")

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return self.with_value(
            {
                "subscriber": sa.Text(),
                "location": sa.Integer(),
                "msisdn_counterpart": sa.Text(),
                "location_counterpart": sa.Integer(),
            }
        )

    @property
    def places(self) -> dict[str, SpatialUnit]:
        return {"location": self.unit, "location_counterpart": self.unit}

    def select(self, sources: Sources) -> Select[Any]:
        calls = both_ends(sources, self.events[0], self.unit, ("duration",), self.direction)
        return self.durations(
            calls,
            calls.c.subscriber,
            calls.c.location,
            calls.c.counterpart.label("msisdn_counterpart"),
            calls.c.location_counterpart,
        )
