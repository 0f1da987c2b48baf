"""How many subscribers are at each location."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.fields import Nested, required
from flowmachine.queries import REFERENCE_LOCATIONS
from flowmachine.registry import Aggregate, Query, query_kind
from flowmachine.release import KeepOver, Published, Region, Value
from flowmachine.sql.sources import Sources
from flowmachine.units import SpatialUnit


@query_kind("spatial_aggregate")
class SpatialAggregate(Aggregate):
    """Subscribers counted at their reference location; those with a null location form a row of their own."""

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
