"""Count subscribers at each location."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Aggregate, Query, Sources, query_kind


@query_kind("spatial_aggregate", summary="The number of subscribers at each location.")
class SpatialAggregate(Aggregate):
    """Count subscribers at their reference location.

    Subscribers with a null location form a separate row.
    """

    locations: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))

    @property
    def unit(self) -> SpatialUnit | None:
        return self.locations.unit

    def select(self, sources: Sources) -> Select[Any]:
        located = sources.stored(self.locations)
        return sa.select(located.c.location, sa.func.count().label("value")).group_by(located.c.location)

    @property
    def published(self) -> Published:
        assert self.unit is not None
        return Published((Region(self.unit), Value("value", sa.BigInteger())), KeepOver("value"))
