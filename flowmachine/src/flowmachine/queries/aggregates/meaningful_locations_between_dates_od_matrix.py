"""Count subscribers whose meaningful location moved between two windows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

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
from flowmachine.spec.fields import Moment, Text, required
from flowmachine.spec.published import Published
from flowmachine.spec.query import EventSelection, Sources, query_kind


@query_kind(
    "meaningful_locations_between_dates_od_matrix",
    component="MeaningfulLocationsBetweenDatesODMatrix",
    summary="Subscribers by areas of locations in two periods; of n pairs each counts 1/n.",
)
class MeaningfulLocationsBetweenDatesODMatrix(Shared, Meaningful, Aggregate):
    """Count subscribers by their meaningful locations with ``label`` in two windows.

    Regions are those in window a and in window b. A subscriber with n locations in a and m in b counts 1/(n
    m) at each pair. A row is judged by its distinct subscribers.
    """

    adds_up: ClassVar[bool] = False
    start_date_a: datetime = required(Moment(), "First day, ISO text or a date.")
    end_date_a: datetime = required(
        Moment(), "The day after the last, ISO text or a date.", example="2016-01-08"
    )
    start_date_b: datetime = required(Moment(), "First day, ISO text or a date.", example="2016-01-08")
    end_date_b: datetime = required(
        Moment(), "The day after the last, ISO text or a date.", example="2016-01-15"
    )
    label: str = required(Text(), "The label.", example="day")

    @property
    def events(self) -> tuple[EventSelection, EventSelection]:
        return (
            self.selection(self.start_date_a, self.end_date_a),
            self.selection(self.start_date_b, self.end_date_b),
        )

    def contributors(self, sources: Sources) -> FromClause:
        before, after = (
            shares(sources, self, clusters(sources, self, selection, name), self.label, name)
            for selection, name in zip(self.events, ("origins", "destinations"), strict=True)
        )
        return between(before, after)

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        return named(counted, label_from=self.label, label_to=self.label)

    @property
    def published(self) -> Published:
        return published_pairs(self.unit)
