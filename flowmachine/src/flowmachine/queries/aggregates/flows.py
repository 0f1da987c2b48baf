"""Count subscribers who went from one location to another."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.aggregates._flowing import Movement, movements, pair_order
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Aggregate, Sources, query_kind


@query_kind("flows", summary="The number of subscribers at one location first and at any location second.")
class Flows(Movement, Aggregate):
    """Count subscribers for each pair of their locations in two queries.

    Subscribers who stayed count at (a, a). A subscriber has each location once in an input, so that a pair
    has as many joined rows as subscribers.
    """

    def select(self, sources: Sources) -> Select[Any]:
        moved = movements(sources, self)
        return sa.select(moved.c.location_from, moved.c.location_to, sa.func.count().label("value")).group_by(
            moved.c.location_from, moved.c.location_to
        )

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit, "location_from", "_from"),
                Region(self.unit, "location_to", "_to"),
                Value("value", sa.BigInteger()),
            ),
            KeepOver("value"),
            pair_order(self.from_location, self.to_location),
        )
