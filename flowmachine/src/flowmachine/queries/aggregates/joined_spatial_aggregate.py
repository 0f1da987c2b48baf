"""Take statistics of a metric over the subscribers at each location."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import STATISTICS, statistic, statistic_type
from flowmachine.queries.families import JOINABLE_METRICS, REFERENCE_LOCATIONS
from flowmachine.spec.fields import Choice, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, KeepShares, Published, Region, Value
from flowmachine.spec.query import Aggregate, Query, Sources, query_kind


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

    def select(self, sources: Sources) -> Select[Any]:
        located = sa.select(sources.stored(self.locations)).subquery("located")
        metric = sa.select(sources.stored(self.metric)).subquery("metric")
        joined = located.join(metric, located.c.subscriber == metric.c.subscriber)
        if self.method != "distr":
            return (
                sa.select(
                    located.c.location,
                    statistic(self.method, metric.c.value).label("value"),
                    sa.func.count(metric.c.value).label("subscribers"),
                )
                .select_from(joined)
                .group_by(located.c.location)
            )
        shares = (
            sa.select(located.c.location, metric.c.value.label("key"), sa.func.count().label("subscribers"))
            .select_from(joined)
            .group_by(located.c.location, metric.c.value)
            .subquery("shares")
        )
        everyone = sa.func.sum(shares.c.subscribers).over(partition_by=shares.c.location)
        return sa.select(
            shares.c.location,
            sa.literal("value").label("metric"),
            shares.c.key,
            (sa.cast(shares.c.subscribers, sa.Double) / everyone).label("value"),
            shares.c.subscribers,
        )

    @property
    def published(self) -> Published:
        assert self.unit is not None
        region = Region(self.unit, known=True)
        if self.method == "distr":
            names = (Value("metric", sa.Text()), Value("key", sa.Text()), Value("value", sa.Double()))
            return Published((region, *names), KeepShares(("location",), "subscribers"))
        type_ = statistic_type(self.method, self._metric_type)
        return Published((region, Value("value", type_)), KeepOver("subscribers"))
