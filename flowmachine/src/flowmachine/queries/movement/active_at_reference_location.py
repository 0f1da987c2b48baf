"""Tell of each subscriber whether they were seen at their reference location."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.movement._flags import AtReference
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind


@query_kind("active_at_reference_location", direct=True)
class ActiveAtReferenceLocation(AtReference, SubscriberMetric):
    """Tell of each subscriber with a reference location whether they were seen there.

    Subscribers with a null reference location have no row; those who were seen nowhere were not seen there.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Boolean()}

    def select(self, sources: Sources) -> Select[Any]:
        home = sa.select(sources.stored(self.reference_location)).subquery("home")
        seen = sa.select(sources.stored(self.unique_locations)).subquery("seen")
        there = sa.and_(seen.c.subscriber == home.c.subscriber, seen.c.location == home.c.location)
        return (
            sa.select(home.c.subscriber, seen.c.subscriber.is_not(None).label("value"))
            .select_from(home.outerjoin(seen, there))
            .where(home.c.location.is_not(None))
        )
