"""Count subscribers of each label at each location."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.aggregates._labelling import labelled
from flowmachine.queries.aggregates.spatial_aggregate import SpatialAggregate
from flowmachine.queries.movement.mobility_classification import MobilityClassification
from flowmachine.queries.places.coalesced_location import CoalescedLocation
from flowmachine.spec.aggregate import Aggregate, Total
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepGroups, Published, Region, Value
from flowmachine.spec.query import Sources, query_kind


@query_kind("labelled_spatial_aggregate", summary="The number of subscribers at each location, by label.")
class LabelledSpatialAggregate(Aggregate):
    """Count subscribers by location and label.

    Subscribers without a label count under a null label. A location is released with all its labels or not at
    all, because a withheld label could be found by subtraction.
    """

    locations: CoalescedLocation = required(Nested("coalesced_location"))
    labels: MobilityClassification = required(Nested("mobility_classification"))

    @property
    def unit(self) -> SpatialUnit | None:
        return self.locations.unit

    def contributors(self, sources: Sources) -> FromClause:
        located = sa.select(sources.stored(self.locations)).subquery("located")
        return labelled(located, sa.select(sources.stored(self.labels)).subquery("labels"), "location")

    @property
    def totals(self) -> Sequence[Total]:
        everybody = Total(SpatialAggregate(locations=self.locations))
        return [*super().totals, *everybody.at_all_levels()]

    @property
    def published(self) -> Published:
        assert self.unit is not None
        return Published(
            (
                Region(self.unit),
                Value("value_label", sa.Text()),
                Value("value", sa.BigInteger()),
            ),
            KeepGroups(("location",), "value"),
        )
