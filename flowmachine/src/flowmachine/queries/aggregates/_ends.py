"""Hold the values behind the bins of a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.aggregate import Total, ValuesBehind
from flowmachine.spec.published import KeepOver, Published, Value
from flowmachine.spec.query import Query, Sources
from flowmachine.sql.functions import fifteen_digits


class Ends(ValuesBehind):
    """Hold everybody with a metric, in one row, with the value of each.

    Bins with different edges share no row key, so only this row shows that two histograms are of the same values,
    or which subscribers make published ends differ.
    """

    def __init__(
        self, query_id: str, metric: Query, *, tells_ends: bool, includes_highest: bool, edges: str = ""
    ) -> None:
        given = {
            "kind": "histogram_aggregate",
            "query_id": query_id,
            "metric": metric,
            "tells_ends": tells_ends,
            "includes_highest": includes_highest,
            "text_of_edges": edges,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    metric: Query
    text_of_edges: str

    def with_edges(self, edges: str) -> Ends:
        return Ends(
            self.query_id,
            self.metric,
            tells_ends=self.tells_ends,
            includes_highest=self.includes_highest,
            edges=edges,
        )

    @property
    def totals(self) -> tuple[Total, ...]:
        """Return nothing, because this row does not leave."""
        return ()

    @property
    def measure(self) -> tuple[str, str]:
        return "ends", self.text_of_edges

    def contributors(self, sources: Sources) -> FromClause:
        values = values_of(self.metric, sources)
        return sa.select(values.c.subscriber, values.c.x).subquery("people")

    def value(self, contributors: FromClause) -> ColumnElement[float]:
        return sa.func.max(contributors.c.x)

    def counted_between(self, edges: Sequence[float], sources: Sources) -> Select[Any]:
        values, ranges = values_of(self.metric, sources), listed_ranges(edges)
        inside = sa.and_(values.c.x >= ranges.c.lower_edge, values.c.x < ranges.c.upper_edge)
        found = sa.select(ranges.c.lower_edge, sa.func.count().label("subscribers")).join(values, inside)
        return found.group_by(ranges.c.lower_edge)

    @property
    def published(self) -> Published:
        return Published((Value("value", sa.Double()),), KeepOver("subscribers"))


def listed_ranges(edges: Sequence[float]) -> FromClause:
    """Return ``lower_edge`` and ``upper_edge`` of each two neighbouring edges."""
    return sa.union_all(
        *(
            sa.select(as_double(lower).label("lower_edge"), as_double(upper).label("upper_edge"))
            for lower, upper in pairwise(edges)
        )
    ).subquery("bins")


def as_double(value: float) -> ColumnElement[float]:
    """Return a number as a double."""
    return sa.cast(sa.literal(value), sa.Double)


def values_of(metric: Query, sources: Sources) -> sa.CTE:
    """Return (``x``, ``subscriber``) of those with a metric, to fifteen digits."""
    found = sources.stored(metric)
    number = sa.cast(found.c.value, sa.Double)
    exact = fifteen_digits(number) if isinstance(metric.columns["value"], sa.Double) else number
    return (
        sa.select(exact.label("x"), found.c.subscriber).where(found.c.value.is_not(None)).cte("metric_values")
    )
