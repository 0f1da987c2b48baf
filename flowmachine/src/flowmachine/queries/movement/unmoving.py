"""Tell of each subscriber whether there was one location only."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.movement._flags import places_of
from flowmachine.queries.places.unique_locations import UniqueLocations
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind


@query_kind("unmoving", direct=True)
class Unmoving(SubscriberMetric):
    """Tell of each located subscriber whether there was one location only."""

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Boolean()}

    unique_locations: UniqueLocations = required(Nested("unique_locations"))

    def select(self, sources: Sources) -> Select[Any]:
        found = places_of(sources, self.unique_locations)
        return sa.select(found.c.subscriber, (found.c.places == 1).label("value"))
