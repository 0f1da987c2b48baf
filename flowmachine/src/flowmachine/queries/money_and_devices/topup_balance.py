"""Measure each subscriber's credit over time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries._statistics import statistic_type
from flowmachine.queries.money_and_devices._topups import Topups
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind
from flowmachine.sql.events import select_events
from flowmachine.sql.functions import first_by, microseconds


@query_kind(
    "topup_balance",
    sql_version=2,
    component="TopUpBalance",
    summary="A statistic of each subscriber's balance, weighted by how long it was held.",
)
class TopUpBalance(Topups, SubscriberMetric):
    """Take a statistic of each subscriber's balance, weighted by holding time.

    Balances are in the operator's currency. The window is cut at the top-ups. Before the first top-up the
    balance is the balance just before it, after the last the balance just after it. Between two top-ups the
    balance is the mean of the balance after the first and before the second. ``count`` counts top-ups.
    ``max`` and ``min`` are over the balances before and after each top-up, unweighted. Top-ups that lack
    either balance are only counted.
    """

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {"subscriber": sa.Text(), "value": statistic_type(self.statistic, sa.Double())}

    def select(self, sources: Sources) -> Select[Any]:
        columns = ("time", "pre_event_balance", "post_event_balance")
        topups = select_events(sources, self.events[0], columns)
        before, after = topups.c.pre_event_balance, topups.c.post_event_balance
        if self.statistic == "count":
            value: ColumnElement[Any] = sa.func.count()
            return sa.select(topups.c.subscriber, value.label("value")).group_by(topups.c.subscriber)
        known = sa.and_(before.is_not(None), after.is_not(None))
        if self.statistic in ("max", "min"):
            extreme = getattr(sa.func, "greatest" if self.statistic == "max" else "least")(before, after)
            value = getattr(sa.func, self.statistic)(extreme)
            return (
                sa.select(topups.c.subscriber, value.label("value"))
                .where(known)
                .group_by(topups.c.subscriber)
            )
        start, end = (_literal(sources.utc(edge)) for edge in (self.start_date, self.end_date))
        segments = _segments(sa.select(topups).where(known).subquery("known"), start, end)
        return _SUMMARIES[self.statistic](segments)


def _segments(topups: FromClause, start: ColumnElement[Any], end: ColumnElement[Any]) -> FromClause:
    """Return ``subscriber``, ``level``, ``weight`` of each stretch of the window.

    ``level`` is the balance, ``weight`` the seconds. The window lies between UTC ``start`` and ``end``.
    """
    before, after = topups.c.pre_event_balance, topups.c.post_event_balance
    window: dict[str, Any] = {
        "partition_by": topups.c.subscriber,
        "order_by": [topups.c.time, before, after],
    }
    ranked = sa.select(
        topups.c.subscriber,
        topups.c.time,
        before.label("before"),
        after.label("after"),
        sa.func.lag(topups.c.time).over(**window).label("previous_time"),
        sa.func.lag(after).over(**window).label("previous_after"),
        sa.func.max(topups.c.time).over(partition_by=topups.c.subscriber).label("last_time"),
    ).cte("ranked")
    first = ranked.c.previous_time.is_(None)
    until = sa.select(
        ranked.c.subscriber,
        sa.case((first, ranked.c.before), else_=(ranked.c.before + ranked.c.previous_after) / 2.0).label(
            "level"
        ),
        sa.case(
            (first, _seconds(start, ranked.c.time)),
            else_=_seconds(ranked.c.previous_time, ranked.c.time),
        ).label("weight"),
    )
    since = sa.select(ranked.c.subscriber, ranked.c.after, _seconds(ranked.c.time, end)).where(
        ranked.c.time == ranked.c.last_time
    )
    return until.union_all(since).cte("segments")


def _literal(moment: datetime) -> ColumnElement[Any]:
    return sa.cast(sa.literal(moment), sa.DateTime)


def _seconds(start: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[Any]:
    return sa.cast(microseconds(end) - microseconds(start), sa.Double) / 1000000.0


def _sum(segments: FromClause) -> Select[Any]:
    value = sa.func.sum(segments.c.weight * segments.c.level)
    return sa.select(segments.c.subscriber, value.label("value")).group_by(segments.c.subscriber)


def _avg(segments: FromClause) -> Select[Any]:
    weight = sa.func.sum(segments.c.weight)
    value = sa.func.sum(segments.c.weight * segments.c.level) / sa.func.nullif(weight, 0)
    return sa.select(segments.c.subscriber, value.label("value")).group_by(segments.c.subscriber)


def _variance(segments: FromClause) -> Select[Any]:
    means = _avg(segments).subquery("means")
    away = segments.c.level - means.c.value
    value = sa.func.sum(segments.c.weight * away * away) / sa.func.nullif(
        sa.func.sum(segments.c.weight) - 1, 0
    )
    return (
        sa.select(segments.c.subscriber, value.label("value"))
        .join(means, segments.c.subscriber == means.c.subscriber)
        .group_by(segments.c.subscriber)
    )


def _stddev(segments: FromClause) -> Select[Any]:
    variances = _variance(segments).subquery("variances")
    value = sa.func.sqrt(variances.c.value)
    return sa.select(variances.c.subscriber, value.label("value"))


def _median(segments: FromClause) -> Select[Any]:
    """Return the first level, by size, at which half of all weight is reached."""
    order = [segments.c.weight, segments.c.level]
    running = sa.select(
        segments,
        sa.func.sum(segments.c.weight)
        .over(partition_by=segments.c.subscriber, order_by=order, rows=(None, 0))
        .label("running"),
        sa.func.sum(segments.c.weight).over(partition_by=segments.c.subscriber).label("total"),
    ).subquery("running")
    value = first_by(running.c.level, -running.c.running, -running.c.level)
    return (
        sa.select(running.c.subscriber, value.label("value"))
        .where(running.c.running * 2 >= running.c.total)
        .group_by(running.c.subscriber)
    )


def _mode(segments: FromClause) -> Select[Any]:
    """Return the level with most weight in all, then the lowest."""
    levels = (
        sa.select(segments.c.subscriber, segments.c.level, sa.func.sum(segments.c.weight).label("weight"))
        .group_by(segments.c.subscriber, segments.c.level)
        .subquery("levels")
    )
    value = first_by(levels.c.level, levels.c.weight, -levels.c.level)
    return sa.select(levels.c.subscriber, value.label("value")).group_by(levels.c.subscriber)


_SUMMARIES = {
    "sum": _sum,
    "avg": _avg,
    "variance": _variance,
    "stddev": _stddev,
    "median": _median,
    "mode": _mode,
}
