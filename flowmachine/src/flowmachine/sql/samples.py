"""Draw random samples of a subscriber-level result.

Rows are ordered by a keyed hash of the subscriber. A sample therefore depends on its settings and on the
subscribers in the result, not on physical row order. The same settings choose alike among the subscribers of
two days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, Select

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import Query, Sources, holds_subscribers
from flowmachine.spec.sampling import FEWEST_LEFT_OUT, SampleSettings
from flowmachine.sql.contributors import rows_of
from flowmachine.sql.functions import at_most_share, in_order, subscriber_number


def sampled(
    statement: Select[Any], columns: Mapping[str, Any], sampling: SampleSettings, *, limited: bool = False
) -> Select[Any]:
    """Select the sample of a statement: the rows with the first keyed hashes.

    A ``limited`` sample that would leave out too few rows is empty, see ``refusal``.

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
    chosen = sa.and_(chosen, _leaves_out_enough(ranked.c.total, sampling)) if limited else chosen
    return sa.select(*(ranked.c[name] for name in columns)).where(chosen)


def _leaves_out_enough(total: ColumnElement[Any], sampling: SampleSettings) -> ColumnElement[bool]:
    """Return whether a sample of ``total`` rows leaves out enough of them."""
    if sampling.fraction is not None:
        return ~at_most_share(total - (FEWEST_LEFT_OUT - 1), sampling.fraction, total)
    return sa.literal(sampling.size, sa.BigInteger) <= _largest_size(total)


def _largest_size(total: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the largest size that leaves out a tenth of the rows and at least 16.

    It is rounded down to two digits and to whole tens, because it is told: the exact number of rows would
    reveal single subscribers.
    """
    tenth_up = (total + 9) // 10
    room = sa.cast(total - sa.func.greatest(FEWEST_LEFT_OUT, tenth_up), sa.BigInteger)
    digits = sa.func.length(sa.cast(room, sa.Text), type_=sa.Integer())
    step = sa.cast(sa.func.greatest(10, sa.func.power(10, digits - 2)), sa.BigInteger)
    return sa.cast(room // step * step, sa.BigInteger)


def refusal(query: Query, sources: Sources, read: Callable[[Select[Any]], tuple[Any, ...]]) -> str | None:
    """Say why a query's empty sample was refused, or return None.

    ``read`` returns the only row of a statement.
    """
    sampling: SampleSettings | None = getattr(query, "sampling", None)
    if sampling is None:
        return None
    rows = sa.select(sa.func.count().label("total")).select_from(query.select(sources).subquery()).subquery()
    total = rows.c.total
    enough, largest = read(sa.select(_leaves_out_enough(total, sampling), _largest_size(total)))
    if enough:
        return None
    rule = f"A sample leaves out at least a tenth of the subscribers and at least {FEWEST_LEFT_OUT}"
    if largest <= 0:
        return f"{rule}: there are too few here to draw a sample."
    given = f"size {sampling.size}" if sampling.fraction is None else f"fraction {sampling.fraction}"
    return f"{rule}: {given} is too large; the largest size here is {largest}."


def _portable(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Make a column portable: subscribers as integer keys, lists as their items."""
    if isinstance(column.type, sa.ARRAY):
        return sa.func.array_to_string(column, ",", type_=sa.Text())
    return subscriber_number(column) if holds_subscribers(name) else column


def stored_select(query: Query, sources: Sources) -> Select[Any]:
    """Select a query's stored form: its own SQL, sampled where the query says so."""
    if isinstance(query, Aggregate):
        return rows_of(query, sources, sketched=True)
    statement = query.select(sources)
    sampling = getattr(query, "sampling", None)
    return statement if sampling is None else sampled(statement, query.columns, sampling, limited=True)


def released_sample(query: Aggregate, released: Select[Any]) -> Select[Any]:
    """Select a query's released form of what passed the gate: sampled if asked."""
    sampling = getattr(query, "sampling", None)
    return released if sampling is None else sampled(released, query.published.columns, sampling)
