"""Find subscribers who stayed in one place."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.places.unique_locations import UniqueLocations
from flowmachine.spec.query import Sources


def unmoving(sources: Sources, locations: UniqueLocations) -> FromClause:
    """Return (``location``, ``subscriber``) of subscribers with a single location."""
    visits = sources.stored(locations)
    return (
        sa.select(sa.func.min(visits.c.location).label("location"), visits.c.subscriber)
        .group_by(visits.c.subscriber)
        .having(sa.func.count() == 1)
        .subquery("unmoving")
    )
