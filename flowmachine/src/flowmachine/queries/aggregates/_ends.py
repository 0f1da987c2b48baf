"""Hold who stands behind the outer edges of a histogram."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.spec.aggregate import Aggregate, Total
from flowmachine.spec.published import KeepOver, Published, Value
from flowmachine.spec.query import Query, Sources
from flowmachine.sql.functions import fifteen_digits


class Ends(Aggregate):
    """Hold everybody with a metric, in one row, with the value of each.

    A histogram publishes the smallest and the largest value as its outer edges. Bins with different edges share no
    row key, so only this row shows which subscribers make the edges differ. Its id and kind are those of the
    histogram. It is not registered as a kind and cannot be submitted.
    """

    def __init__(self, query_id: str, metric: Query) -> None:
        object.__setattr__(self, "kind", "histogram_aggregate")
        object.__setattr__(self, "query_id", query_id)
        object.__setattr__(self, "metric", metric)

    metric: Query

    @property
    def totals(self) -> tuple[Total, ...]:
        """Return nothing, because this row does not leave."""
        return ()

    @property
    def measure(self) -> tuple[str, str]:
        return "ends", "ends"

    def contributors(self, sources: Sources) -> FromClause:
        values = values_of(self.metric, sources)
        return sa.select(values.c.subscriber, values.c.x).subquery("people")

    def value(self, contributors: FromClause) -> ColumnElement[float]:
        return sa.func.max(contributors.c.x)

    @property
    def published(self) -> Published:
        return Published((Value("value", sa.Double()),), KeepOver("subscribers"))


def values_of(metric: Query, sources: Sources) -> sa.CTE:
    """Return (``x``, ``subscriber``) of those with a metric, to fifteen digits."""
    found = sources.stored(metric)
    number = sa.cast(found.c.value, sa.Double)
    exact = fifteen_digits(number) if isinstance(metric.columns["value"], sa.Double) else number
    return (
        sa.select(exact.label("x"), found.c.subscriber).where(found.c.value.is_not(None)).cte("metric_values")
    )
