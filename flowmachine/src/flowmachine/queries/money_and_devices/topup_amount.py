"""Measure how much each subscriber topped up."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import statistic, statistic_type
from flowmachine.queries.money_and_devices._topups import Topups
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind
from flowmachine.sql.events import select_events


@query_kind(
    "topup_amount",
    component="TopUpAmount",
    summary="A statistic of the amounts of each subscriber's top-ups.",
)
class TopUpAmount(Topups, SubscriberMetric):
    """Take a statistic of each subscriber's top-up amounts in local currency."""

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {"subscriber": sa.Text(), "value": statistic_type(self.statistic, sa.Double())}

    def select(self, sources: Sources) -> Select[Any]:
        topups = select_events(sources, self.events[0], ("recharge_amount",))
        value = statistic(self.statistic, topups.c.recharge_amount)
        return sa.select(topups.c.subscriber, value.label("value")).group_by(topups.c.subscriber)
