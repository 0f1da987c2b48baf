"""In which periods each subscriber was active, as one list."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql import FromClause

from flowmachine.queries._periods import active_periods
from flowmachine.sql.sources import Sources

#: The starts of periods on the wall clock, ascending.
CALENDAR = sa.ARRAY(sa.DateTime())


def calendars(sources: Sources, query: Any) -> FromClause:
    """Rows (``subscriber``, ``value``): the starts of the periods in which a subscriber was seen; others have no row."""
    active = active_periods(sources, query)
    start = sa.literal(query.start_date, sa.DateTime) + active.c.period * sa.literal(
        query.length, sa.Interval
    )
    starts = sa.select(active.c.subscriber, sa.cast(start, sa.DateTime).label("start")).subquery("starts")
    seen = sa.func.array_agg(aggregate_order_by(starts.c.start, starts.c.start), type_=CALENDAR)
    return (
        sa.select(starts.c.subscriber, seen.label("value"))
        .group_by(starts.c.subscriber)
        .subquery("calendars")
    )
