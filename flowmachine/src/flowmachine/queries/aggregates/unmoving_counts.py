"""Count subscribers who were at one location only."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.aggregates._unmoving import unmoving
from flowmachine.queries.places.unique_locations import UniqueLocations
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Sources, query_kind


@query_kind("unmoving_counts", summary="The number of subscribers seen at one location only.")
class UnmovingCounts(Aggregate):
    """Count subscribers with exactly one location, at that location."""

    locations: UniqueLocations = required(Nested("unique_locations"), keyword="unique_locations")

    @property
    def unit(self) -> SpatialUnit:
        return self.locations.unit

    def contributors(self, sources: Sources) -> FromClause:
        return unmoving(sources, self.locations)

    @property
    def published(self) -> Published:
        return Published((Region(self.unit), Value("value", sa.BigInteger())), KeepOver("value"))
