"""Take statistics over time of the number of cells in use at each location."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, Select

from flowmachine.queries._statistics import STATISTICS, statistic, statistic_type
from flowmachine.queries.network.total_network_objects import TotalNetworkObjects
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Choice, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Sources, query_kind
from flowmachine.sql.functions import start_of_century
from flowmachine.sql.release import releasable


@query_kind(
    "aggregate_network_objects",
    summary="A statistic of the published numbers of cells in use per location, over time.",
)
class AggregateNetworkObjects(Aggregate):
    """Take a statistic of the counts publishable by ``total_network_objects``.

    The statistic is for each period. Withheld counts are left out, because a minimum or a sum could be one of
    them. Each value thus rests on published counts alone, and is judged by the count with the fewest
    subscribers.
    """

    uncompared: ClassVar[str | None] = "a row is a period of all events, and not a group of subscribers"

    total_network_objects: TotalNetworkObjects = required(Nested("total_network_objects"))
    statistic: str = required(Choice(*STATISTICS))
    aggregate_by: str = required(
        Choice("second", "minute", "hour", "day", "month", "year", "century"), client_default="day"
    )

    @property
    def unit(self) -> SpatialUnit:
        return self.total_network_objects.unit

    def select(self, sources: Sources) -> Select[Any]:
        counts = releasable(self.total_network_objects, sources)
        time = counts.c.datetime
        period: ColumnElement[Any] = (
            start_of_century(time)
            if self.aggregate_by == "century"
            else sa.func.date_trunc(self.aggregate_by, time, type_=time.type)
        )
        periods = sa.select(
            counts.c.location, counts.c.value, counts.c.subscribers, period.label("datetime")
        ).subquery("periods")
        return sa.select(
            periods.c.location,
            statistic(self.statistic, periods.c.value).label("value"),
            periods.c.datetime,
            sa.func.min(periods.c.subscribers).label("subscribers"),
        ).group_by(periods.c.location, periods.c.datetime)

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit),
                Value("value", statistic_type(self.statistic, sa.BigInteger())),
                Value("datetime", sa.DateTime(timezone=True)),
            ),
            KeepOver("subscribers"),
            (*self.unit.id_columns, "datetime"),
        )
