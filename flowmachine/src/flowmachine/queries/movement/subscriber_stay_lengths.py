"""Measure for how many periods in a row subscribers stay at one location."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import STATISTICS, statistic_type, whole_statistic
from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.spec.fields import Choice, optional, required
from flowmachine.spec.nested import NestedList
from flowmachine.spec.query import Query, Sources, SubscriberMetric, query_kind
from flowmachine.spec.windows import same_unit


@query_kind("subscriber_stay_lengths", direct=True)
class SubscriberStayLengths(SubscriberMetric):
    """Take a statistic of the lengths of each subscriber's stays, in periods.

    A stay is a run of consecutive ``locations``, in the order of time, that place the subscriber alike. A period
    without a row, or with a null location, ends a stay and is none. Subscribers without a stay have no row.
    """

    locations: tuple[Query, ...] = required(NestedList(*REFERENCE_LOCATIONS, component="ReferenceLocation"))
    statistic: str = optional(Choice(*STATISTICS), "max")

    def check(self) -> None:
        same_unit("All locations must have the same aggregation unit", *self.locations, field="locations")

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {"subscriber": sa.Text(), "value": statistic_type(self.statistic, sa.BigInteger())}

    def select(self, sources: Sources) -> Select[Any]:
        inputs = [
            sa.select(located.c.subscriber, located.c.location, sa.literal(position).label("position")).where(
                located.c.location.is_not(None)
            )
            for position, located in enumerate(sources.stored(query) for query in self.locations)
        ]
        series = sa.union_all(*inputs).subquery("series")
        # Within a stay, the position and the rank among the rows of its location grow together.
        rank = sa.func.row_number().over(
            partition_by=[series.c.subscriber, series.c.location], order_by=series.c.position
        )
        ranked = sa.select(series, (series.c.position - rank).label("stay")).subquery("ranked")
        stays = (
            sa.select(ranked.c.subscriber, sa.func.count().label("length"))
            .group_by(ranked.c.subscriber, ranked.c.location, ranked.c.stay)
            .subquery("stays")
        )
        value = whole_statistic(self.statistic, stays.c.length)
        return sa.select(stays.c.subscriber, value.label("value")).group_by(stays.c.subscriber)
