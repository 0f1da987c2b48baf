"""Tell of each subscriber whether the only location was the reference location."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.queries.movement._flags import places_of
from flowmachine.queries.places.unique_locations import UniqueLocations
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Query, Sources, SubscriberMetric, query_kind
from flowmachine.spec.windows import same_unit


@query_kind("unmoving_at_reference_location", direct=True)
class UnmovingAtReferenceLocation(SubscriberMetric):
    """Tell of each located subscriber whether they never left the reference location.

    Subscribers without a reference location, or with a null one, have no row.
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
        found = places_of(sources, self.unique_locations)
        home = sources.stored(self.reference_location)
        stayed = sa.and_(found.c.places == 1, found.c.location == home.c.location)
        return (
            sa.select(found.c.subscriber, stayed.label("value"))
            .join(home, home.c.subscriber == found.c.subscriber)
            .where(home.c.location.is_not(None))
        )
