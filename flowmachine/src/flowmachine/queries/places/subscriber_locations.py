"""List every located event."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.places._locating import Unplaced
from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.places import DIRECT_UNITS, UNITS
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events


@query_kind("subscriber_locations", direct=True)
class SubscriberLocations(Window, EventFields, Unplaced, Query):
    """List every located event: subscriber, wall-clock time and location.

    An event at two places has two rows. ``ignore_nulls`` false, at unit ``cell``, keeps events that name no
    cell, with a null place.
    """

    columns: ClassVar[dict[str, Any]] = {
        "subscriber": sa.Text(),
        "time": sa.DateTime(),
        "location": sa.Integer(),
    }

    aggregation_unit: str = optional(Choice(*UNITS, *DIRECT_UNITS), "cell")

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(
            sources, self.events[0], self.unit, ("local_time",), keep_unplaced=not self.ignore_nulls
        )
        return sa.select(located.c.subscriber, located.c.local_time.label("time"), located.c.location)
