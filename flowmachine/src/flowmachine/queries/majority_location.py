"""The location that outweighs all others of a subscriber."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.fields import Flag, Nested, Number, optional, required
from flowmachine.queries import WEIGHTED_LOCATIONS
from flowmachine.registry import Query, SubscriberLocations, query_kind
from flowmachine.sampling import Sampled
from flowmachine.sql.events import NotBuildable
from flowmachine.sql.sources import Sources
from flowmachine.units import SpatialUnit


@query_kind("majority_location")
class MajorityLocation(Sampled, SubscriberLocations):
    """The location with more than half of a subscriber's weight, or of ``minimum_total_weight`` where that is larger.

    ``include_unlocatable`` gives a null location to the subscribers who have none; without it they have no row.
    """

    subscriber_location_weights: Query = required(
        Nested(*WEIGHTED_LOCATIONS, component="WeightedLocationQueries")
    )
    minimum_total_weight: float = optional(Number(), 0.0)
    include_unlocatable: bool = optional(Flag(), False)

    def check_buildable(self) -> None:
        if self.minimum_total_weight < 0:
            raise NotBuildable(f"minimum_total_weight is {self.minimum_total_weight}; it must be 0 or more.")

    @property
    def unit(self) -> SpatialUnit | None:
        return self.subscriber_location_weights.unit

    def select(self, sources: Sources) -> Select[Any]:
        weights = sa.select(sources.stored(self.subscriber_location_weights)).subquery("weights")
        total = sa.func.sum(weights.c.value).over(partition_by=weights.c.subscriber)
        shares = sa.select(weights, sa.cast(total, sa.Double).label("total")).subquery("shares")
        # Both sides are whole numbers or the caller's own, so that half a weight is never rounded.
        majority = 2 * shares.c.value > sa.func.greatest(
            shares.c.total, sa.literal(self.minimum_total_weight, sa.Double)
        )
        if not self.include_unlocatable:
            return sa.select(shares.c.subscriber, shares.c.location).where(majority)
        # More than half can lie at one location only, so that the maximum merely picks it.
        location = sa.func.max(sa.case((majority, shares.c.location)))
        return sa.select(shares.c.subscriber, location.label("location")).group_by(shares.c.subscriber)
