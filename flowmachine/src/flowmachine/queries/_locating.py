"""Choosing one location for each subscriber from their located events."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.sql.events import EventSelection, locate_events
from flowmachine.sql.functions import first_by, latest_location
from flowmachine.sql.sources import Sources
from flowmachine.units import SpatialUnit


def last_location(sources: Sources, selection: EventSelection, unit: SpatialUnit) -> Select[Any]:
    """The location of each subscriber's latest event; ties go to the location that sorts first."""
    located = locate_events(sources, selection, unit, ("time",))
    return sa.select(
        located.c.subscriber,
        latest_location(
            located.c.time,
            located.c.location,
            since=sa.literal(selection.earliest),
            span=selection.span,
            regions=sources.region_count(unit),
        ).label("location"),
    ).group_by(located.c.subscriber)


def most_common_location(sources: Sources, selection: EventSelection, unit: SpatialUnit) -> Select[Any]:
    """The location with most events, then with the latest event, then the one that sorts first."""
    located = locate_events(sources, selection, unit, ("time",))
    visits = (
        sa.select(
            located.c.subscriber,
            located.c.location,
            sa.func.count().label("events"),
            sa.func.max(located.c.time).label("latest"),
        )
        .group_by(located.c.subscriber, located.c.location)
        .subquery("visits")
    )
    return sa.select(
        visits.c.subscriber,
        first_by(visits.c.location, visits.c.events, visits.c.latest, -visits.c.location).label("location"),
    ).group_by(visits.c.subscriber)
