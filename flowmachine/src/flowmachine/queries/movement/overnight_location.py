"""Locate each subscriber where they spend a night."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.movement.stays import STAY, Stays
from flowmachine.spec.fields import Integer, Moment, Number, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Sources, SubscriberLocations, query_kind
from flowmachine.spec.windows import WHOLE_DAYS
from flowmachine.sql.functions import microseconds


@query_kind("overnight_location", summary="One location per subscriber: where they stayed through a night.")
class OvernightLocation(SubscriberLocations):
    """Find the location of the stay that holds the functional midnight after a day.

    The whole stay has to last ``min_night_minutes``. Subscribers without such a stay have no row. The window of ``stays``
    has to hold the day and the functional midnight. Only what the window shows of a stay counts, so that it should begin and
    end a day away from the night (Eurostat's multimno 1.0.0, tourism stays; the length of the uncut stay: our choice).
    """

    stays: Stays = required(Nested("stays"))
    date: datetime = required(Moment(), "The day before the night, ISO text or a date.", example="2016-01-01")
    functional_midnight: int = optional(
        Integer(0, 23), 4, "Hour of the next day at which somebody has to be there.", example=3
    )
    min_night_minutes: float = optional(
        Number(0.0, 366 * 24 * 60.0), 300.0, "Least length of the stay.", example=240
    )

    def check(self) -> None:
        problem = WHOLE_DAYS.edge_problem(self.date)
        if not (self.stays.start_date <= self.date and self.midnight < self.stays.end_date):
            problem = "date must lie in the window of stays."
        if problem is not None:
            raise ma.ValidationError({"date": [problem]})

    @property
    def midnight(self) -> datetime:
        """Return the functional midnight on the wall clock."""
        return self.date + timedelta(days=1, hours=self.functional_midnight)

    @property
    def unit(self) -> SpatialUnit:
        return self.stays.unit

    def select(self, sources: Sources) -> Select[Any]:
        found = sources.stored(self.stays)
        midnight = sources.utc(self.midnight)
        length = microseconds(found.c.end) - microseconds(found.c.start)
        return sa.select(found.c.subscriber, found.c.location).where(
            found.c.state == STAY,
            found.c.start <= midnight,
            found.c.end > midnight,
            length >= round(self.min_night_minutes * 60e6),
        )
