"""Count subscribers of each label who went from one location to another."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.aggregates._flowing import Movement, movements, pair_columns
from flowmachine.queries.aggregates._labelling import labelled
from flowmachine.queries.aggregates.flows import Flows
from flowmachine.queries.movement.mobility_classification import MobilityClassification
from flowmachine.queries.places.coalesced_location import CoalescedLocation
from flowmachine.spec.aggregate import Aggregate, Total
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.published import KeepGroups, Published, Region, Value
from flowmachine.spec.query import Sources, query_kind


@query_kind(
    "labelled_flows",
    summary="The number of subscribers by first and second location and label.",
)
class LabelledFlows(Movement, Aggregate):
    """Count subscribers by pair of their locations in two queries and by label.

    A null label is included. A pair is released with all its labels or not at all, because a withheld label
    could be found by subtraction.
    """

    from_location: CoalescedLocation = required(Nested("coalesced_location"))
    to_location: CoalescedLocation = required(Nested("coalesced_location"))
    labels: MobilityClassification = required(Nested("mobility_classification"))

    def contributors(self, sources: Sources) -> FromClause:
        labels = sa.select(sources.stored(self.labels)).subquery("labels")
        return labelled(movements(sources, self), labels, "location_from", "location_to")

    @property
    def totals(self) -> Sequence[Total]:
        flows = Flows(**self.movement)
        return [*super().totals, *Total(flows).at_all_levels(), *flows.sums]

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit, "location_from", "_from"),
                Region(self.unit, "location_to", "_to"),
                Value("value_label", sa.Text()),
                Value("value", sa.BigInteger()),
            ),
            KeepGroups(("location_from", "location_to"), "value"),
            (*pair_columns(self.from_location, self.to_location), "-value_label"),
        )
