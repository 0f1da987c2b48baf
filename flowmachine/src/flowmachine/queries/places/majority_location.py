"""Find the location that outweighs all others of a subscriber."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.families import WEIGHTED_LOCATIONS
from flowmachine.spec.fields import Flag, Number, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import NotBuildable, Query, Sources, SubscriberLocations, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.sql.functions import first_by


@query_kind(
    "majority_location",
    summary="One location per subscriber: the one with more than half of the weight, if any.",
)
class MajorityLocation(Sampled, SubscriberLocations):
    """Find the location with more than half of a subscriber's weight.

    Half is taken of ``minimum_total_weight`` where that is larger. ``include_unlocatable`` gives subscribers
    without such a location a null location; otherwise they have no row.
    """

    subscriber_location_weights: Query = required(
        Nested(*WEIGHTED_LOCATIONS, component="WeightedLocationQueries")
    )
    minimum_total_weight: float = optional(Number(), 0.0, "Weight that half is at least taken of.")
    include_unlocatable: bool = optional(
        Flag(), False, "Whether subscribers without a majority keep a row without a location."
    )

    def check_buildable(self) -> None:
        if self.minimum_total_weight < 0:
            raise NotBuildable(f"minimum_total_weight is {self.minimum_total_weight}; it must be 0 or more.")

    @property
    def unit(self) -> SpatialUnit | None:
        return self.subscriber_location_weights.unit

    def select(self, sources: Sources) -> Select[Any]:
        weights = sources.stored(self.subscriber_location_weights)
        # Both sides are whole numbers or the caller's own, so that half a weight is never rounded.
        majority = 2 * sa.func.max(weights.c.value) > sa.func.greatest(
            sa.cast(sa.func.sum(weights.c.value), sa.Double),
            sa.literal(self.minimum_total_weight, sa.Double),
        )
        # If two locations share the most weight, neither has more than half, so either may be taken.
        location = first_by(weights.c.location, weights.c.value)
        if self.include_unlocatable:
            return sa.select(weights.c.subscriber, sa.case((majority, location)).label("location")).group_by(
                weights.c.subscriber
            )
        return (
            sa.select(weights.c.subscriber, location.label("location"))
            .group_by(weights.c.subscriber)
            .having(majority)
        )
