"""Find the locations of each subscriber in each slot of some days."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.places._slots import Slotted, slot_table
from flowmachine.queries.places.permanence_of_day import PermanenceOfDay, day_number
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import SubsetFields, WholeDays, window_selection

#: Each day is a part of its own.
MOST_DAYS = 731


@query_kind("daily_permanence", summary="Locations by subscriber, day and slot of the day.")
class DailyPermanence(WholeDays, Unit, SubsetFields, Slotted, Query):
    """Find where each subscriber is in each slot of the days of a window.

    Time around an event belongs to its location: half of the time to the event before and to the event after. Of a gap
    longer than ``max_gap_other``, or ``max_gap_day`` at one cell, or ``max_gap_night`` at one cell within one night from
    23 to 9 o'clock, only half of ``max_gap_other`` belongs to an event. An event counts as a move, and its time as
    unknown, where the way over it from the event before to the event after is faster than ``max_speed``. A subscriber is
    at a location in a slot if half of the slot or more belongs to it. Events without a location are left out.

    A day is made of its events, the last event of the day before and the first of the day after. Its result is stored
    once for all windows. Days that are not loaded have no rows. The method is that of Eurostat's multimno 1.0.0 (daily
    permanence score), with regions in place of footprints and the points of cells for distances; the night is
    that of its manual.
    """

    columns: ClassVar[dict[str, Any]] = {
        "subscriber": sa.Text(),
        "location": sa.Integer(),
        "date": sa.Date(),
        "slot": sa.Integer(),
    }
    order: ClassVar[tuple[str, ...]] = ("subscriber", "location", "date", "slot")

    def check(self) -> None:
        super().check()
        if self.end_date - self.start_date > timedelta(days=MOST_DAYS):
            raise ma.ValidationError({"end_date": [f"Must be at most {MOST_DAYS} days after start_date."]})

    @property
    def events(self) -> tuple[EventSelection]:
        """Return the events of the window; the days read them."""
        return (window_selection(self),)

    @cached_property
    def days(self) -> tuple[PermanenceOfDay, ...]:
        """Return the days, in order."""
        shared = PermanenceOfDay.fields.keys() & self.fields.keys()
        values = {name: getattr(self, name) for name in shared}
        number = (self.end_date - self.start_date).days
        dates: list[datetime] = [self.start_date + timedelta(days=n) for n in range(number)]
        return tuple(PermanenceOfDay.of_values(values | {"date": date}, None) for date in dates)

    @cached_property
    def children(self) -> tuple[Query, ...]:
        return self.days

    def select(self, sources: Sources) -> Select[Any]:
        found = sources.stored_all(self.days)
        dates = sa.union_all(
            *(
                sa.select(
                    sa.literal(day_number(day.date), sa.Integer).label("day"),
                    sa.literal(day.date.date(), sa.Date).label("date"),
                )
                for day in self.days
            )
        ).subquery("dates")
        slots = slot_table(self.slots)
        held = [found.c[name].bitwise_and(slots.c[name]) > 0 for name in ("morning", "afternoon")]
        return (
            sa.select(found.c.subscriber, found.c.location, dates.c.date, slots.c.slot)
            .join(dates, dates.c.day == found.c.day)
            .join(slots, sa.or_(*held))
        )
