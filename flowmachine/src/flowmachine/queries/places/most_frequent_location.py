"""Locate each subscriber where they had most events."""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql import Select

from flowmachine.queries.places._locating import most_common_location
from flowmachine.spec.query import EventSelection, Sources, SubscriberLocations, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EventFields, Window, window_selection


@query_kind("most_frequent_location", summary="One location per subscriber: the one with most events.")
class MostFrequentLocation(Window, Unit, EventFields, Sampled, SubscriberLocations):
    """Find each subscriber's location with most events.

    Ties go to the latest event, then to the location that sorts first.
    """

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        return most_common_location(sources, self.events[0], self.unit)
