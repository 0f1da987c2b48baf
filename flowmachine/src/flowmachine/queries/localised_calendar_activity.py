"""How many subscribers at each location were active in the same periods."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.fields import Nested, required
from flowmachine.queries import REFERENCE_LOCATIONS
from flowmachine.queries._calendars import CALENDAR, calendars, spelt_out
from flowmachine.queries._labelling import labelled
from flowmachine.queries._periods import Periods, periods
from flowmachine.registry import Aggregate, Query, query_kind
from flowmachine.release import KeepGroups, Published, Region, Value
from flowmachine.sampling import Sampled
from flowmachine.sql.events import EventFields, EventSelection
from flowmachine.sql.sources import Sources
from flowmachine.units import SpatialUnit


@query_kind("localised_calendar_activity")
class LocalisedCalendarActivity(Periods, EventFields, Sampled, Aggregate):
    """Subscribers counted by reference location and by the list of periods in which they had an event.

    The list is null for those who had none. A location leaves with all its lists or not at all. A sample is one of the
    released rows.
    """

    reference_location: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))

    @property
    def events(self) -> tuple[EventSelection, ...]:
        return periods(self)

    @property
    def unit(self) -> SpatialUnit | None:
        return self.reference_location.unit

    def select(self, sources: Sources) -> Select[Any]:
        located = sa.select(sources.stored(self.reference_location)).subquery("located")
        return spelt_out(self, labelled(located, calendars(sources, self), "location"), "value_label")

    @property
    def published(self) -> Published:
        assert self.unit is not None
        return Published(
            (Region(self.unit), Value("value_label", CALENDAR), Value("value", sa.BigInteger())),
            KeepGroups(("location",), "value"),
        )
