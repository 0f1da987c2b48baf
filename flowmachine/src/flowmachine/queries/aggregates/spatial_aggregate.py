"""Count subscribers at each location."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Query, Sources, query_kind


@query_kind("spatial_aggregate", summary="The number of subscribers at each location.")
class SpatialAggregate(Aggregate):
    """Count subscribers at their reference location.

    Subscribers with a null location form a separate row.
    """

    locations: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))

    @property
    def unit(self) -> SpatialUnit | None:
        return self.locations.unit

    def contributors(self, sources: Sources) -> FromClause:
        located = sources.stored(self.locations)
        return sa.select(located.c.location, located.c.subscriber).subquery("located")

    @property
    def published(self) -> Published:
        assert self.unit is not None
        return Published((Region(self.unit), Value("value", sa.BigInteger())), KeepOver("value"))
