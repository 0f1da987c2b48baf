"""Count subscribers at each location who were active in the same periods."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.activity._periods import Periods, periods
from flowmachine.queries.aggregates._calendars import CALENDAR, calendars, spelt_out
from flowmachine.queries.aggregates._labelling import labelled
from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepGroups, Published, Region, Value
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import EventFields


@query_kind(
    "localised_calendar_activity",
    summary="The number of subscribers by location and by their active periods.",
)
class LocalisedCalendarActivity(Periods, EventFields, Sampled, Aggregate):
    """Count subscribers by reference location and list of active periods.

    The list is null for subscribers without events. A location is released with all its lists or not at all.
    A sample is drawn from the released rows.
    """

    reference_location: Query = required(
        Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"), keyword="locations"
    )

    @property
    def events(self) -> tuple[EventSelection, ...]:
        return periods(self)

    @property
    def unit(self) -> SpatialUnit | None:
        return self.reference_location.unit

    def contributors(self, sources: Sources) -> FromClause:
        located = sa.select(sources.stored(self.reference_location)).subquery("located")
        return labelled(located, calendars(sources, self), "location")

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        return spelt_out(self, counted, "value_label")

    @property
    def published(self) -> Published:
        assert self.unit is not None
        return Published(
            (Region(self.unit), Value("value_label", CALENDAR), Value("value", sa.BigInteger())),
            KeepGroups(("location",), "value"),
        )
