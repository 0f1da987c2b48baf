"""Sum the flows from each location."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.queries.aggregates._flowing import Flowing, movement_ends, region_order
from flowmachine.spec.aggregate import Aggregate, Total
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Sources, query_kind


@query_kind(
    "outflows",
    summary="The flows from each location to all destinations, including those who stayed.",
)
class Outflows(Flowing, Aggregate):
    """Sum the flows from each location over their destinations.

    The sum is taken before anything is withheld.
    """

    def contributors(self, sources: Sources) -> FromClause:
        return movement_ends(sources, self, "location_from")

    @property
    def totals(self) -> Sequence[Total]:
        sums = [Total(question) for end, question in self.everybody.items() if end == "from"]
        if self.exclude_stayers:
            sums.append(Total(Outflows(**self.movement)))
        return [*super().totals, *(total for sum_ in sums for total in sum_.at_all_levels())]

    def value(self, contributors: FromClause) -> ColumnElement[Any]:
        return sa.func.sum(contributors.c.movements)

    @property
    def published(self) -> Published:
        return Published(
            (Region(self.unit), Value("value", sa.BigInteger())),
            KeepOver("subscribers"),
            region_order(self.unit),
        )
