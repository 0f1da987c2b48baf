"""Forecast a query's cost before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from flowmachine.data import DataState
from flowmachine.jobs import table
from flowmachine.server.foreseeing import foreseen
from flowmachine.spec.published import floor
from flowmachine.spec.query import Query
from flowmachine.tables import jobs as job_table


def explain(connection: sa.Connection, query: Query, data: DataState, executor: str) -> dict[str, Any]:
    """Return parts, days, a forecast, the floor and near answers.

    The forecast adds up, over the parts not stored, what parts of the same kind took on average; it is null while
    some kind has never run. ``executor`` is the one that ``stores.choice.choose_executor`` names.
    """
    fingerprints = data.fingerprints(query)
    stored = table.stored_ids(connection, fingerprints)
    parts = list(query.graph())
    unstored = [] if query.query_id in stored else [part for part in parts if part.query_id not in stored]
    read: dict[str, set[str]] = {}
    missing: dict[str, set[str]] = {}
    for part in parts:
        for selection in part.events:
            for event_type in selection.types:
                for day in selection.days:
                    known = (event_type, day) in data.loads
                    (read if known else missing).setdefault(event_type, set()).add(day.isoformat())
    return {
        "query_id": query.query_id,
        "parts": len(parts),
        "stored": len(parts) - len(unstored),
        "executor": executor,
        "days": _sorted(read),
        "missing_days": _sorted(missing),
        "forecast_seconds": _forecast(connection, unstored),
        "floor": floor(),
        "near": foreseen(connection, query, data),
    }


def _forecast(connection: sa.Connection, unstored: list[Query]) -> float | None:
    rows = connection.execute(
        sa.select(job_table.c.kind, sa.func.avg(job_table.c.compute_ms).label("milliseconds"))
        .where(job_table.c.compute_ms.is_not(None))
        .group_by(job_table.c.kind)
    )
    average: dict[str, float] = {row.kind: row.milliseconds for row in rows}
    if any(part.kind not in average for part in unstored):
        return None
    return round(sum(average[part.kind] for part in unstored) / 1000, 3)


def _sorted(days: Mapping[str, set[str]]) -> dict[str, list[str]]:
    return {event_type: sorted(found) for event_type, found in sorted(days.items())}
