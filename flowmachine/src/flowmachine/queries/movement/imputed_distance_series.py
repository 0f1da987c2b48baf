"""Fill the gaps of distance series."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries._statistics import statistic
from flowmachine.queries.movement.distance_series import DistanceSeries
from flowmachine.spec.fields import Integer, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Query, Sources, query_kind

#: Each subscriber has a row for every period, so a window in seconds can be too long.
MOST_PERIODS = 100_000

#: Longest length of a period: the next period starts no later than this.
_LONGEST = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "month": timedelta(days=31),
    "year": timedelta(days=366),
    "century": timedelta(days=36525),
}


@query_kind("imputed_distance_series", direct=True)
class ImputedDistanceSeries(Query):
    """Complete a distance series with a row for every period of its window.

    Only subscribers with more than ``window_size`` distances are included. A missing distance becomes the
    median of the known distances among the ``window_size`` periods around it, or null if none is known.
    """

    distance_series: DistanceSeries = required(Nested("distance_series"))
    window_size: int = optional(Integer(at_least=3), 3)

    def check(self) -> None:
        if self.window_size % 2 == 0:
            raise ma.ValidationError({"window_size": ["Must be odd."]})
        seen = self.distance_series.subscriber_locations
        longest = _LONGEST[self.distance_series.time_bucket]
        if (seen.end_date - seen.start_date) / longest > MOST_PERIODS:
            raise ma.ValidationError({"distance_series": [f"Has more than {MOST_PERIODS} periods."]})

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return self.distance_series.columns | {"value": sa.Double()}

    def select(self, sources: Sources) -> Select[Any]:
        periods = self._periods().cte("periods")
        series = sources.stored(self.distance_series)
        known = (
            sa.select(
                series.c.subscriber, periods.c.position, sa.cast(series.c.value, sa.Double).label("value")
            )
            .join(periods, periods.c.datetime == series.c.datetime)
            .where(series.c.value.is_not(None))
            .cte("known")
        )
        people = (
            sa.select(known.c.subscriber)
            .group_by(known.c.subscriber)
            .having(sa.func.count() > self.window_size)
            .subquery("people")
        )
        same = sa.and_(known.c.subscriber == people.c.subscriber, known.c.position == periods.c.position)
        every: FromClause = people.join(periods, sa.true()).outerjoin(known, same)
        rows = (
            sa.select(people.c.subscriber, periods.c.position, periods.c.datetime, known.c.value)
            .select_from(every)
            .subquery("rows")
        )
        near = known.alias("near")
        half = self.window_size // 2
        around = sa.and_(
            rows.c.value.is_(None),
            near.c.subscriber == rows.c.subscriber,
            near.c.position.between(rows.c.position - half, rows.c.position + half),
        )
        value = sa.func.coalesce(rows.c.value, statistic("median", near.c.value))
        return (
            sa.select(rows.c.subscriber, rows.c.datetime, value.label("value"))
            .select_from(rows.outerjoin(near, around))
            .group_by(rows.c.subscriber, rows.c.datetime, rows.c.value)
        )

    def _periods(self) -> Select[Any]:
        """Return ``datetime`` and ``position`` of every period of the window."""
        seen, bucket = self.distance_series.subscriber_locations, self.distance_series.time_bucket
        starts = sa.bindparam(
            "starts",
            list(_starts(seen.start_date, seen.end_date, bucket)),
            type_=sa.ARRAY(sa.DateTime),
            unique=True,
        )
        listed = sa.func.unnest(starts).table_valued(sa.column("start", sa.DateTime)).render_derived("listed")
        start = sa.cast(listed.c.start, self.distance_series.period_type)
        position = sa.func.row_number().over(order_by=listed.c.start)
        return sa.select(start.label("datetime"), position.label("position"))


def _starts(first: datetime, end: datetime, bucket: str) -> Iterator[datetime]:
    """Yield the starts of the periods that touch [first, end)."""
    start = _beginning(first, bucket)
    while start < end:
        yield start
        start = _beginning(start + _LONGEST[bucket], bucket)


def _beginning(moment: datetime, bucket: str) -> datetime:
    """Return the start of the period around a moment."""
    if bucket == "century":
        return datetime((moment.year - 1) // 100 * 100 + 1, 1, 1)
    smaller: dict[str, Any] = {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}
    parts = list(smaller)
    cut = parts[parts.index(bucket) + 1 :] if bucket in smaller else parts
    return moment.replace(microsecond=0, **{part: smaller[part] for part in cut})
