"""Where each subscriber was on one day."""

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
    """The location of each subscriber in the 24 hours from ``date``.

    ``method`` ``last``: of the latest located event; of equally late ones the location that sorts first.
    ``most-common``: the location with most events, then the later latest event, then the one that sorts first.
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
