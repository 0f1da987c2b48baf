"""Sum the flows from each location."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.aggregates._flowing import Movement, movement_ends, region_order
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Aggregate, Sources, query_kind


@query_kind(
    "outflows",
    summary="The flows from each location to all destinations, including those who stayed.",
)
class Outflows(Movement, Aggregate):
    """Sum the flows from each location over their destinations.

    The sum is taken before anything is withheld.
    """

    def select(self, sources: Sources) -> Select[Any]:
        return movement_ends(sources, self, "location_from")

    @property
    def published(self) -> Published:
        return Published(
            (Region(self.unit), Value("value", sa.BigInteger())),
            KeepOver("subscribers"),
            region_order(self.unit),
        )
