"""Count subscribers by location and label."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select


def labelled(located: FromClause, labels: FromClause, *places: str) -> Select[Any]:
    """Count rows of ``located`` by ``places`` and by the label, as ``value_label``.

    The label is the ``value`` of ``labels``. Subscribers without a label count under a null label. Both
    inputs have at most one row for a subscriber.
    """
    columns = [*(located.c[name] for name in places), labels.c.value.label("value_label")]
    return (
        sa.select(*columns, sa.func.count().label("value"))
        .select_from(located.outerjoin(labels, located.c.subscriber == labels.c.subscriber))
        .group_by(*(located.c[name] for name in places), labels.c.value)
    )
