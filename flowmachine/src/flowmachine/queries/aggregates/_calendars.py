"""List the periods in which each subscriber was active."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries.activity._periods import active_periods, periods_of_events
from flowmachine.spec.query import Sources

#: Starts of periods on the wall clock, ascending.
CALENDAR = sa.ARRAY(sa.DateTime())

#: Bits in a positive 64-bit integer, except the last.
_MOST_BITS = 62


def calendars(sources: Sources, query: Any) -> FromClause:
    """Return (``subscriber``, ``value``): the periods in which a subscriber was seen.

    Other subscribers have no row. Results are counted by ``value``, which is a list only where there are too
    many periods for the bits of an integer. ``spelt_out`` then turns each distinct value into a list.
    """
    if query.total_periods <= _MOST_BITS:
        found = periods_of_events(sources, query)
        bit = sa.cast(sa.literal(1), sa.BigInteger).bitwise_lshift(sa.cast(found.c.period, sa.Integer))
        seen: Any = sa.func.bit_or(bit, type_=sa.BigInteger())
    else:
        found = active_periods(sources, query)
        start = _start(query, found.c.period)
        seen = sa.func.array_agg(aggregate_order_by(start, start), type_=CALENDAR)
    return (
        sa.select(found.c.subscriber, seen.label("value")).group_by(found.c.subscriber).subquery("calendars")
    )


def spelt_out(query: Any, counted: Select[Any], column: str) -> Select[Any]:
    """Replace ``value`` of ``calendars`` in ``counted`` by the starts of the periods.

    Null stays null.
    """
    if query.total_periods > _MOST_BITS:
        return counted
    rows = counted.cte("counted")
    bits = rows.c[column]
    numbers = sa.union_all(
        *(
            sa.select(
                sa.literal(number).label("period"),
                sa.cast(sa.literal(1 << number), sa.BigInteger).label("bit"),
            )
            for number in range(query.total_periods)
        )
    ).subquery("numbers")
    starts = (
        sa.select(bits.label("bits"), _start(query, numbers.c.period).label("start"))
        .join(numbers, bits.bitwise_and(numbers.c.bit) > 0)
        .distinct()
        .subquery("starts")
    )
    lists = (
        sa.select(
            starts.c.bits,
            sa.func.array_agg(aggregate_order_by(starts.c.start, starts.c.start), type_=CALENDAR).label(
                "list"
            ),
        )
        .group_by(starts.c.bits)
        .subquery("lists")
    )
    columns = [lists.c.list.label(column) if found is bits else found for found in rows.c]
    return sa.select(*columns).select_from(rows.outerjoin(lists, lists.c.bits == bits))


def _start(query: Any, period: ColumnElement[Any]) -> ColumnElement[Any]:
    start = sa.literal(query.start_date, sa.DateTime) + period * sa.literal(query.length, sa.Interval)
    return sa.cast(start, sa.DateTime)
