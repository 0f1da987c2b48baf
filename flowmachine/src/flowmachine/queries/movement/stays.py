"""Cut each subscriber's time into stays, moves and what is unknown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries.movement._sequence import PLACES, without_wrong
from flowmachine.spec.fields import Flag, Number, optional
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import SubsetFields, WholeDays, window_selection
from flowmachine.sql.events import locate_events, with_points
from flowmachine.sql.functions import microseconds, time_at

#: States of a span of time.
STAY, MOVE, UNDETERMINED, UNKNOWN = "stay", "move", "undetermined", "unknown"

#: What lies between an event and its neighbour: nothing, the same stay, a move, or a silence.
_EDGE, _HOLD, _MOVE, _BREAK = range(4)

_EPOCH = datetime(1970, 1, 1)

#: A leap year; longer times would not fit into the microseconds of a statement.
_MOST_HOURS = 366.0 * 24
_MOST_MINUTES = 60 * _MOST_HOURS


@query_kind("stays", summary="Spans of time at a location, on the move or unknown, by subscriber.")
class Stays(WholeDays, Unit, SubsetFields, Query):
    """Cut each subscriber's time in the window into spans by their events.

    Two events that follow each other at one location belong to one run if the time between them is at most
    ``max_stay_gap_hours``. At two locations at most ``max_move_gap_hours`` apart, the first half of the time is a
    ``move`` at the one and the second half at the other. All longer times are ``unknown`` but for
    ``pad_minutes`` at both ends, which the runs gain. A run is a ``stay`` if its last event is over
    ``min_stay_minutes`` after its start, otherwise ``undetermined``. Events without a location are left out, and
    of two locations the first in order counts. ``start`` and ``end`` are times in UTC; rows are not cut at midnight. Durations are those that have
    passed, also where the clock changes.

    The method is that of Eurostat's multimno 1.0 (continuous time segmentation), with locations in place of
    overlapping footprints.
    """

    columns: ClassVar[dict[str, Any]] = {
        "subscriber": sa.Text(),
        "start": sa.DateTime(),
        "end": sa.DateTime(),
        "state": sa.Text(),
        "location": sa.Integer(),
    }
    order: ClassVar[tuple[str, ...]] = ("subscriber", "start")

    clean: bool = optional(
        Flag(),
        False,
        "Leave out events that are over 10 km from the events before and after, at over 55 m/s.",
    )
    min_stay_minutes: float = optional(
        Number(0.0, _MOST_MINUTES, above=True), 15.0, "A run is a stay if it is longer.", example=30
    )
    max_stay_gap_hours: float = optional(
        Number(0.0, _MOST_HOURS, above=True), 12.0, "Longest time between two events of one run.", example=8
    )
    max_move_gap_hours: float = optional(
        Number(0.0, _MOST_HOURS, above=True), 2.0, "Longest time of a move between two locations.", example=3
    )
    pad_minutes: float = optional(
        Number(0.0, _MOST_MINUTES, above=True),
        5.0,
        "What a run gains where nothing else is known.",
        example=10,
    )

    def check(self) -> None:
        super().check()
        if self.pad_minutes * 2 > 60 * min(self.max_move_gap_hours, self.max_stay_gap_hours):
            text = "pad_minutes must be at most half of max_move_gap_hours and of max_stay_gap_hours."
            raise ma.ValidationError({"pad_minutes": [text]})

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        runs = self._runs(sources)
        begin, end = (_number(sources.utc(moment)) for moment in (self.start_date, self.end_date))
        pad = _length(minutes=self.pad_minutes)
        head = sa.func.least(pad, _half(runs.c.first - begin))
        start = sa.case(
            (runs.c.before == _EDGE, runs.c.first - head),
            (runs.c.before == _BREAK, runs.c.first - pad),
            else_=runs.c.first,
        )
        stop = sa.case((runs.c.after == _BREAK, runs.c.last + pad), else_=runs.c.last)
        stayed = runs.c.last - start > _length(minutes=self.min_stay_minutes)
        state = sa.case((stayed, sa.literal(STAY)), else_=sa.literal(UNDETERMINED))
        place, nowhere = runs.c.location, sa.cast(sa.null(), sa.Integer)
        spans = [
            _span(runs, start, stop, state, place),
            _span(runs, runs.c.last, _half(runs.c.last + runs.c.next), MOVE, place, runs.c.after == _MOVE),
            _span(
                runs, _half(runs.c.previous + runs.c.first), runs.c.first, MOVE, place, runs.c.before == _MOVE
            ),
            _span(runs, runs.c.last + pad, runs.c.next - pad, UNKNOWN, nowhere, runs.c.after == _BREAK),
            _span(runs, begin, runs.c.first - head, UNKNOWN, nowhere, runs.c.before == _EDGE),
            _span(runs, runs.c.last, end, UNKNOWN, nowhere, runs.c.after == _EDGE),
        ]
        found = sa.union_all(*spans).subquery("spans")
        return sa.select(
            found.c.subscriber,
            time_at(found.c.start).label("start"),
            time_at(found.c.end).label("end"),
            found.c.state,
            found.c.location,
        ).where(found.c.start < found.c.end)

    def _runs(self, sources: Sources) -> FromClause:
        """Return the runs: first and last event, and what lies before and after.

        Times are microseconds. ``previous`` and ``next`` are the neighbouring events' times.
        """
        events = self._sequence(sources)
        order: dict[str, Any] = {
            "partition_by": events.c.subscriber,
            "order_by": [events.c.at, events.c.location],
        }

        def beside(shift: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
            """Return what lies between an event and its neighbour, and the neighbour's time."""
            at = shift(events.c.at).over(**order)
            same = shift(events.c.location).over(**order) == events.c.location
            gap = sa.func.abs(at - events.c.at)
            kind = sa.case(
                (at.is_(None), _EDGE),
                (sa.and_(same, gap <= _length(hours=self.max_stay_gap_hours)), _HOLD),
                (sa.and_(~same, gap <= _length(hours=self.max_move_gap_hours)), _MOVE),
                else_=_BREAK,
            )
            return kind, at

        before, previous = beside(sa.func.lag)
        after, following = beside(sa.func.lead)
        steps = sa.select(
            events,
            before.label("before"),
            previous.label("previous"),
            after.label("after"),
            following.label("following"),
        ).subquery("steps")
        starts = sa.case((steps.c.before == _HOLD, 0), else_=1)
        order = {"partition_by": steps.c.subscriber, "order_by": [steps.c.at, steps.c.location]}
        numbered = sa.select(steps, sa.func.sum(starts).over(**order).label("run")).subquery("numbered")

        def at_edge(side: str, column: str) -> ColumnElement[Any]:
            """Take a column of the one event of the run that holds no neighbour on the side."""
            return sa.func.max(sa.case((numbered.c[side] != _HOLD, numbered.c[column])))

        return (
            sa.select(
                numbered.c.subscriber,
                sa.func.min(numbered.c.location).label("location"),
                sa.func.min(numbered.c.at).label("first"),
                sa.func.max(numbered.c.at).label("last"),
                at_edge("before", "before").label("before"),
                at_edge("before", "previous").label("previous"),
                at_edge("after", "after").label("after"),
                at_edge("after", "following").label("next"),
            )
            .group_by(numbered.c.subscriber, numbered.c.run)
            .cte("runs")
        )

    def _sequence(self, sources: Sources) -> FromClause:
        """Return (``subscriber``, ``at``, ``location``) of events, each at one location."""
        (selection,) = self.events
        more = ("cell", "local_time") if self.clean else ()
        located = locate_events(sources, selection, self.unit, ("time", *more), once=True)
        place = located.c.location
        if self.clean:
            known = sa.select(located).where(place.is_not(None)).subquery("known")
            located = without_wrong(sources, with_points(sources, selection, known, PLACES), "region")
            place = located.c.region
        return (
            sa.select(located.c.subscriber, microseconds(located.c.time).label("at"), place.label("location"))
            .where(place.is_not(None))
            .subquery("placed")
        )


def _span(
    runs: FromClause,
    start: Any,
    end: Any,
    state: Any,
    location: ColumnElement[Any],
    where: ColumnElement[bool] | None = None,
) -> Select[Any]:
    named = sa.literal(state) if isinstance(state, str) else state
    select = sa.select(
        runs.c.subscriber,
        _big(start).label("start"),
        _big(end).label("end"),
        named.label("state"),
        location.label("location"),
    )
    return select if where is None else select.where(where)


def _number(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _length(**given: float) -> ColumnElement[int]:
    return sa.literal(timedelta(**given) // timedelta(microseconds=1), sa.BigInteger)


def _big(number: Any) -> ColumnElement[int]:
    return sa.literal(number, sa.BigInteger) if isinstance(number, int) else sa.cast(number, sa.BigInteger)


def _half(number: ColumnElement[int]) -> ColumnElement[int]:
    # A division of integers is whole in one database, and not in the other.
    return sa.cast(sa.func.floor(sa.cast(number, sa.Double) / 2), sa.BigInteger)
