"""Count subscribers seen at each location whose reference location is elsewhere."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.aggregates.active_at_reference_location_counts import ActiveAtReferenceLocationCounts
from flowmachine.queries.aggregates.unique_subscriber_counts import UniqueSubscriberCounts
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Sources, query_kind
from flowmachine.spec.windows import same_unit
from flowmachine.sql.release import releasable
from flowmachine.sql.sketches import SKETCH, bits_of_both


@query_kind(
    "unique_visitor_counts",
    summary="Subscribers seen at each location, less those whose reference location it is.",
)
class UniqueVisitorCounts(Aggregate):
    """Subtract subscribers active at their reference location from unique subscribers.

    Both numbers must be publishable by themselves. Only differences over the floor are released, because a
    smaller difference would reveal a few visitors or inconsistent inputs.
    """

    adds_up: ClassVar[bool] = False
    sketches_itself: ClassVar[bool] = True

    active_at_reference_location_counts: ActiveAtReferenceLocationCounts = required(
        Nested("active_at_reference_location_counts")
    )
    unique_subscriber_counts: UniqueSubscriberCounts = required(Nested("unique_subscriber_counts"))

    def check(self) -> None:
        same_unit(
            "'active_at_reference_location_counts' and 'unique_subscriber_counts' parameters must have the same"
            " aggregation unit",
            self.active_at_reference_location_counts,
            self.unique_subscriber_counts,
        )

    @property
    def unit(self) -> SpatialUnit:
        return self.unique_subscriber_counts.unit

    def select(self, sources: Sources) -> Select[Any]:
        active = releasable(self.active_at_reference_location_counts, sources).alias("active")
        unique = releasable(self.unique_subscriber_counts, sources).alias("unique_subscribers")
        visitors = unique.c.value - active.c.value
        sketches = [bits_of_both(unique.c[name], active.c[name]).label(name) for name in SKETCH]
        columns = (active.c.location, visitors.label("value"), visitors.label("subscribers"), *sketches)
        return sa.select(*columns).join(unique, unique.c.location == active.c.location)

    @property
    def published(self) -> Published:
        return Published((Region(self.unit), Value("value", sa.BigInteger())), KeepOver("value"))
