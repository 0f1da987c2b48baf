"""Find cells without events that had events in the weeks before."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import EventTypes, Integer, Number, optional
from flowmachine.spec.places import VERSIONED_CELLS
from flowmachine.spec.published import KeepOver, Measure, Published, Region, Value, floor
from flowmachine.spec.query import EventSelection, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EVENT_TYPES, WholeDays
from flowmachine.sql.events import select_events
from flowmachine.sql.functions import subscriber_bits

#: Fewest days that a cell's usual number of events is the mean of.
FEWEST_DAYS = 2

_WEEK = 7


@query_kind(
    "network_silence",
    summary="The cells of each location that fall silent after busy weeks, by day.",
)
class NetworkSilence(WholeDays, Unit, Aggregate):
    """Count cells without events on a day whose baseline lets events be expected.

    A cell's baseline is the mean number of its events on the same weekday of the ``lookback_weeks`` before, over
    the days that are loaded and on which the cell is in service; cells with fewer than two such days are left
    out. A cell is expected to have events if its baseline is at least ``minimum_baseline``. ``cells`` are the
    expected cells of a location, and ``silent`` those of them without an event on the day. ``baseline`` is the
    sum over all cells of the location, and ``ratio`` their events divided by it. Versions of a cell are one
    cell, at its location of the day. Days that are not loaded have no row (the same weekday: our choice).

    A row is released if more subscribers than the floor had events at its cells on the days before, and on the
    day itself nobody or more than the floor.
    """

    columns: ClassVar[dict[str, Any]] = {
        "location": sa.Integer(),
        "date": sa.Date(),
        **dict.fromkeys(("cells", "silent"), sa.BigInteger()),
        **dict.fromkeys(("baseline", "ratio"), sa.Double()),
        **dict.fromkeys(("subscribers", "present"), sa.BigInteger()),
    }
    uncompared: ClassVar[str | None] = "a row is a period of all events, and not a group of subscribers"
    reads_tallies: ClassVar[bool] = True

    lookback_weeks: int = optional(Integer(2, 26), 4, "Weeks before the day.", example=2)
    minimum_baseline: float = optional(
        Number(1.0), 10.0, "Events a day from which a cell without any is silent.", example=5.0
    )
    event_types: tuple[str, ...] | None = optional(EventTypes(), doc=EVENT_TYPES)

    @property
    def events(self) -> tuple[EventSelection, EventSelection]:
        window = EventSelection(self.start_date, self.end_date, self.event_types)
        before = self.start_date - timedelta(weeks=self.lookback_weeks)
        return replace(window, start=before, end=self.start_date), window

    def select(self, sources: Sources) -> Select[Any]:
        before, window = self.events
        events = select_events(sources, replace(window, start=before.start), ("cell", "local_time"))
        dated = _dated(events, events.c.subscriber)
        tallies = self._tallies(sources, replace(window, start=before.start))
        days = self._days(sources)
        cells = self._baselines(sources, days, tallies)
        return self._judged(self._counts(cells, tallies), cells, days, dated)

    @staticmethod
    def _tallies(sources: Sources, selection: EventSelection) -> FromClause:
        """Count events by ``cell`` and ``date``: ``events`` and ``bits``."""
        tallied, rest = sources.tallied(selection)
        counted = []
        if tallied is not None:
            dated = _dated(tallied, tallied.c.events, tallied.c.bits)
            numbers = sa.func.sum(dated.c.events).label("events"), sa.func.bit_or(dated.c.bits).label("bits")
            counted.append((dated, numbers))
        for part in rest:
            events = select_events(sources, part, ("cell", "local_time"))
            dated = _dated(events, events.c.subscriber)
            numbers = sa.func.count().label("events"), subscriber_bits(dated.c.subscriber).label("bits")
            counted.append((dated, numbers))
        # The parts have no day in common.
        return sa.union_all(
            *(
                sa.select(dated.c.cell, dated.c.date, *numbers)
                .where(dated.c.cell.is_not(None))
                .group_by(dated.c.cell, dated.c.date)
                for dated, numbers in counted
            )
        ).cte("tallies")

    def _days(self, sources: Sources) -> FromClause:
        """Return each loaded ``date`` with each loaded ``day`` of its baseline."""
        before, window = self.events
        loaded = [*sources.loaded_dates(before), *sources.loaded_dates(window)]
        if not loaded:
            nothing = sa.cast(sa.null(), sa.Date)
            return sa.select(nothing.label("date"), nothing.label("day")).where(sa.false()).cte("days")
        day = _literals(loaded).cte("loaded")
        other = day.alias("other")
        apart = day.c.number - other.c.number
        same_weekday = sa.and_(apart % _WEEK == 0, apart.between(_WEEK, _WEEK * self.lookback_weeks))
        first = sa.literal(self.start_date.date(), sa.Date)
        return (
            sa.select(day.c.date, other.c.date.label("day"))
            .join(other, same_weekday)
            .where(day.c.date >= first)
            .cte("days")
        )

    def _baselines(self, sources: Sources, days: FromClause, tallies: FromClause) -> FromClause:
        """Return ``baseline``, ``events``, ``bits`` by location, cell and date."""
        served = _in_service(sources.cells(VERSIONED_CELLS), days.c.day, days)
        there = sa.and_(tallies.c.cell == served.c.cell, tallies.c.date == served.c.day)
        number = sa.func.sum(sa.func.coalesce(tallies.c.events, 0))
        baselines = (
            sa.select(
                served.c.cell,
                served.c.date,
                (sa.cast(number, sa.Double) / sa.func.count()).label("baseline"),
                number.label("events"),
                sa.func.bit_or(tallies.c.bits).label("bits"),
            )
            .select_from(served.outerjoin(tallies, there))
            .group_by(served.c.cell, served.c.date)
            .having(sa.func.count() >= FEWEST_DAYS)
            .subquery("baselines")
        )
        cells = sources.cells(self.unit)
        dates = sa.select(days.c.date).distinct().subquery("dates")
        start = sa.cast(dates.c.date, sa.DateTime)
        placed = (
            sa.select(cells.c.location, cells.c.cell, dates.c.date)
            .join(dates, sa.and_(cells.c.valid_from <= start, cells.c.valid_before > start))
            .where(cells.c.location.is_not(None))
            .distinct()
            .subquery("placed")
        )
        same = sa.and_(baselines.c.cell == placed.c.cell, baselines.c.date == placed.c.date)
        further = (baselines.c[name] for name in ("baseline", "events", "bits"))
        return sa.select(placed, *further).join(baselines, same).cte("baseline_of_cells")

    def _counts(self, cells: FromClause, tallies: FromClause) -> FromClause:
        """Return the published numbers, with events and bits before and on the day."""
        on_day = sa.and_(tallies.c.cell == cells.c.cell, tallies.c.date == cells.c.date)
        expected = cells.c.baseline >= self.minimum_baseline
        silent = sa.and_(expected, tallies.c.events.is_(None))

        def number(condition: ColumnElement[bool]) -> ColumnElement[Any]:
            return sa.func.sum(sa.case((condition, 1), else_=0))

        return (
            sa.select(
                cells.c.location,
                cells.c.date,
                number(expected).label("cells"),
                number(silent).label("silent"),
                sa.func.sum(cells.c.baseline).label("baseline"),
                sa.func.sum(cells.c.events).label("events_before"),
                sa.func.sum(sa.func.coalesce(tallies.c.events, 0)).label("events_on"),
                _bits_set(cells.c.bits).label("bits_before"),
                _bits_set(tallies.c.bits).label("bits_on"),
            )
            .select_from(cells.outerjoin(tallies, on_day))
            .group_by(cells.c.location, cells.c.date)
            .cte("counts")
        )

    def _judged(
        self, counts: FromClause, cells: FromClause, days: FromClause, dated: FromClause
    ) -> Select[Any]:
        """Add the subscribers before and on the day, exactly only where they are doubtful.

        There are at least as many as bits set, and at most as many as events, as in ``sql.tallies``.
        """
        doubtful = (
            sa.select(counts.c.location, counts.c.date)
            .where(
                sa.or_(
                    *(
                        sa.and_(counts.c[f"events_{when}"] > floor(), counts.c[f"bits_{when}"] <= floor())
                        for when in ("before", "on")
                    )
                )
            )
            .cte("doubtful")
        )
        itself = sa.select(days.c.date, days.c.date.label("day")).distinct()
        read = sa.union_all(sa.select(days), itself).subquery("read")
        again = (
            sa.select(
                cells.c.location,
                cells.c.date,
                (read.c.day != read.c.date).label("before"),
                dated.c.subscriber,
            )
            .join(
                doubtful,
                sa.and_(doubtful.c.location == cells.c.location, doubtful.c.date == cells.c.date),
            )
            .join(read, read.c.date == cells.c.date)
            .join(dated, sa.and_(dated.c.cell == cells.c.cell, dated.c.date == read.c.day))
            .distinct()
            .subquery("again")
        )
        exact = (
            sa.select(
                again.c.location,
                again.c.date,
                sa.func.sum(sa.case((again.c.before, 1), else_=0)).label("before"),
                sa.func.sum(sa.case((again.c.before, 0), else_=1)).label("on"),
            )
            .group_by(again.c.location, again.c.date)
            .subquery("exact")
        )
        same = sa.and_(exact.c.location == counts.c.location, exact.c.date == counts.c.date)
        ratio = sa.cast(counts.c.events_on, sa.Double) / sa.func.nullif(counts.c.baseline, 0.0)
        return sa.select(
            *(counts.c[name] for name in ("location", "date", "cells", "silent", "baseline")),
            ratio.label("ratio"),
            sa.func.coalesce(exact.c.before, counts.c.bits_before).label("subscribers"),
            sa.func.coalesce(exact.c["on"], counts.c.bits_on).label("present"),
        ).select_from(counts.outerjoin(exact, same))

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit),
                Value("date", sa.Date()),
                Measure("cells", sa.BigInteger()),
                Measure("silent", sa.BigInteger()),
                Measure("baseline", sa.Double()),
                Measure("ratio", sa.Double()),
            ),
            KeepOver("subscribers", beside=("present",)),
        )


def _dated(events: FromClause, *columns: ColumnElement[Any]) -> FromClause:
    """Return ``cell``, the ``date`` and further columns of events or of their counts."""
    date = sa.cast(events.c.local_time, sa.Date).label("date")
    return sa.select(events.c.cell, date, *columns).subquery("dated")


def _literals(dates: list[date]) -> Any:
    """Select dates with their number, of which differences are whole days."""
    return sa.union_all(
        *(
            sa.select(
                sa.literal(day, sa.Date).label("date"),
                sa.literal(day.toordinal(), sa.Integer).label("number"),
            )
            for day in dates
        )
    )


def _in_service(cells: FromClause, day: ColumnElement[Any], days: FromClause) -> FromClause:
    """Return each ``cell`` in service on a ``day`` before a ``date``."""
    start = sa.cast(day, sa.DateTime)
    return (
        sa.select(cells.c.cell, days.c.date, days.c.day)
        .join(days, sa.and_(cells.c.valid_from <= start, cells.c.valid_before > start))
        .distinct()
        .subquery("served")
    )


def _bits_set(bits: ColumnElement[Any]) -> ColumnElement[Any]:
    return sa.func.coalesce(sa.func.bit_count(sa.func.bit_or(bits), type_=sa.Integer), 0)
