"""Follow a subscriber's located events in the order of time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.queries.movement._distances import distances_between
from flowmachine.spec.fields import Flag, Integer, Number, optional
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import EventSelection, Sources, field_group
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events
from flowmachine.sql.functions import microseconds

PLACES = SpatialUnit("lon-lat")

#: An event that both legs put this far away, at more than this speed, is at a wrong place (km, km/s).
FAR, FAST = 10, 0.055


@field_group
class Sequenced(Window, EventFields):
    """Hold the fields of kinds over each subscriber's sequence of events."""

    clean: bool = optional(
        Flag(),
        False,
        "Leave out events that are over 10 km from the events before and after, at over 55 m/s.",
    )

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)


@field_group
class Jumping(Sequenced):
    """Hold the fields of kinds over jumps: pairs of events that follow each other."""

    max_gap_hours: float | None = optional(
        Number(0.0, exclusive=True),
        None,
        "Jumps over a longer gap do not count; None counts all.",
        example=168,
    )
    look_back_days: int = optional(
        Integer(0, 7), 0, "Days before the window in which the first jump may begin.", example=7
    )

    @property
    def events(self) -> tuple[EventSelection]:
        selection = window_selection(self)
        return (replace(selection, start=selection.start - timedelta(days=self.look_back_days)),)


def sequence(sources: Sources, query: Sequenced) -> FromClause:
    """Return (``subscriber``, ``time``, ``location``) of events, each at one place.

    The order is that of time, then of the place. An event at two places is at the place that sorts first.
    """
    located = locate_events(sources, query.events[0], PLACES, ("time",), once=True)
    return without_wrong(sources, located) if query.clean else located


def without_wrong(sources: Sources, located: FromClause, *more: str) -> FromClause:
    """Return the events of a sequence but for those at wrong places.

    ``location`` is a place of ``PLACES``; ``more`` are further columns to keep, which break ties first.
    """
    steps = _steps(located, "all_steps", *more)
    distances = distances_between(sources, PLACES, steps)
    seconds = _gap(steps) / 1e6
    too_fast = sa.and_(distances.c.km > FAR, distances.c.km > FAST * seconds)
    legs = (
        sa.select(
            steps.c.subscriber,
            steps.c.time,
            steps.c.place.label("location"),
            *(steps.c[name] for name in more),
            sa.case((too_fast, 1), else_=0).label("too_fast"),
        )
        .select_from(steps.outerjoin(distances, _between(steps, distances)))
        .subquery("legs")
    )
    onwards = sa.func.lead(legs.c.too_fast).over(**_in_order(legs, *more)).label("onwards")
    judged = sa.select(legs, onwards).subquery("judged")
    wrong = sa.and_(judged.c.too_fast == 1, sa.func.coalesce(judged.c.onwards, 0) == 1)
    return (
        sa.select(judged.c.subscriber, judged.c.time, judged.c.location, *(judged.c[name] for name in more))
        .where(sa.not_(wrong))
        .subquery("cleaned")
    )


def jumps(sources: Sources, query: Jumping, start: datetime) -> FromClause:
    """Return (``subscriber``, ``km``) for each event from ``start``.

    ``km`` is the distance from the event before, null where no jump counts.
    """
    steps = _steps(sequence(sources, query), "steps")
    distances = distances_between(sources, PLACES, steps)
    km: ColumnElement[Any] = distances.c.km
    if query.max_gap_hours is not None:
        km = sa.case((_gap(steps) <= query.max_gap_hours * 3.6e9, km))
    return (
        sa.select(steps.c.subscriber, km.label("km"))
        .select_from(steps.outerjoin(distances, _between(steps, distances)))
        .where(steps.c.time >= sources.utc(start))
        .subquery("jumps")
    )


def visits(sources: Sources, query: Sequenced) -> FromClause:
    """Return (``subscriber``, ``location``, ``events``, ``first``) of each place."""
    events = sequence(sources, query)
    key = [events.c.subscriber, events.c.location]
    return (
        sa.select(*key, sa.func.count().label("events"), sa.func.min(events.c.time).label("first"))
        .group_by(*key)
        .subquery("visits")
    )


def _in_order(events: FromClause, *more: str) -> dict[str, Any]:
    order = [events.c[name] for name in ("time", *more, "location")]
    return {"partition_by": events.c.subscriber, "order_by": order}


def _steps(events: FromClause, name: str, *more: str) -> FromClause:
    """Return each event's ``place``, with ``home`` and time of the event before."""
    before = {
        name: sa.func.lag(events.c[name]).over(**_in_order(events, *more)) for name in ("location", "time")
    }
    return sa.select(
        events.c.subscriber,
        *(events.c[name] for name in more),
        events.c.time,
        events.c.location.label("place"),
        before["location"].label("home"),
        before["time"].label("time_before"),
    ).cte(name)


def _gap(steps: FromClause) -> ColumnElement[Any]:
    return sa.cast(microseconds(steps.c.time) - microseconds(steps.c.time_before), sa.Double)


def _between(steps: FromClause, distances: FromClause) -> ColumnElement[bool]:
    return sa.and_(distances.c.place == steps.c.place, distances.c.home == steps.c.home)
