"""Count how often each subscriber was placed at each location."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.families import VISITABLE_LOCATIONS
from flowmachine.spec.fields import required
from flowmachine.spec.nested import NestedList
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query, Sources, SubscriberLocations, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import same_unit


@query_kind(
    "location_visits", summary="The number of given locations that place each subscriber at each place."
)
class LocationVisits(Sampled, SubscriberLocations):
    """Count the inputs that place a subscriber at each location.

    An input given twice counts twice.
    """

    columns: ClassVar[dict[str, Any]] = {**SubscriberLocations.columns, "value": sa.BigInteger()}
    order: ClassVar[tuple[str, ...]] = ("subscriber", "-value")

    locations: tuple[Query, ...] = required(NestedList(*VISITABLE_LOCATIONS, component="VisitableLocation"))

    def check(self) -> None:
        same_unit("All locations must have the same aggregation unit", *self.locations, field="locations")

    @property
    def unit(self) -> SpatialUnit | None:
        return self.locations[0].unit

    def select(self, sources: Sources) -> Select[Any]:
        places = [
            sa.select(located.c.subscriber, located.c.location)
            for located in (sources.stored(query) for query in self.locations)
        ]
        stays = sa.union_all(*places).subquery("stays")
        return sa.select(stays.c.subscriber, stays.c.location, sa.func.count().label("value")).group_by(
            stays.c.subscriber, stays.c.location
        )
