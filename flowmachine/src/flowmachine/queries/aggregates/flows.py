"""Count subscribers who went from one location to another."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.aggregates._flowing import Flowing, movements, pair_order
from flowmachine.queries.aggregates.inflows import Inflows
from flowmachine.queries.aggregates.outflows import Outflows
from flowmachine.spec.aggregate import Aggregate, Total
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Sources, query_kind


@query_kind(
    "flows",
    summary="The number of subscribers at one location first and at any location second.",
)
class Flows(Flowing, Aggregate):
    """Count subscribers for each pair of their locations in two queries.

    By default subscribers who stayed count at (a, a). A subscriber has each location once in an input, so that a pair
    has as many joined rows as subscribers.
    """

    def contributors(self, sources: Sources) -> FromClause:
        return movements(sources, self, exclude_stayers=self.exclude_stayers)

    @property
    def totals(self) -> Sequence[Total]:
        return [*super().totals, *self.sums]

    @property
    def sums(self) -> list[Total]:
        """Return the totals over one end, at all levels."""
        found = [
            Total(cls(**self.movement, exclude_stayers=without), {"": end})
            for cls, end in ((Outflows, "_from"), (Inflows, "_to"))
            for without in dict.fromkeys((self.exclude_stayers, False))
        ]
        found += [Total(question, {"": f"_{end}"}) for end, question in self.everybody.items()]
        return [level for total in found for level in total.at_all_levels()]

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
