"""Tell of subscribers who never left one place."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.queries.places.unique_locations import UniqueLocations
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Query, Sources, field_group
from flowmachine.spec.windows import same_unit


@field_group
class AtReference:
    """Hold the fields of kinds that compare where subscribers were with one location."""

    unique_locations: UniqueLocations = required(Nested("unique_locations"))
    reference_location: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))

    def check(self) -> None:
        same_unit(
            "unique_locations and reference_location must have the same aggregation unit",
            self.unique_locations,
            self.reference_location,
        )


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
