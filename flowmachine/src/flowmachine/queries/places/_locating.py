"""Choose one location for each subscriber from events or from several days."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.fields import Flag, optional
from flowmachine.spec.places import CELLS, SpatialUnit
from flowmachine.spec.query import EventSelection, Sources, field_group
from flowmachine.spec.units import NetworkUnit
from flowmachine.sql.events import locate_events
from flowmachine.sql.packed import latest_location, place_of_most_events, place_of_most_turns


@field_group
class Unplaced(NetworkUnit):
    """Hold the field of kinds that can keep events which name no cell.

    Only at unit ``cell`` can an event be without a place.
    """

    ignore_nulls: bool = optional(Flag(), True)

    def check(self) -> None:
        super().check()
        if not self.ignore_nulls and self.unit != CELLS:
            raise ma.ValidationError({"ignore_nulls": ["Only at aggregation_unit cell can it be false."]})


def last_location(
    sources: Sources,
    selection: EventSelection,
    unit: SpatialUnit,
    *,
    keep_unplaced: bool = False,
    by_day: bool = False,
) -> Select[Any]:
    """Select each subscriber's location at the latest event.

    Ties go to the location that sorts first, with a null location last. ``by_day`` selects one for each
    ``date``.
    """
    columns = ("time", "local_time") if by_day else ("time",)
    located = locate_events(sources, selection, unit, columns, keep_unplaced=keep_unplaced)
    regions = sources.region_count(unit)
    location: ColumnElement[int] = located.c.location
    may_be_null = keep_unplaced or unit.has_unknown_places
    if may_be_null:
        location = sa.func.coalesce(location, regions)
    latest = latest_location(
        located.c.time,
        location,
        since=sa.literal(selection.earliest),
        span=selection.span,
        regions=regions + 1 if may_be_null else regions,
    )
    if may_be_null:
        latest = sa.func.nullif(latest, regions)
    whose = [located.c.subscriber, *_date(located, by_day)]
    return sa.select(*whose, latest.label("location")).group_by(*whose)


def _date(located: FromClause, by_day: bool) -> list[ColumnElement[Any]]:
    return [sa.cast(located.c.local_time, sa.Date).label("date")] if by_day else []


def most_common_location(
    sources: Sources, selection: EventSelection, unit: SpatialUnit, *, by_day: bool = False
) -> Select[Any]:
    """Select the location with most events.

    Ties go to the latest event, then to the location that sorts first, with a null location last. ``by_day``
    selects one for each ``date``.
    """
    located = locate_events(sources, selection, unit, ("time", "local_time") if by_day else ("time",))
    whose = [located.c.subscriber, *_date(located, by_day)]
    visits = (
        sa.select(
            *whose,
            located.c.location,
            sa.func.count().label("events"),
            sa.func.max(located.c.time).label("latest"),
        )
        .group_by(*whose, located.c.location)
        .subquery("visits")
    )
    whose = [visits.c[column.name] for column in whose]
    chosen = place_of_most_events(
        visits.c.location,
        visits.c.events,
        visits.c.latest,
        since=sa.literal(selection.earliest),
        span=selection.span,
        regions=sources.region_count(unit),
    )
    return sa.select(*whose, chosen.label("location")).group_by(*whose)


def modal_location(stays: FromClause, *, turns: int, regions: int, minimum: int = 0) -> Select[Any]:
    """Select the location of most of a subscriber's stays.

    Stays are (``subscriber``, ``location``, ``turn``). A subscriber has at most ``turns`` stays, and each
    turn is below that. Ties go to the latest turn, then to the location that sorts first, with a null
    location last. Subscribers with fewer than ``minimum`` stays are left out. ``regions`` is the number of
    regions.
    """
    visits = (
        sa.select(
            stays.c.subscriber,
            stays.c.location,
            sa.func.count().label("days"),
            sa.func.max(stays.c.turn).label("latest"),
        )
        .group_by(stays.c.subscriber, stays.c.location)
        .subquery("visits")
    )
    location = place_of_most_turns(
        visits.c.location, visits.c.days, visits.c.latest, turns=turns, regions=regions
    )
    chosen = sa.select(visits.c.subscriber, location.label("location")).group_by(visits.c.subscriber)
    return chosen.having(sa.func.sum(visits.c.days) >= minimum) if minimum else chosen
