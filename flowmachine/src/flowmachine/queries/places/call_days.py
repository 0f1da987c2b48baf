"""Count the days that each subscriber was at each place."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.places.subscriber_locations import SubscriberLocations
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query, Sources, query_kind


@query_kind("call_days", direct=True)
class CallDays(Query):
    """Count calendar days with an event for each subscriber and location.

    Events without a place are left out.
    """

    columns: ClassVar[dict[str, Any]] = {
        "subscriber": sa.Text(),
        "location": sa.Integer(),
        "value": sa.BigInteger(),
    }
    order: ClassVar[tuple[str, ...]] = ("subscriber", "-value")

    subscriber_locations: SubscriberLocations = required(Nested("subscriber_locations"))

    @property
    def unit(self) -> SpatialUnit:
        return self.subscriber_locations.unit

    def select(self, sources: Sources) -> Select[Any]:
        seen = sources.stored(self.subscriber_locations)
        days = sa.func.count(sa.cast(seen.c.time, sa.Date).distinct())
        return (
            sa.select(seen.c.subscriber, seen.c.location, days.label("value"))
            .where(seen.c.location.is_not(None))
            .group_by(seen.c.subscriber, seen.c.location)
        )
