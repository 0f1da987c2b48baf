"""Count events at each location in each interval."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, Select

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Choice, required
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import EventSelection, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import Directed, EventFields, Window
from flowmachine.sql.tallies import tally_events

INTERVALS = {"day": timedelta(days=1), "hour": timedelta(hours=1), "min": timedelta(minutes=1)}

#: Names of the intervals in ``date_trunc``.
_TRUNCATED = {"day": "day", "hour": "hour", "min": "minute"}


@query_kind("location_event_counts", summary="The number of events at each location, by day, hour or minute.")
class LocationEventCounts(Window, Unit, Directed, EventFields, Aggregate):
    """Count events at each location by local date, hour and minute.

    ``interval`` sets how fine. Whole spans of 24 hours from ``start_date`` are counted, at least one; the
    rest before ``end_date`` is left out. The result has only dates, hours and minutes in which an interval
    counted from ``start_date`` begins and ends before ``end_date``. A row is judged by the subscribers behind
    its events.
    """

    uncompared: ClassVar[str | None] = "a row is a period of all events, and not a group of subscribers"
    reads_tallies: ClassVar[bool] = True

    interval: str = required(Choice(*INTERVALS), keyword="count_interval", write="interval")

    def check(self) -> None:
        super().check()
        if self.end_date - self.start_date < INTERVALS[self.interval]:
            raise ma.ValidationError(
                {"_schema": [f"end_date must be at least one {self.interval} after start_date."]}
            )

    def check_buildable(self) -> None:
        # Check before the window is cut into one selection for each day.
        self._selection(self.start_date, self.end_date).check()
        super().check_buildable()

    @property
    def _spans(self) -> int:
        return max((self.end_date - self.start_date) // timedelta(days=1), 1)

    @property
    def _end(self) -> datetime:
        """Return the end of the last span or of the last interval, whichever is earlier."""
        window = self.end_date - self.start_date
        step = INTERVALS[self.interval]
        last = self.start_date + (window // step - 1) * step
        midnight = datetime.combine(last.date(), datetime.min.time())
        return min(
            self.start_date + timedelta(days=self._spans), midnight + ((last - midnight) // step + 1) * step
        )

    def _selection(self, start: datetime, end: datetime) -> EventSelection:
        return EventSelection(start, end, self.event_types, self.hours, self.subscriber_subset)

    @property
    def events(self) -> tuple[EventSelection, ...]:
        # One selection for each span, because each span must have data.
        day = timedelta(days=1)
        return tuple(
            self._selection(self.start_date + n * day, self.start_date + (n + 1) * day)
            for n in range(self._spans)
        )

    def select(self, sources: Sources) -> Select[Any]:
        selection = self._selection(self.start_date, self._end)
        counts = tally_events(
            sources, selection, self.unit, _TRUNCATED[self.interval], direction=self.direction
        )
        named: list[ColumnElement[Any]] = [sa.cast(sa.cast(counts.c.period, sa.Date), sa.Text).label("date")]
        if self.interval != "day":
            named.append(sa.extract("hour", counts.c.period).label("hour"))
        if self.interval == "min":
            named.append(sa.extract("minute", counts.c.period).label("min"))
        return sa.select(counts.c.location, *named, counts.c.events.label("value"), counts.c.subscribers)

    @property
    def published(self) -> Published:
        finer = {"day": (), "hour": ("hour",), "min": ("hour", "min")}[self.interval]
        return Published(
            (
                Region(self.unit),
                Value("date", sa.Text()),
                *(Value(name, sa.Numeric(2, 0)) for name in finer),
                Value("value", sa.BigInteger()),
            ),
            # May be fewer than the true number, on the same side of the floor: see ``tallies._judged``.
            KeepOver("subscribers"),
        )
