"""Divide time into equal periods and find who was active in each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.spec.fields import Choice, Integer, Moment, optional, required
from flowmachine.spec.query import EventSelection, NotBuildable, Sources, field_group
from flowmachine.sql.events import select_events
from flowmachine.sql.functions import microseconds

#: Periods are processed one by one.
MOST_PERIODS = 100_000


@field_group
class Periods:
    """Hold the fields of kinds over ``total_periods`` periods from ``start_date``.

    Each period has ``period_length`` units of wall-clock time.
    """

    start_date: datetime = required(Moment(), "Start of the first period, ISO text or a date.")
    total_periods: int = required(Integer(at_least=1), "Number of periods.", example=7)
    period_length: int = optional(Integer(at_least=1), 1, "Length of a period, in that unit.")
    period_unit: str = optional(Choice("days", "hours", "minutes"), "days")

    def check(self) -> None:
        check_periods(self)

    @property
    def edges(self) -> Mapping[str, datetime]:
        """Return the start of the first period and the end of the last."""
        return {
            "start_date": self.start_date,
            "total_periods": self.start_date + self.total_periods * self.length,
        }

    @property
    def length(self) -> timedelta:
        """Return the length of one period."""
        return timedelta(**{self.period_unit: self.period_length})


def check_periods(query: Any) -> None:
    """Refuse periods beyond the calendar; raises marshmallow.ValidationError."""
    try:
        query.start_date + query.total_periods * query.length
    except OverflowError:
        raise ma.ValidationError({"_schema": ["The periods end after the year 9999."]}) from None


def periods(query: Any) -> tuple[EventSelection, ...]:
    """Return the events of each period, each of which must have data.

    Periods that touch the same days are checked together.
    """
    for name in ("total_periods", "period_length"):
        if getattr(query, name) > MOST_PERIODS:
            raise NotBuildable(f"{name} is {getattr(query, name)}; it can be {MOST_PERIODS} at most.")
    found: dict[tuple[Any, ...], EventSelection] = {}
    for number in range(query.total_periods):
        start = query.start_date + number * query.length
        selection = _selection(query, start, start + query.length)
        found.setdefault((selection.days[0], selection.days[-1]), selection)
    return tuple(found.values())


def periods_of_events(sources: Sources, query: Any) -> FromClause:
    """Return (``subscriber``, ``period``) for each event, located or not.

    ``period`` is the number, from 0, of the event's period.
    """
    end = query.start_date + query.total_periods * query.length
    events = select_events(sources, _selection(query, query.start_date, end), ("local_time",))
    start = sa.cast(sa.literal(query.start_date), sa.DateTime)
    elapsed = microseconds(events.c.local_time) - microseconds(start)
    length = sa.literal(query.length // timedelta(microseconds=1), sa.BigInteger)
    period = sa.cast(elapsed // length, sa.BigInteger)
    # Where the clock shows the start twice, the second occurrence follows times before the start, which are
    # in no period.
    return (
        sa.select(events.c.subscriber, period.label("period"))
        .where(elapsed >= 0)
        .subquery("periods_of_events")
    )


def active_periods(sources: Sources, query: Any) -> FromClause:
    """Return distinct (``subscriber``, ``period``) of the periods with an event."""
    return sa.select(periods_of_events(sources, query)).distinct().subquery("active_periods")


def _selection(query: Any, start: datetime, end: datetime) -> EventSelection:
    return EventSelection(start, end, query.event_types, query.hours, query.subscriber_subset)
