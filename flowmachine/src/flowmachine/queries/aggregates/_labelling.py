"""Counting subscribers by where they are and by a label."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select


def labelled(located: FromClause, labels: FromClause, *places: str) -> Select[Any]:
    """Rows of ``located`` counted by the columns ``places`` and by the ``value`` of ``labels``, as ``value_label``.

    Subscribers without a label count under a null one. Both inputs have at most one row for a subscriber.
    """
    columns = [*(located.c[name] for name in places), labels.c.value.label("value_label")]
    return (
        sa.select(*columns, sa.func.count().label("value"))
        .select_from(located.outerjoin(labels, located.c.subscriber == labels.c.subscriber))
        .group_by(*(located.c[name] for name in places), labels.c.value)
    )
