"""Subscribers who were seen at one location only."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.unique_locations import UniqueLocations
from flowmachine.sql.sources import Sources


def unmoving(sources: Sources, locations: UniqueLocations) -> FromClause:
    """Rows (``subscriber``, ``location``): the subscribers with exactly one unique location."""
    visited = sources.stored(locations)
    return (
        sa.select(visited.c.subscriber, sa.func.min(visited.c.location).label("location"))
        .group_by(visited.c.subscriber)
        .having(sa.func.count() == 1)
        .subquery("unmoving")
    )
