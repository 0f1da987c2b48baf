"""Measure the time between successive events in whole hours or other units."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import statistic
from flowmachine.queries.activity._gaps import Gaps
from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind
from flowmachine.sql.functions import fifteen_digits

#: Seconds of each unit; a month has 30 days, a year 365.25.
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "month": 2_592_000, "year": 31_557_600}


@query_kind("interevent_period", direct=True)
class IntereventPeriod(Gaps, SubscriberMetric):
    """Take a statistic of the times between each subscriber's events in whole units.

    The statistic is taken first and then rounded down. The variance is in squares of the unit; a count of
    gaps has no unit. A month is 30 days, a year 365.25.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.BigInteger()}

    time_resolution: str = optional(Choice(*SECONDS), "hour")

    def select(self, sources: Sources) -> Select[Any]:
        gaps = self.gaps(sources)
        value = statistic(self.statistic, gaps.c.seconds)
        if self.statistic != "count":
            power = 2 if self.statistic == "variance" else 1
            units = value / float(SECONDS[self.time_resolution] ** power)
            # A deviation of exactly two hours may be computed slightly smaller.
            value = sa.cast(sa.func.floor(fifteen_digits(units)), sa.BigInteger)
        return sa.select(gaps.c.subscriber, value.label("value")).group_by(gaps.c.subscriber)
