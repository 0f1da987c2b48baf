"""Count events by place and period, with the subscribers for the release gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import floor
from flowmachine.spec.query import EventSelection, Sources
from flowmachine.sql.events import locate_events, select_events
from flowmachine.sql.functions import hinted_among, period_of, start_of, subscriber_bits

#: Periods longer than a day may vary in length and may see a cell move.
_LONGER_THAN_A_DAY = ("month", "year")
_SHORTER_THAN_AN_HOUR = ("second", "minute")


def tally_events(
    sources: Sources, selection: EventSelection, unit: SpatialUnit, by: str, *, direction: str = "both"
) -> sa.Subquery:
    """Count located events by ``location`` and ``period``.

    Columns are ``events`` and ``subscribers`` as defined by ``_judged``. ``by`` is a period as ``date_trunc``
    names it; ``period`` is its start on the wall clock. Events are located as by ``locate_events``.
    """
    tallied, rest = _tallied(sources, selection, by, direction)
    read = []
    if tallied is not None:
        cells = sources.cells(unit)
        serving = _serves(cells, tallied.c.cell, tallied.c.local_time)
        placed_tallies = sa.select(cells.c.location, *_counted(tallied, by))
        read.append(placed_tallies.join_from(tallied, cells, serving))
    for part in rest:
        located = locate_events(sources, part, unit, ("local_time",), direction=direction)
        read.append(_groups(located, located.c.location, by))
    groups = sa.union_all(*read).subquery("groups")
    placed = sa.select(groups, *_period(groups, by)).cte("placed")
    counts = _sum_of_groups(placed).cte("counts")
    return _judged(unit, placed, counts, _placed_subscribers(sources, selection, unit, by, direction))


def tally_cells(sources: Sources, selection: EventSelection, unit: SpatialUnit, by: str) -> sa.Subquery:
    """Do as ``tally_events`` and add the number of distinct ``cells``."""
    tallied, rest = _tallied(sources, selection, by)
    # No group spans midnight, and one day's groups fit into a processor's cache.
    days = (select_events(sources, day, ("cell", "local_time")) for part in rest for day in part.by_day())
    read = [_groups(events, events.c.cell, by) for events in days]
    if tallied is not None:
        read.append(sa.select(tallied.c.cell, *_counted(tallied, by)))
    groups = sa.union_all(*read).subquery("groups")
    cells = sources.cells(unit)
    # A cell stays in one place for whole days, so that events of a day or less are placed together.
    serving = _serves(cells, groups.c.cell, start_of(_grouped(by), groups.c.moment))
    located = sa.select(groups, cells.c.location, *_period(groups, by))
    placed = located.join_from(groups, cells, serving).cte("placed")
    distinct = sa.func.count(placed.c.cell.distinct()).label("cells")
    counts = _sum_of_groups(placed).add_columns(distinct).cte("counts")
    return _judged(unit, placed, counts, _placed_subscribers(sources, selection, unit, by))


def _tallied(
    sources: Sources, selection: EventSelection, by: str, direction: str = "both"
) -> tuple[FromClause | None, list[EventSelection]]:
    """Return stored counts by cell and hour, and selections of what they lack."""
    if by in _SHORTER_THAN_AN_HOUR or direction != "both":
        return None, [selection]
    return sources.tallied(selection)


def _counted(tallied: FromClause, by: str) -> list[sa.ColumnElement[Any]]:
    """Return the columns of ``_groups`` besides the place."""
    moment = period_of(_grouped(by), tallied.c.local_time)
    return [moment.label("moment"), tallied.c.events, tallied.c.bits]


def _grouped(by: str) -> str:
    """Return the period by which events are grouped first."""
    return "day" if by in _LONGER_THAN_A_DAY else by


def _groups(events: FromClause, place: sa.ColumnElement[Any], by: str) -> sa.Select[Any]:
    """Group events by place and ``moment``: their number and 64 subscriber bits."""
    moment = period_of(_grouped(by), events.c.local_time)
    bits = subscriber_bits(events.c.subscriber).label("bits")
    counted = sa.select(place, moment.label("moment"), sa.func.count().label("events"), bits)
    return counted.group_by(place, moment)


def _period(groups: FromClause, by: str) -> list[sa.Label[Any]]:
    start: sa.ColumnElement[Any] = start_of(_grouped(by), groups.c.moment)
    if by in _LONGER_THAN_A_DAY:
        start = sa.func.date_trunc(by, start, type_=sa.DateTime())
    return [start.label("period")]


def _serves(
    cells: FromClause, cell: sa.ColumnElement[Any], time: sa.ColumnElement[Any]
) -> sa.ColumnElement[bool]:
    return sa.and_(cell == cells.c.cell, time >= cells.c.valid_from, time < cells.c.valid_before)


def _sum_of_groups(placed: FromClause) -> sa.Select[Any]:
    return sa.select(
        placed.c.location,
        placed.c.period,
        sa.func.sum(placed.c.events).label("events"),
        sa.func.bit_count(sa.func.bit_or(placed.c.bits), type_=sa.Integer).label("bits_set"),
    ).group_by(placed.c.location, placed.c.period)


def _placed_subscribers(
    sources: Sources, selection: EventSelection, unit: SpatialUnit, by: str, direction: str = "both"
) -> Callable[[FromClause], sa.Subquery]:
    """Return a function that selects the subscribers of events in given moments.

    The columns are ``location``, ``moment`` and ``subscriber`` of each event in the moments of a relation.
    """

    def of_moments(wanted: FromClause) -> sa.Subquery:
        events = select_events(sources, selection, ("cell", "local_time"), direction=direction)
        moment = period_of(_grouped(by), events.c.local_time).label("moment")
        # Few moments are wanted, so everything else runs only on their events.
        among = sa.select(events, moment).where(hinted_among(moment, wanted.c.moment)).subquery("among")
        cells = sources.cells(unit)
        serving = _serves(cells, among.c.cell, among.c.local_time)
        columns = (cells.c.location, among.c.moment, among.c.subscriber)
        return sa.select(*columns).join_from(among, cells, serving).subquery("again")

    return of_moments


def _judged(
    unit: SpatialUnit, placed: sa.CTE, counts: sa.CTE, subscribers_of: Callable[[FromClause], sa.Subquery]
) -> sa.Subquery:
    """Add ``subscribers`` for the release gate to ``counts``; never publish it.

    ``subscribers`` is the number of distinct subscribers, or a lower number on the same side of the floor.
    Counting all of them is by far the most expensive part, and the gate only asks whether they exceed the
    floor. So each group keeps 64 bits, and every subscriber sets one bit. There are at least as many
    subscribers as bits set: with more bits than the floor, a row surely exceeds the floor. There are at most
    as many as events: with no more events than the floor, a row surely does not. Only doubtful rows, usually
    below a hundredth of the events, are counted exactly. Under a floor of 64 or more, which the bits cannot
    prove, every row is counted exactly.
    """

    def same_place(one: FromClause, other: FromClause) -> sa.ColumnElement[bool]:
        if not unit.has_unknown_places:
            return one.c.location == other.c.location
        # PostgreSQL has no fast join by IS NOT DISTINCT FROM.
        return sa.func.coalesce(one.c.location, -1) == sa.func.coalesce(other.c.location, -1)

    doubtful = (
        sa.select(placed.c.moment, placed.c.location, placed.c.period)
        .distinct()
        .join(
            counts,
            sa.and_(same_place(counts, placed), counts.c.period == placed.c.period),
        )
        .where(counts.c.events > floor(), counts.c.bits_set <= floor())
        .cte("doubtful")
    )
    again = subscribers_of(doubtful)
    exact = (
        sa.select(
            doubtful.c.location,
            doubtful.c.period,
            sa.func.count(again.c.subscriber.distinct()).label("subscribers"),
        )
        .join(again, sa.and_(same_place(again, doubtful), again.c.moment == doubtful.c.moment))
        .group_by(doubtful.c.location, doubtful.c.period)
        .subquery("exact")
    )
    known = [column for column in counts.c if column.name != "bits_set"]
    return (
        sa.select(*known, sa.func.coalesce(exact.c.subscribers, counts.c.bits_set).label("subscribers"))
        .outerjoin(exact, sa.and_(same_place(exact, counts), exact.c.period == counts.c.period))
        .subquery("tally")
    )
