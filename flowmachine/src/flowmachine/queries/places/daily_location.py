"""Locate each subscriber on one day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.sql import Select

from flowmachine.queries.places._locating import last_location, most_common_location
from flowmachine.spec.fields import Choice, Moment, required
from flowmachine.spec.query import EventSelection, Sources, SubscriberLocations, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EventFields


@query_kind("daily_location", summary="One location per subscriber: the last or the most common of a day.")
class DailyLocation(Unit, EventFields, Sampled, SubscriberLocations):
    """Locate each subscriber in the 24 hours from ``date``.

    ``method`` ``last`` takes the latest located event; ties go to the location that sorts first.
    ``most-common`` takes the location with most events; ties go to the latest event, then to the location
    that sorts first.
    """

    date: datetime = required(Moment(), "The day, ISO text or a date.")
    method: str = required(Choice("last", "most-common"))

    @property
    def events(self) -> tuple[EventSelection]:
        return (
            EventSelection(
                self.date, self.date + timedelta(days=1), self.event_types, self.hours, self.subscriber_subset
            ),
        )

    def select(self, sources: Sources) -> Select[Any]:
        locate = last_location if self.method == "last" else most_common_location
        return locate(sources, self.events[0], self.unit)
