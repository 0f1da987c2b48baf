"""Measure how long each subscriber stays."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import STATISTICS, statistic
from flowmachine.queries.movement.stays import STAY, Stays
from flowmachine.spec.fields import Choice, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind
from flowmachine.sql.functions import microseconds


@query_kind("stay_time", summary="A statistic of the hours of each subscriber's stays.")
class StayTime(SubscriberMetric):
    """Take a statistic of the hours of a subscriber's stays in the window.

    Subscribers without a stay have no row.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}

    stays: Stays = required(Nested("stays"))
    statistic: str = required(Choice(*STATISTICS))

    def select(self, sources: Sources) -> Select[Any]:
        found = sources.stored(self.stays)
        hours = sa.cast(microseconds(found.c.end) - microseconds(found.c.start), sa.Double) / 3.6e9
        value = sa.cast(statistic(self.statistic, hours), sa.Double)
        return (
            sa.select(found.c.subscriber, value.label("value"))
            .where(found.c.state == STAY)
            .group_by(found.c.subscriber)
        )
