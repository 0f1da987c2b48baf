"""Tell of each subscriber whether they were seen at their reference location."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.queries.places.unique_locations import UniqueLocations
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Query, Sources, SubscriberMetric, query_kind
from flowmachine.spec.windows import same_unit


@query_kind("active_at_reference_location", direct=True)
class ActiveAtReferenceLocation(SubscriberMetric):
    """Tell of each subscriber with a reference location whether they were seen there.

    Subscribers with a null reference location have no row; those who were seen nowhere were not seen there.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Boolean()}

    unique_locations: UniqueLocations = required(Nested("unique_locations"))
    reference_location: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))

    def check(self) -> None:
        same_unit(
            "unique_locations and reference_location must have the same aggregation unit",
            self.unique_locations,
            self.reference_location,
        )

    def select(self, sources: Sources) -> Select[Any]:
        home = sa.select(sources.stored(self.reference_location)).subquery("home")
        seen = sa.select(sources.stored(self.unique_locations)).subquery("seen")
        there = sa.and_(seen.c.subscriber == home.c.subscriber, seen.c.location == home.c.location)
        return (
            sa.select(home.c.subscriber, seen.c.subscriber.is_not(None).label("value"))
            .select_from(home.outerjoin(seen, there))
            .where(home.c.location.is_not(None))
        )
