"""Draw random samples of a subscriber-level result.

Rows are ordered by a keyed hash of the subscriber. A sample therefore depends on its settings and on the
subscribers in the result, not on physical row order. The same settings choose alike among the subscribers of
two days.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, Select

from flowmachine.spec.query import Aggregate, Query, Sources, holds_subscribers
from flowmachine.spec.sampling import SampleSettings
from flowmachine.sql.functions import at_most_share, in_order, subscriber_number
from flowmachine.sql.release import released


def sampled(statement: Select[Any], columns: Mapping[str, Any], sampling: SampleSettings) -> Select[Any]:
    """Select the sample of a statement: the rows with the first keyed hashes.

    ``columns`` are the statement's columns with types. The hash covers the subscriber, or in a result without
    subscribers the texts and lists that name a row, and the row's number among rows of the same name.
    Measured values are left out, because they differ from day to day and the databases print doubles
    differently.
    """
    rows = statement.subquery("rows")
    naming = [name for name in columns if holds_subscribers(name)] or [
        name for name, type_ in columns.items() if isinstance(type_, sa.Text | sa.ARRAY)
    ]
    names = [_portable(name, rows.c[name]) for name in naming]
    # Doubles may differ in their last digits, so they decide only between otherwise equal rows.
    others = sorted(
        columns.keys() - set(naming), key=lambda name: (isinstance(columns[name], sa.Double), name)
    )
    order = [in_order(sa.type_coerce(rows.c[name], columns[name])) for name in others]
    number = sa.func.row_number().over(partition_by=names or None, order_by=order or None)
    settings = f"{sampling.sampling_method}:{sampling.seed!r}:{sampling.size}:{sampling.fraction!r}"
    texts = (sa.func.coalesce(sa.cast(name, sa.Text), "null") for name in names)
    hashed = sa.func.md5(sa.func.concat_ws(":", settings, *texts, sa.cast(number, sa.Text)))
    keyed = sa.select(rows, hashed.label("hash")).subquery("keyed")
    ties = (in_order(_portable(name, keyed.c[name])) for name in naming)
    ranked = sa.select(
        keyed,
        sa.func.row_number().over(order_by=[keyed.c.hash, *ties]).label("rank"),
        sa.func.count().over().label("total"),
    ).subquery("ranked")
    chosen = (
        at_most_share(ranked.c.rank, sampling.fraction, ranked.c.total)
        if sampling.fraction is not None
        else ranked.c.rank <= sampling.size
    )
    return sa.select(*(ranked.c[name] for name in columns)).where(chosen)


def _portable(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Make a column portable: subscribers as integer keys, lists as their items."""
    if isinstance(column.type, sa.ARRAY):
        return sa.func.array_to_string(column, ",", type_=sa.Text())
    return subscriber_number(column) if holds_subscribers(name) else column


def stored_select(query: Query, sources: Sources) -> Select[Any]:
    """Select a query's stored form: its own SQL, sampled where the query says so."""
    statement = query.select(sources)
    sampling = getattr(query, "sampling", None)
    return statement if sampling is None else sampled(statement, query.columns, sampling)


def released_select(query: Aggregate, sources: Sources) -> Select[Any]:
    """Select a query's released form: through the gate, then sampled if asked."""
    statement = released(query, sources)
    sampling = getattr(query, "sampling", None)
    return statement if sampling is None else sampled(statement, query.published.columns, sampling)
