"""Choose a preferred location of each subscriber, or else a fallback."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.places.location_visits import LocationVisits
from flowmachine.queries.places.majority_location import MajorityLocation
from flowmachine.spec.fields import Integer, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Sources, SubscriberLocations, query_kind
from flowmachine.spec.sampling import Sampled


@query_kind(
    "coalesced_location",
    summary="One location per subscriber: preferred, else a fallback visited often enough.",
)
class CoalescedLocation(Sampled, SubscriberLocations):
    """Choose the preferred location, or else a fallback visited often enough.

    The fallback is used where the preferred location is absent or null and the fallback's weight reaches
    ``weight_threshold``. Subscribers of the preferred location without either keep their null.
    """

    ids_by_name: ClassVar[bool] = True

    preferred_location: MajorityLocation = required(Nested("majority_location"))
    fallback_location: MajorityLocation = required(Nested("majority_location"))
    subscriber_location_weights: LocationVisits = required(Nested("location_visits"))
    weight_threshold: int = required(Integer(), "Visits that a fallback location needs.")

    def check(self) -> None:
        errors = {
            name: [f"{name} must have the same aggregation_unit as {other}"]
            for name, other in (
                ("fallback_location", "preferred_location"),
                ("subscriber_location_weights", "fallback_location"),
            )
            if getattr(self, name).unit != getattr(self, other).unit
        }
        if errors:
            raise ma.ValidationError(errors)

    @property
    def unit(self) -> SpatialUnit | None:
        return self.preferred_location.unit

    def select(self, sources: Sources) -> Select[Any]:
        preferred = sa.select(sources.stored(self.preferred_location)).subquery("preferred")
        fallback = sa.select(sources.stored(self.fallback_location)).subquery("fallback")
        weights = sa.select(sources.stored(self.subscriber_location_weights)).subquery("weights")
        weighed = sa.and_(
            weights.c.subscriber == fallback.c.subscriber,
            weights.c.location == fallback.c.location,
            weights.c.value >= self.weight_threshold,
        )
        accepted = (
            sa.select(fallback.c.subscriber, fallback.c.location).join(weights, weighed).subquery("accepted")
        )
        return sa.select(
            sa.func.coalesce(preferred.c.subscriber, accepted.c.subscriber).label("subscriber"),
            sa.func.coalesce(preferred.c.location, accepted.c.location).label("location"),
        ).select_from(
            preferred.outerjoin(accepted, preferred.c.subscriber == accepted.c.subscriber, full=True)
        )
