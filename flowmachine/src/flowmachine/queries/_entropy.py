"""How unpredictable a subscriber is (C. E. Shannon, A Mathematical Theory of Communication, 1948, section 6)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

#: Columns of the kinds of entropy; natural units (nats): 0 if only one state ever occurs, ln n if n occur equally often.
ENTROPY_COLUMNS: dict[str, Any] = {"subscriber": sa.Text(), "entropy": sa.Double()}


def entropy(events: FromClause, state: ColumnElement[Any]) -> Select[Any]:
    """-sum p ln p for each subscriber, p being the share of their events in each state."""
    subscriber = events.c.subscriber
    count = sa.cast(sa.func.count(), sa.Double)
    total = sa.func.sum(count).over(partition_by=subscriber)
    shares = (
        sa.select(subscriber, (count / total).label("share")).group_by(subscriber, state).subquery("shares")
    )
    # ln(1 / p) rather than -ln p, so that certainty is 0 and not -0.
    value = sa.func.sum(shares.c.share * sa.func.ln(1.0 / shares.c.share))
    return sa.select(shares.c.subscriber, value.label("entropy")).group_by(shares.c.subscriber)
