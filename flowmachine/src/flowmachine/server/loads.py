"""Read when the days with data were loaded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from flowmachine.tables import current_loads, loads


def read_loads(connection: sa.Connection) -> dict[str, Any]:
    """Return the load of each day with data, and the version of the cells.

    A day's earlier loads tell when it was there first, and how often it was loaded.
    """
    days = (current_loads.c.cdr_type, current_loads.c.cdr_date, current_loads.c.load_id)
    visible = loads.c.load_id == current_loads.c.load_id
    of_the_day = sa.and_(
        loads.c.cdr_type == current_loads.c.cdr_type,
        loads.c.cdr_date == current_loads.c.cdr_date,
        sa.or_(visible, loads.c.state.in_(("superseded", "dropped"))),
    )
    statement = (
        sa.select(
            *days,
            sa.func.max(loads.c.finished).filter(visible).label("finished"),
            sa.func.min(loads.c.finished).label("first"),
            sa.func.count().label("times"),
        )
        .join_from(current_loads, loads, of_the_day)
        .group_by(*days)
        .order_by(*days[:2])
    )
    rows = connection.execute(statement).all()
    return {
        "loads": [
            {
                "event_type": row.cdr_type,
                "date": row.cdr_date.isoformat(),
                "load_id": str(row.load_id),
                "loaded_at": _utc(row.finished),
                "first_loaded_at": _utc(row.first),
                "times_loaded": row.times,
            }
            for row in rows
        ],
        "cells_version": connection.execute(sa.select(sa.func.cells_version())).scalar_one(),
    }


def days_not_loaded(connection: sa.Connection) -> int:
    """Return how many days wait for a person.

    Their newest load was held back, or failed; a day is counted for each type of event.
    """
    newest = (
        sa.select(loads.c.state)
        .distinct(loads.c.cdr_type, loads.c.cdr_date)
        .order_by(loads.c.cdr_type, loads.c.cdr_date, loads.c.started.desc())
        .subquery()
    )
    waiting = newest.c.state.in_(("held", "failed"))
    return connection.execute(sa.select(sa.func.count()).where(waiting)).scalar_one()


def _utc(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
