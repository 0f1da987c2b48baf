"""List the places from which subscribers call often."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.fields import HourInterval, Hours, Integer, optional, required
from flowmachine.spec.nested import SubscriberSubset
from flowmachine.spec.query import EventSelection, Query, Sources, SubscriberLocations, query_kind
from flowmachine.spec.units import NetworkUnit
from flowmachine.spec.windows import Directed, Window
from flowmachine.sql.events import locate_events


@query_kind("subscriber_location_subset", direct=True)
class SubscriberLocationSubset(Window, Directed, NetworkUnit, SubscriberLocations):
    """List locations at which a subscriber had at least ``min_calls`` calls.

    Each location is listed once. The kind can stand for unique locations.
    """

    min_calls: int = required(Integer(at_least=1))
    subscriber_subset: Query | None = optional(SubscriberSubset())
    hours: HourInterval | None = optional(Hours())

    @property
    def stands_for(self) -> str:
        return "unique_locations"

    @property
    def events(self) -> tuple[EventSelection]:
        return (
            EventSelection(self.start_date, self.end_date, ("calls",), self.hours, self.subscriber_subset),
        )

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(sources, self.events[0], self.unit, (), direction=self.direction)
        return (
            sa.select(located.c.subscriber, located.c.location)
            .group_by(located.c.subscriber, located.c.location)
            .having(sa.func.count() >= self.min_calls)
        )
