"""Hold the values behind the bins of a histogram."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.aggregate import Total, ValuesBehind
from flowmachine.spec.published import KeepOver, Published, Value
from flowmachine.spec.query import Query, Sources
from flowmachine.sql.functions import fifteen_digits

#: Statistics of which one is the square of the other.
_SPREADS = ("stddev", "variance")


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
        values = self._values(sources)
        x: ColumnElement[float] = values.c.x
        if getattr(self.metric, "statistic", None) in _SPREADS:
            # A root and the same deviation differ in their last digits, which would make all subscribers differ.
            x = sa.cast(sa.cast(x, sa.REAL), sa.Double)
        return sa.select(values.c.subscriber, x.label("x")).subquery("people")

    def as_compared(self, edge: float) -> float:
        return math.copysign(math.sqrt(abs(edge)), edge) if self._is_squared else edge

    def _values(self, sources: Sources) -> FromClause:
        """Return the values that are compared: of variances the roots.

        A variance and a deviation of the same numbers have the same order, so that edges of both enclose somebody.
        """
        values = values_of(self.metric, sources)
        if not self._is_squared:
            return values
        return sa.select(values.c.subscriber, sa.func.sqrt(values.c.x, type_=sa.Double()).label("x")).cte(
            "roots"
        )

    @property
    def _is_squared(self) -> bool:
        return getattr(self.metric, "statistic", None) == "variance"

    def value(self, contributors: FromClause) -> ColumnElement[float]:
        return sa.func.max(contributors.c.x)

    def counted_between(self, edges: Sequence[float], sources: Sources) -> Select[Any]:
        # One pass over values and edges in order: a join takes seconds for a thousand ranges.
        values = self._values(sources)
        listed = sa.values(sa.column("edge", sa.Double()), name="edges").data(
            [(float(edge),) for edge in edges]
        )
        is_value, is_edge = sa.literal_column("1", sa.Integer), sa.literal_column("0", sa.Integer)
        points = sa.union_all(
            sa.select(values.c.x.label("at"), is_value.label("people")),
            sa.select(sa.cast(listed.c.edge, sa.Double), is_edge),
        ).subquery("points")
        # A value on an edge comes after the edge.
        order = [points.c.at, points.c.people]
        below = sa.func.sum(points.c.people).over(order_by=order, rows=(None, 0)).label("below")
        counted = sa.select(points.c.at, points.c.people, below).subquery("counted")
        upper = sa.func.lead(counted.c.below).over(order_by=counted.c.at)
        between = sa.cast(upper - counted.c.below, sa.BigInteger)
        of_edges = counted.c.people == is_edge
        return sa.select(counted.c.at.label("lower_edge"), between.label("subscribers")).where(of_edges)

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
