"""Tell of each subscriber whether the only location was the reference location."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.movement._flags import AtReference, places_of
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind


@query_kind("unmoving_at_reference_location", direct=True)
class UnmovingAtReferenceLocation(AtReference, SubscriberMetric):
    """Tell of each located subscriber whether they never left the reference location.

    Subscribers without a reference location, or with a null one, have no row.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Boolean()}

    def select(self, sources: Sources) -> Select[Any]:
        found = places_of(sources, self.unique_locations)
        home = sources.stored(self.reference_location)
        stayed = sa.and_(found.c.places == 1, found.c.location == home.c.location)
        return (
            sa.select(found.c.subscriber, stayed.label("value"))
            .join(home, home.c.subscriber == found.c.subscriber)
            .where(home.c.location.is_not(None))
        )
