"""Counting events by place and period, with as much about the subscribers behind them as the release gate asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from flowmachine.release import floor
from flowmachine.sql.events import EventSelection, select_events
from flowmachine.sql.functions import hinted_among, start_of, subscriber_bits

if TYPE_CHECKING:
    from flowmachine.sql.sources import Sources
    from flowmachine.units import SpatialUnit

#: Periods that do not lie within one day, so that a cell may move while one lasts.
_LONGER_THAN_A_DAY = ("month", "year")


def tally(
    sources: Sources, selection: EventSelection, unit: SpatialUnit, by: str, *, direction: str = "both"
) -> sa.Subquery:
    """Located events by ``location`` and ``period``: the number of ``events``, of distinct ``cells``, and ``subscribers``.

    ``by`` is a period as ``date_trunc`` names it; ``period`` is its start on the wall clock. Events are located as by
    ``locate_events``.

    ``subscribers`` is for the release gate and never to be published: it is the number of distinct subscribers, or
    fewer of them that lie on the same side of the floor. To count them all is by far the dearest part, and the gate
    asks only whether they are over the floor. So events are first grouped by cell, which a cell's few digits make cheap,
    and each group keeps 64 bits, one of which every subscriber sets. There are at least as many subscribers as bits set:
    with more bits than the floor a row is surely over it. There are at most as many as events: with no more events
    than the floor a row is surely not over it. What is left in doubt, seldom a hundredth of the events, is
    counted exactly; so is everything under a floor of 64 or more, which the bits cannot prove.
    """
    events = select_events(sources, selection, ("cell", "local_time"), direction=direction)
    # A cell lies in one place for whole days, so that a day or less of its events is placed as one.
    moment = start_of("day" if by in _LONGER_THAN_A_DAY else by, events.c.local_time)
    tallies = (
        sa.select(
            events.c.cell,
            moment.label("moment"),
            sa.func.count().label("events"),
            subscriber_bits(events.c.subscriber).label("bits"),
        )
        .group_by(events.c.cell, moment)
        .subquery("tallies")
    )
    cells = sources.cells(unit)
    valid = sa.and_(
        tallies.c.cell == cells.c.cell,
        tallies.c.moment >= cells.c.valid_from,
        tallies.c.moment < cells.c.valid_before,
    )
    placed = (
        sa.select(
            tallies.c.cell,
            tallies.c.moment,
            cells.c.location,
            start_of(by, tallies.c.moment).label("period"),
            tallies.c.events,
            tallies.c.bits,
        )
        .join(cells, valid)
        .cte("placed")
    )
    counts = (
        sa.select(
            placed.c.location,
            placed.c.period,
            sa.func.sum(placed.c.events).label("events"),
            sa.func.count(placed.c.cell.distinct()).label("cells"),
            sa.func.bit_count(sa.func.bit_or(placed.c.bits), type_=sa.Integer).label("bits_set"),
        )
        .group_by(placed.c.location, placed.c.period)
        .cte("counts")
    )
    doubtful = (
        sa.select(placed.c.cell, placed.c.moment, placed.c.location, placed.c.period)
        .distinct()
        .join(
            counts,
            sa.and_(counts.c.location == placed.c.location, counts.c.period == placed.c.period),
        )
        .where(counts.c.events > floor(), counts.c.bits_set <= floor())
        .cte("doubtful")
    )
    again = (
        sa.select(events.c.cell, moment.label("moment"), events.c.subscriber)
        .where(
            hinted_among(events.c.cell, doubtful.c.cell),
            hinted_among(moment, doubtful.c.moment),
        )
        .subquery("again")
    )
    exact = (
        sa.select(
            doubtful.c.location,
            doubtful.c.period,
            sa.func.count(again.c.subscriber.distinct()).label("subscribers"),
        )
        .join(again, sa.and_(again.c.cell == doubtful.c.cell, again.c.moment == doubtful.c.moment))
        .group_by(doubtful.c.location, doubtful.c.period)
        .subquery("exact")
    )
    return (
        sa.select(
            counts.c.location,
            counts.c.period,
            counts.c.events,
            counts.c.cells,
            sa.func.coalesce(exact.c.subscribers, counts.c.bits_set).label("subscribers"),
        )
        .outerjoin(exact, sa.and_(exact.c.location == counts.c.location, exact.c.period == counts.c.period))
        .subquery("tally")
    )
