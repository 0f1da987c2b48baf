"""Count subscribers by the regions of two labels' meaningful locations."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.aggregates._meaningful import Meaningful, between, clusters, published_pairs, shares
from flowmachine.spec.fields import Text, required
from flowmachine.spec.published import Published
from flowmachine.spec.query import Aggregate, EventSelection, Sources, query_kind
from flowmachine.spec.windows import Window


@query_kind(
    "meaningful_locations_between_label_od_matrix",
    component="MeaningfulLocationsBetweenLabelODMatrix",
    summary="Subscribers by areas of locations of two labels; of n pairs each counts 1/n.",
)
class MeaningfulLocationsBetweenLabelODMatrix(Window, Meaningful, Aggregate):
    """Count subscribers by meaningful locations with ``label_a`` and ``label_b``.

    A subscriber with n locations of label a and m of label b counts 1/(n m) at each pair. A row is judged by
    its distinct subscribers.
    """

    label_a: str = required(Text(), "Label of the origin.", example="day")
    label_b: str = required(Text(), "Label of the destination.", example="unknown")

    @property
    def events(self) -> tuple[EventSelection]:
        return (self.selection(self.start_date, self.end_date),)

    def select(self, sources: Sources) -> Select[Any]:
        found = sa.select(clusters(sources, self, self.events[0])).cte("labelled")
        pairs = between(
            shares(sources, self, found, self.label_a, "origins"),
            shares(sources, self, found, self.label_b, "destinations"),
        )
        return pairs.add_columns(
            sa.literal(self.label_a).label("label_from"), sa.literal(self.label_b).label("label_to")
        )

    @property
    def published(self) -> Published:
        return published_pairs(self.unit)
