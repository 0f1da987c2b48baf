"""List every location of each subscriber."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.query import EventSelection, Sources, SubscriberLocations, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events


@query_kind("unique_locations", summary="All locations that each subscriber was seen at.")
class UniqueLocations(Window, Unit, EventFields, Sampled, SubscriberLocations):
    """List every location at which a subscriber had an event, once each."""

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(sources, self.events[0], self.unit, ())
        return sa.select(located.c.subscriber, located.c.location).distinct()
