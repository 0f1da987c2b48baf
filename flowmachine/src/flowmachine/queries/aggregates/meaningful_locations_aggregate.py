"""Count subscribers with a meaningful location in each region."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.aggregates._meaningful import Meaningful, Shared, clusters, named, shares
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Text, required
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import EventSelection, Sources, query_kind
from flowmachine.spec.windows import Window


@query_kind(
    "meaningful_locations_aggregate",
    summary="Subscribers by area of their locations of a label; of n such each counts 1/n.",
)
class MeaningfulLocationsAggregate(Shared, Window, Meaningful, Aggregate):
    """Count subscribers by region of their meaningful locations with ``label``.

    A subscriber with n such locations counts 1/n at each. A row is judged by its distinct subscribers, who
    are at least as many as the value.
    """

    adds_up: ClassVar[bool] = False
    label: str = required(Text(), "The label.", example="day")

    @property
    def events(self) -> tuple[EventSelection]:
        return (self.selection(self.start_date, self.end_date),)

    def contributors(self, sources: Sources) -> FromClause:
        found = shares(sources, self, clusters(sources, self, self.events[0]), self.label, "found")
        return (
            sa.select(found.c.location, found.c.subscriber, sa.func.sum(found.c.share).label("share"))
            .group_by(found.c.location, found.c.subscriber)
            .subquery("at_locations")
        )

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        return named(counted, label=self.label)

    @property
    def published(self) -> Published:
        return Published(
            (Value("label", sa.Text()), Region(self.unit), Value("value", sa.Double())),
            KeepOver("subscribers"),
        )
