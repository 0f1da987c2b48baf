"""Count subscribers seen at their reference location."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.queries.places.unique_locations import UniqueLocations
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.spec.windows import same_unit
from flowmachine.sql.contributors import COUNTED_COLUMNS


@query_kind(
    "active_at_reference_location_counts",
    summary="The number of subscribers seen at their reference location.",
)
class ActiveAtReferenceLocationCounts(Aggregate):
    """Count subscribers whose reference location is among their unique locations.

    Subscribers are counted at their reference location.
    """

    columns: ClassVar[dict[str, Any]] = COUNTED_COLUMNS

    unique_locations: UniqueLocations = required(Nested("unique_locations"))
    reference_locations: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))

    def check(self) -> None:
        same_unit(
            "'unique_locations' and 'reference_locations' parameters must have the same aggregation unit",
            self.unique_locations,
            self.reference_locations,
        )

    @property
    def unit(self) -> SpatialUnit:
        return self.unique_locations.unit

    def contributors(self, sources: Sources) -> FromClause:
        visited = sa.select(sources.stored(self.unique_locations)).subquery("visited")
        reference = sa.select(sources.stored(self.reference_locations)).subquery("reference")
        there = sa.and_(
            visited.c.subscriber == reference.c.subscriber, visited.c.location == reference.c.location
        )
        return sa.select(reference.c.location, reference.c.subscriber).join(visited, there).subquery("active")

    @property
    def published(self) -> Published:
        return Published((Region(self.unit), Value("value", sa.BigInteger())), KeepOver("value"))
