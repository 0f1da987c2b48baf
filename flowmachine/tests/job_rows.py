"""Jobs made, planned and finished by hand, for tests of the job table."""

from __future__ import annotations

from collections.abc import Set
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from flowmachine.data import DataState
from flowmachine.jobs import planning, table, working
from flowmachine.jobs.table import RELEASED, Key
from flowmachine.queries.catalogue import load
from flowmachine.spec.aggregate import Aggregate
from flowmachine.stores.base import Stored

LEASE = timedelta(seconds=30)
LOAD = UUID(int=1)
STATES = ("known", "queued", "executing", "completed", "errored", "cancelled", "resetting")


def data(load: UUID = LOAD) -> DataState:
    days = {(kind, date(2016, 1, day)): load for kind in ("calls", "sms") for day in range(1, 8)}
    return DataState(days, dict.fromkeys(days, "file"), 1, "UTC")


def daily(day: int) -> dict[str, Any]:
    return {
        "query_kind": "daily_location",
        "date": f"2016-01-{day:02}",
        "method": "last",
        "aggregation_unit": "admin3",
    }


def aggregate(*days: int) -> Aggregate:
    """A spatial aggregate over a modal location of some days."""
    locations = {"query_kind": "modal_location", "locations": [daily(day) for day in days]}
    return load({"query_kind": "spatial_aggregate", "locations": locations})


def plan(
    connection: sa.Connection,
    query: Aggregate,
    stored: Set[str] = frozenset(),
    among: Set[str] = frozenset(),
) -> None:
    """Record a query's plan with some stored parts and some stored meanwhile."""
    parts = [part for part in query.graph() if part.query_id not in stored]
    needed = {part.query_id: [child.query_id for child in part.children] for part in parts}
    job = table.find(connection, Key(query.query_id, RELEASED))
    assert job is not None
    planning.enqueue_parts(
        connection, job, "duckdb", parts, needed, lambda ids: among & set(ids), executor="duckdb"
    )


def state(connection: sa.Connection, key: Key) -> str:
    row = table.find(connection, key)
    assert row is not None
    return str(row["state"])


def finish(connection: sa.Connection, key: Key, worker: str = "w") -> None:
    working.complete(
        connection,
        key,
        worker,
        stored=Stored(1, 8192),
        milliseconds=5.0,
        fingerprint=data().fingerprints(aggregate(1))[aggregate(1).query_id],
        cells_version=1,
        read={("calls", date(2016, 1, 1)): UUID(int=7)},
    )


def load_daily_id(day: int) -> str:
    return next(part.query_id for part in aggregate(day).graph() if part.kind == "daily_location")
