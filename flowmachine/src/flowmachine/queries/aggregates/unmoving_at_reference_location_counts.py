"""Count subscribers who never left their reference location."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.aggregates._unmoving import unmoving
from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.queries.places.unique_locations import UniqueLocations
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.spec.windows import same_unit


@query_kind(
    "unmoving_at_reference_location_counts",
    summary="The number of subscribers seen at their reference location only.",
)
class UnmovingAtReferenceLocationCounts(Aggregate):
    """Count subscribers whose only location is their reference location."""

    locations: UniqueLocations = required(Nested("unique_locations"), keyword="unique_locations")
    reference_locations: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))

    def check(self) -> None:
        same_unit(
            "'locations' and 'reference_locations' parameters must have the same aggregation unit",
            self.locations,
            self.reference_locations,
        )

    @property
    def unit(self) -> SpatialUnit:
        return self.locations.unit

    def contributors(self, sources: Sources) -> FromClause:
        stayed = unmoving(sources, self.locations)
        reference = sa.select(sources.stored(self.reference_locations)).subquery("reference")
        at_home = sa.and_(
            stayed.c.subscriber == reference.c.subscriber, stayed.c.location == reference.c.location
        )
        return (
            sa.select(stayed.c.location, stayed.c.subscriber).join(reference, at_home).subquery("stayed_home")
        )

    @property
    def published(self) -> Published:
        return Published((Region(self.unit), Value("value", sa.BigInteger())), KeepOver("value"))
