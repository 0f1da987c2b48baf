"""Selecting and locating events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.fields import (
    Choice,
    EventTypes,
    HourInterval,
    Hours,
    Moment,
    SubscriberSubset,
    optional,
    required,
)
from flowmachine.registry import Query, field_group

if TYPE_CHECKING:
    from flowmachine.sql.sources import Sources
    from flowmachine.units import SpatialUnit

#: Event types read where a query names none: those with a counterpart (documented with the field).
DEFAULT_EVENT_TYPES = ("calls", "sms")

#: Event types that have a column; the others have it in every type.
COLUMNS_OF_TYPES: dict[str, tuple[str, ...]] = {
    "counterpart": ("calls", "sms"),
    "outgoing": ("calls", "sms"),
    "duration": ("calls", "mds"),
    "volume_total": ("mds",),
    "volume_upload": ("mds",),
    "volume_download": ("mds",),
    "recharge_amount": ("topups",),
    "airtime_fee": ("topups",),
    "tax_and_fee": ("topups",),
    "pre_event_balance": ("topups",),
    "post_event_balance": ("topups",),
}


#: Columns that the event tables call otherwise than queries do.
NAMES_IN_TABLES = {"counterpart": "msisdn_counterpart", "event_id": "id"}

#: A window is cut into at most so many spans, each of which is read by a part of the statement; where that needs more of
#: them, it is read whole.
MOST_SPANS = 40

#: Days are looked at one by one, so a window of thousands of years would keep whoever plans it busy.
LONGEST_WINDOW = timedelta(days=40 * 366)


class NotBuildable(Exception):
    """A valid spec for which no query can be built; the text says why."""


@dataclass(frozen=True)
class EventSelection:
    """Events of some types in a half-open window [start, end) of wall-clock time."""

    start: datetime
    end: datetime
    event_types: tuple[str, ...] | None = None
    hours: HourInterval | None = None
    subset: Query | None = None

    @property
    def types(self) -> tuple[str, ...]:
        return DEFAULT_EVENT_TYPES if self.event_types is None else self.event_types

    @property
    def days(self) -> list[date]:
        """The calendar days that the window touches; the end's day is left out if the end is midnight."""
        last = (self.end - timedelta(microseconds=1)).date()
        return [self.start.date() + timedelta(n) for n in range((last - self.start.date()).days + 1)]

    def split(self, dates: Iterable[date]) -> list[EventSelection]:
        """The selection cut at the beginning of each of the dates, which are in order; in order, and all of it."""
        cuts = [datetime.combine(day, time.min) for day in dates]
        bounds = [self.start, *(cut for cut in cuts if self.start < cut < self.end), self.end]
        return [replace(self, start=start, end=end) for start, end in pairwise(bounds)]

    def by_day(self) -> list[EventSelection]:
        """The selection cut at each midnight, or whole if it has more than ``MOST_SPANS`` days."""
        days = self.split(self.days)
        return days if len(days) <= MOST_SPANS else [self]

    @property
    def earliest(self) -> datetime:
        """A UTC time before all events: the wall clock differs from UTC by less than a day."""
        return self.start - timedelta(days=1)

    @property
    def span(self) -> int:
        """Microseconds from ``earliest`` to a UTC time after all events."""
        return (self.end - self.earliest + timedelta(days=1)) // timedelta(microseconds=1)

    def check(self) -> None:
        """Refuse a window without length; raises NotBuildable."""
        if self.start == self.end:
            raise NotBuildable("Start and stop are the same.")
        if self.end.date() < self.start.date():
            raise NotBuildable("The start date is later than the stop date.")
        if self.end - self.start > LONGEST_WINDOW:
            raise NotBuildable(f"A window can be no longer than {LONGEST_WINDOW.days} days.")

    def check_columns(self, columns: Sequence[str]) -> None:
        """Refuse event types that lack a column that the query needs; raises NotBuildable."""
        for event_type in self.types:
            lacking = {c for c in columns if event_type not in COLUMNS_OF_TYPES.get(c, self.types)}
            if lacking:
                names = ", ".join(sorted(repr(NAMES_IN_TABLES.get(column, column)) for column in lacking))
                raise NotBuildable(f"{{{names}}} are not columns of events.{event_type}")


@field_group
class Window:
    """Fields of a kind over a window: the end is exclusive."""

    start_date: datetime = required(Moment())
    end_date: datetime = required(Moment())


@field_group
class EventFields:
    """Fields of a kind that reads events."""

    event_types: tuple[str, ...] | None = optional(EventTypes())
    subscriber_subset: Query | None = optional(SubscriberSubset())
    hours: HourInterval | None = optional(Hours())


@field_group
class Directed:
    """The field of a kind that may count events of one direction only."""

    direction: str = optional(Choice("in", "out", "both"), "both")


def window_selection(query: Any) -> EventSelection:
    """The selection of a kind with the fields of ``Window`` and ``EventFields``."""
    return EventSelection(
        query.start_date,
        query.end_date,
        query.event_types,
        getattr(query, "hours", None),
        query.subscriber_subset,
    )


def in_hours(hours: HourInterval, local_time: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a wall-clock time lies in the hours of its own calendar day."""
    hour = sa.extract("hour", local_time)
    if hours.start_hour < hours.end_hour:
        return sa.and_(hour >= hours.start_hour, hour < hours.end_hour)
    if hours.start_hour > hours.end_hour:
        return sa.or_(hour < hours.end_hour, hour >= hours.start_hour)
    return sa.false()


def select_events(
    sources: Sources,
    selection: EventSelection,
    columns: Sequence[str],
    *,
    direction: str = "both",
) -> FromClause:
    """Events of the selection, its subset and a direction ('in', 'out', 'both'), with ``subscriber`` and the columns."""
    wanted = list(dict.fromkeys(["subscriber", *columns]))
    if direction == "both" and selection.subset is None:
        return sources.events(selection, wanted)
    needed = wanted + (["outgoing"] if direction != "both" and "outgoing" not in wanted else [])
    events = sources.events(selection, needed)
    statement = sa.select(*(events.c[name] for name in wanted))
    if direction != "both":
        statement = statement.where(events.c.outgoing == sa.literal(direction == "out"))
    if selection.subset is not None:
        subset = sources.stored(selection.subset)
        statement = statement.where(events.c.subscriber.in_(sa.select(subset.c.subscriber)))
    return statement.subquery("selected")


def locate_events(
    sources: Sources,
    selection: EventSelection,
    unit: SpatialUnit,
    columns: Sequence[str] = ("time",),
    *,
    direction: str = "both",
    keep_unplaced: bool = False,
) -> FromClause:
    """Located events: ``subscriber``, ``location`` and the columns.

    An event is located by its cell's entry that is valid on the event's date; with two it counts twice, without one it is
    dropped or, if ``keep_unplaced``, kept with a null location.
    """
    # Cutting the map to what is valid in a span once is much less work than comparing dates for each event.
    spans = selection.split(sources.moves(unit))
    if len(spans) > MOST_SPANS:
        needed = [*columns] if "local_time" in columns else [*columns, "local_time"]
        events = select_events(sources, selection, ["cell", *needed], direction=direction)
        cells = sources.cells(unit)
        valid = sa.and_(events.c.local_time >= cells.c.valid_from, events.c.local_time < cells.c.valid_before)
        located = [_located(events, cells, columns, valid, keep_unplaced)]
    else:
        located = []
        for span in spans:
            events = select_events(sources, span, ["cell", *columns], direction=direction)
            day = datetime.combine(span.start, time.min)
            cells = sources.cells(unit)
            serving = (
                sa.select(cells.c.cell, cells.c.location)
                .where(cells.c.valid_from <= day, cells.c.valid_before > day)
                .subquery("serving")
            )
            located.append(_located(events, serving, columns, sa.true(), keep_unplaced))
    return (located[0] if len(located) == 1 else sa.union_all(*located)).subquery("located")


def _located(
    events: FromClause,
    cells: FromClause,
    columns: Sequence[str],
    valid: ColumnElement[bool],
    keep_unplaced: bool,
) -> Select[Any]:
    joined = events.join(cells, sa.and_(events.c.cell == cells.c.cell, valid), isouter=keep_unplaced)
    names = (events.c[name] for name in columns)
    return sa.select(events.c.subscriber, cells.c.location, *names).select_from(joined)


def same_unit(message: str, *queries: Query, field: str = "_schema") -> None:
    """Demand that the queries have one spatial unit; raises marshmallow.ValidationError with the message."""
    if len({query.unit for query in queries}) > 1:
        raise ma.ValidationError({field: [message]})
