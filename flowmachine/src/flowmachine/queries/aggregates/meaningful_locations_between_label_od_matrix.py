"""Count subscribers by the regions of two labels' meaningful locations."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.aggregates._meaningful import (
    Meaningful,
    Shared,
    between,
    clusters,
    named,
    published_pairs,
    shares,
)
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Text, required
from flowmachine.spec.published import Published
from flowmachine.spec.query import EventSelection, Sources, query_kind
from flowmachine.spec.windows import Window


@query_kind(
    "meaningful_locations_between_label_od_matrix",
    component="MeaningfulLocationsBetweenLabelODMatrix",
    summary="Subscribers by areas of locations of two labels; of n pairs each counts 1/n.",
)
class MeaningfulLocationsBetweenLabelODMatrix(Shared, Window, Meaningful, Aggregate):
    """Count subscribers by meaningful locations with ``label_a`` and ``label_b``.

    A subscriber with n locations of label a and m of label b counts 1/(n m) at each pair. A row is judged by
    its distinct subscribers.
    """

    adds_up: ClassVar[bool] = False
    label_a: str = required(Text(), "Label of the origin.", example="day")
    label_b: str = required(Text(), "Label of the destination.", example="unknown")

    @property
    def events(self) -> tuple[EventSelection]:
        return (self.selection(self.start_date, self.end_date),)

    def contributors(self, sources: Sources) -> FromClause:
        found = sa.select(clusters(sources, self, self.events[0])).cte("labelled")
        return between(
            shares(sources, self, found, self.label_a, "origins"),
            shares(sources, self, found, self.label_b, "destinations"),
        )

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        return named(counted, label_from=self.label_a, label_to=self.label_b)

    @property
    def published(self) -> Published:
        return published_pairs(self.unit)
