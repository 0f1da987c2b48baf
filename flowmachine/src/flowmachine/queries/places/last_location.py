"""Locate each subscriber at the end of any window."""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql import Select

from flowmachine.queries.places._locating import Unplaced, last_location
from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.places import DIRECT_UNITS, UNITS
from flowmachine.spec.query import EventSelection, Sources, SubscriberLocations, query_kind
from flowmachine.spec.windows import EventFields, Window, window_selection


@query_kind("last_location", direct=True)
class LastLocation(Window, EventFields, Unplaced, SubscriberLocations):
    """Locate each subscriber at the latest located event.

    Ties go to the location that sorts first. The kind can stand wherever a reference location can.
    ``ignore_nulls`` false, at unit ``cell``, lets events that name no cell count as at a null place, which
    sorts last.
    """

    aggregation_unit: str = optional(Choice(*UNITS, *DIRECT_UNITS), "admin3")

    @property
    def stands_for(self) -> str:
        return "most_frequent_location"

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        return last_location(sources, self.events[0], self.unit, keep_unplaced=not self.ignore_nulls)
