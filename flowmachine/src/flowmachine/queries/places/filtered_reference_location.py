"""Keep reference locations that subscribers visit often enough."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.queries.places.location_visits import LocationVisits
from flowmachine.spec.fields import Integer, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query, Sources, SubscriberLocations, query_kind
from flowmachine.spec.windows import same_unit


@query_kind("filtered_reference_location", direct=True)
class FilteredReferenceLocation(SubscriberLocations):
    """Keep subscribers whose reference location has a number of visits in bounds.

    Both bounds are included, and None is no bound. The kind can stand wherever a reference location can.
    """

    reference_location: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))
    visits: LocationVisits = required(Nested("location_visits"))
    lower_bound: int | None = optional(Integer())
    upper_bound: int | None = optional(Integer())

    def check(self) -> None:
        same_unit("visits must have the same aggregation unit", self.reference_location, self.visits)
        if self.lower_bound is None and self.upper_bound is None:
            raise ma.ValidationError({"lower_bound": ["One of lower_bound and upper_bound must be given."]})

    @property
    def unit(self) -> SpatialUnit | None:
        return self.reference_location.unit

    @property
    def stands_for(self) -> str:
        return "most_frequent_location"

    def select(self, sources: Sources) -> Select[Any]:
        places = sa.select(sources.stored(self.reference_location)).subquery("reference")
        visits = sa.select(sources.stored(self.visits)).subquery("visits")
        # A null location was visited by nobody.
        same = [places.c.subscriber == visits.c.subscriber, places.c.location == visits.c.location]
        if self.lower_bound is not None:
            same.append(visits.c.value >= self.lower_bound)
        if self.upper_bound is not None:
            same.append(visits.c.value <= self.upper_bound)
        return sa.select(places.c.subscriber, places.c.location).join(visits, sa.and_(*same))
