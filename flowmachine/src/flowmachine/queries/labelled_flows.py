"""How many subscribers of each label went from one location to another."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.fields import Nested, required
from flowmachine.queries._flowing import Movement, movements, pair_columns
from flowmachine.queries._labelling import labelled
from flowmachine.queries.coalesced_location import CoalescedLocation
from flowmachine.queries.mobility_classification import MobilityClassification
from flowmachine.registry import Aggregate, query_kind
from flowmachine.release import KeepGroups, Published, Region, Value
from flowmachine.sql.sources import Sources


@query_kind("labelled_flows")
class LabelledFlows(Movement, Aggregate):
    """Subscribers counted for each pair of their locations in two queries and each label, a null label included.

    A pair leaves with all its labels or not at all: a label left out could be found by subtraction.
    """

    from_location: CoalescedLocation = required(Nested("coalesced_location"))
    to_location: CoalescedLocation = required(Nested("coalesced_location"))
    labels: MobilityClassification = required(Nested("mobility_classification"))

    def select(self, sources: Sources) -> Select[Any]:
        labels = sa.select(sources.stored(self.labels)).subquery("labels")
        return labelled(movements(sources, self), labels, "location_from", "location_to")

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
