"""How many subscribers were at one location only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.fields import Nested, required
from flowmachine.queries._unmoving import unmoving
from flowmachine.queries.unique_locations import UniqueLocations
from flowmachine.registry import Aggregate, query_kind
from flowmachine.release import KeepOver, Published, Region, Value
from flowmachine.sql.sources import Sources
from flowmachine.units import SpatialUnit


@query_kind("unmoving_counts")
class UnmovingCounts(Aggregate):
    """Subscribers with exactly one location, counted there."""

    locations: UniqueLocations = required(Nested("unique_locations"))

    @property
    def unit(self) -> SpatialUnit:
        return self.locations.unit

    def select(self, sources: Sources) -> Select[Any]:
        stayed = unmoving(sources, self.locations)
        return sa.select(stayed.c.location, sa.func.count().label("value")).group_by(stayed.c.location)

    @property
    def published(self) -> Published:
        return Published((Region(self.unit), Value("value", sa.BigInteger())), KeepOver("value"))
