"""Take statistics of a metric over the subscribers at each location."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries._statistics import EXTREME_STATISTICS, STATISTICS, statistic, statistic_type
from flowmachine.queries.families import JOINABLE_METRICS, REFERENCE_LOCATIONS
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Choice, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, KeepShares, Published, Region, Value
from flowmachine.spec.query import Query, Sources, query_kind


@query_kind(
    "joined_spatial_aggregate",
    sql_version=2,
    summary="A statistic or the distribution of a metric over each location's subscribers.",
)
class JoinedSpatialAggregate(Aggregate):
    """Take a statistic or distribution of a metric at reference locations.

    A statistic is judged by the subscribers with a non-null metric, because only they contribute. Each row of
    a distribution is judged by its own subscribers. Withheld rows at a location could be found by subtracting
    the published shares from one. So they must be none or rest on enough subscribers too; otherwise the
    location is left out.
    """

    extremes: ClassVar[Mapping[str, tuple[Any, ...]]] = {"method": EXTREME_STATISTICS}

    locations: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))
    metric: Query = required(Nested(*JOINABLE_METRICS, component="JoinableMetrics"))
    method: str = required(
        Choice(*STATISTICS, "distr"), "For handsets ``distr`` or ``mode`` only.", client_default="avg"
    )

    def check(self) -> None:
        accepted = ("distr", "mode") if self._categorical else STATISTICS
        if self.method not in accepted:
            raise ma.ValidationError({"_schema": [f"Must be one of: {', '.join(accepted)}."]})

    @property
    def _metric_type(self) -> Any:
        return self.metric.columns["value"]

    @property
    def _categorical(self) -> bool:
        return isinstance(self._metric_type, sa.Text)

    @property
    def unit(self) -> SpatialUnit | None:
        return self.locations.unit

    def contributors(self, sources: Sources) -> FromClause:
        located = sa.select(sources.stored(self.locations)).subquery("located")
        metric = sa.select(sources.stored(self.metric)).subquery("metric")
        same = located.c.subscriber == metric.c.subscriber
        if self.method == "distr":
            labelled = sa.select(located.c.location, metric.c.value.label("key"), located.c.subscriber)
            return labelled.join(metric, same).subquery("labelled")
        value = [] if self.method == "count" else [metric.c.value]
        measured = sa.select(located.c.location, located.c.subscriber, *value).join(metric, same)
        # Only subscribers who have the metric contribute to a statistic.
        return measured.where(metric.c.value.is_not(None)).subquery("measured")

    @property
    def measure(self) -> tuple[str, str]:
        if self.method == "count":
            return super().measure
        if self.method == "distr":
            return "subscribers", "share"
        # Of any metric, because the values of two metrics may be the same numbers.
        return "metric", self.method

    @property
    def shares_of(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("location",) if self.method == "distr" else ()

    def value(self, contributors: FromClause) -> ColumnElement[Any]:
        if self.method in ("distr", "count"):
            return super().value(contributors)
        return statistic(self.method, contributors.c.value)

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        if self.method != "distr":
            return counted
        shares = counted.subquery("shares")
        everyone = sa.func.sum(shares.c.subscribers).over(partition_by=shares.c.location)
        share = sa.cast(shares.c.subscribers, sa.Double) / everyone
        others = [column for column in shares.c if column.name != "value"]
        return sa.select(*others, sa.literal("value").label("metric"), share.label("value"))

    @property
    def published(self) -> Published:
        assert self.unit is not None
        region = Region(self.unit, known=True)
        if self.method == "distr":
            names = (Value("metric", sa.Text()), Value("key", sa.Text()), Value("value", sa.Double()))
            return Published((region, *names), KeepShares(("location",), "subscribers"))
        type_ = statistic_type(self.method, self._metric_type)
        return Published((region, Value("value", type_)), KeepOver("subscribers"))
