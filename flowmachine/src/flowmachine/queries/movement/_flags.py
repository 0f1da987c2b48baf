"""Tell of subscribers who never left one place."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.spec.query import Query, Sources


def places_of(sources: Sources, locations: Query) -> FromClause:
    """Return (``subscriber``, ``places``, ``location``), one of the places."""
    visits = sources.stored(locations)
    return (
        sa.select(
            visits.c.subscriber,
            sa.func.count().label("places"),
            sa.func.min(visits.c.location).label("location"),
        )
        .group_by(visits.c.subscriber)
        .subquery("places")
    )
