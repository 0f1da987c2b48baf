"""Count the periods in which each subscriber was active."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.activity._periods import Periods, active_periods, periods
from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.windows import EventFields


@query_kind("total_active_periods", summary="The number of periods in which each subscriber was active.")
class TotalActivePeriods(Periods, EventFields, SubscriberMetric):
    """Count the periods in which a subscriber had an event, located or not.

    Subscribers without events have no row.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.BigInteger()}
    order: ClassVar[tuple[str, ...]] = ("-value",)
    reads_cells: ClassVar[bool] = False

    @property
    def events(self) -> tuple[EventSelection, ...]:
        return periods(self)

    def select(self, sources: Sources) -> Select[Any]:
        active = active_periods(sources, self)
        return sa.select(active.c.subscriber, sa.func.count().label("value")).group_by(active.c.subscriber)
