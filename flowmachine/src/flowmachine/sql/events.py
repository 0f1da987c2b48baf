"""Select and locate events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.fields import HourInterval
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import MOST_SPANS, EventSelection, Sources
from flowmachine.spec.subsets import set_of


def in_hours(hours: HourInterval, local_time: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether a wall-clock time lies in the hours of its own calendar day."""
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
    """Select events of the selection, its subset and a direction.

    The direction is 'in', 'out' or 'both'. Columns are ``subscriber`` and the given columns.
    """
    wanted = list(dict.fromkeys(["subscriber", *columns]))
    if direction == "both" and selection.subset is None:
        return sources.events(selection, wanted)
    needed = wanted + (["outgoing"] if direction != "both" and "outgoing" not in wanted else [])
    events = sources.events(selection, needed)
    statement = sa.select(*(events.c[name] for name in wanted))
    if direction != "both":
        statement = statement.where(events.c.outgoing == sa.literal(direction == "out"))
    if selection.subset is not None:
        subset = sources.stored(set_of(selection.subset))
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
    once: bool = False,
) -> FromClause:
    """Locate events: ``subscriber``, ``location`` and the columns.

    An event is located by its cell's entry that is valid on the event's date. With two entries the event
    counts twice, or ``once`` at the place that sorts first. Without an entry the event is dropped or, if ``keep_unplaced``, kept with a null location.
    """
    # Restricting the map to each span once is much less work than comparing dates for each event.
    spans = selection.split(sources.moves(unit))
    if len(spans) > MOST_SPANS:
        needed = [*columns] if "local_time" in columns else [*columns, "local_time"]
        events = select_events(sources, selection, ["cell", *needed], direction=direction)
        cells = _once_by_span(sources.cells(unit), spans) if once else sources.cells(unit)
        valid = sa.and_(events.c.local_time >= cells.c.valid_from, events.c.local_time < cells.c.valid_before)
        located = [_located(events, cells, columns, valid, keep_unplaced)]
    else:
        located = []
        for span in spans:
            events = select_events(sources, span, ["cell", *columns], direction=direction)
            day = datetime.combine(span.start, time.min)
            cells = sources.cells(unit)
            place = sa.func.min(cells.c.location).label("location") if once else cells.c.location
            serving = sa.select(cells.c.cell, place).where(
                cells.c.valid_from <= day, cells.c.valid_before > day
            )
            if once:
                serving = serving.group_by(cells.c.cell)
            located.append(_located(events, serving.subquery("serving"), columns, sa.true(), keep_unplaced))
    return (located[0] if len(located) == 1 else sa.union_all(*located)).subquery("located")


def with_points(
    sources: Sources, selection: EventSelection, located: FromClause, points: SpatialUnit
) -> FromClause:
    """Return located events with the points of their cells.

    ``region`` is the place of ``located``, and ``location`` the point on that day. Of two points the first in order counts; a
    cell may have none. ``located`` has the columns ``cell``, ``time`` and ``local_time``.
    """
    cells = _once_by_span(sources.cells(points), selection.split(sources.moves(points)))
    valid = sa.and_(
        located.c.cell == cells.c.cell,
        located.c.local_time >= cells.c.valid_from,
        located.c.local_time < cells.c.valid_before,
    )
    return (
        sa.select(located.c.subscriber, located.c.time, located.c.location.label("region"), cells.c.location)
        .select_from(located.outerjoin(cells, valid))
        .subquery("pointed")
    )


def _once_by_span(cells: FromClause, spans: Sequence[EventSelection]) -> FromClause:
    """Return the map with one entry by cell and span, at the place that sorts first."""
    edges = sa.union_all(
        *(
            sa.select(
                sa.literal(datetime.combine(span.start, time.min), sa.DateTime).label("valid_from"),
                sa.literal(span.end, sa.DateTime).label("valid_before"),
            )
            for span in spans
        )
    ).subquery("spans")
    serving = sa.and_(cells.c.valid_from <= edges.c.valid_from, cells.c.valid_before > edges.c.valid_from)
    key = [cells.c.cell, edges.c.valid_from, edges.c.valid_before]
    return (
        sa.select(*key, sa.func.min(cells.c.location).label("location"))
        .join(edges, serving)
        .group_by(*key)
        .subquery("once")
    )


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
