"""Compute how unpredictable a subscriber is.

C. E. Shannon, A Mathematical Theory of Communication, 1948, section 6.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

#: Columns of the entropy kinds in natural units (nats): 0 for a single state, ln n for n equally frequent
#: states.
ENTROPY_COLUMNS: dict[str, Any] = {"subscriber": sa.Text(), "entropy": sa.Double()}


def entropy(events: FromClause, state: ColumnElement[Any]) -> Select[Any]:
    """Return -sum p ln p for each subscriber.

    p is the share of the subscriber's events in each state.
    """
    subscriber = events.c.subscriber
    count = sa.cast(sa.func.count(), sa.Double)
    total = sa.func.sum(count).over(partition_by=subscriber)
    shares = (
        sa.select(subscriber, (count / total).label("share")).group_by(subscriber, state).subquery("shares")
    )
    # ln(1 / p) instead of -ln p, so that certainty is 0 and not -0.
    value = sa.func.sum(shares.c.share * sa.func.ln(1.0 / shares.c.share))
    return sa.select(shares.c.subscriber, value.label("entropy")).group_by(shares.c.subscriber)
