"""Label subscribers at their locations."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql import FromClause


def labelled(located: FromClause, labels: FromClause, *places: str) -> FromClause:
    """Return (``places``, ``value_label``, ``subscriber``) of the rows of ``located``.

    The label is the ``value`` of ``labels``, null for subscribers without a label. Both inputs have at most
    one row for a subscriber.
    """
    columns = [*(located.c[name] for name in places), labels.c.value.label("value_label")]
    return (
        sa.select(*columns, located.c.subscriber)
        .select_from(located.outerjoin(labels, located.c.subscriber == labels.c.subscriber))
        .subquery("labelled")
    )
