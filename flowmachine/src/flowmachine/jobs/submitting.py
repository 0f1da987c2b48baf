"""Submit, watch and cancel queries for the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from flowmachine.data import DataState
from flowmachine.jobs.table import (
    CANCEL_CHANNEL,
    DONE_CHANNEL,
    FIRST_STATE,
    FRESH,
    RELEASED,
    SUMMARY_LOCKED,
    WORK_CHANNEL,
    Key,
    find,
    is_job,
    is_named,
    lock,
    moved,
    named,
    notify,
    shown_state,
    state,
    stored_ids,
    summary,
)
from flowmachine.spec.query import Query
from flowmachine.sql.statements import InsertNew
from flowmachine.tables import jobs, plan_parts


@dataclass(frozen=True)
class Progress:
    """Count the missing parts of a query: all, queued and running."""

    eligible: int
    queued: int
    running: int

    def as_dict(self) -> dict[str, int]:
        return {"eligible": self.eligible, "queued": self.queued, "running": self.running}


class QueueFull(Exception):
    """Report that the limit of waiting or running queries is reached."""


def submit(
    connection: sa.Connection,
    query: Query,
    data: DataState,
    *,
    store: str = RELEASED,
    user: str | None = None,
    request_id: str | None = None,
    queue_limit: int | None = None,
) -> Mapping[Any, Any]:
    """Ensure that the query is stored, running or queued; return its row.

    The row has what ``progress_of`` needs. Raises QueueFull if ``queue_limit`` queries are already waiting or
    running. ``store`` names the store of a query that is not to be released, and RELEASED otherwise. A
    result made from other than the present data is computed again, as is a failed or cancelled result.
    """
    key = Key(query.query_id, store)
    fingerprints = data.fingerprints(query)
    existing = connection.execute(SUMMARY_LOCKED, named(key)).mappings().one_or_none()
    if existing is not None and (
        existing["state"] in ("queued", "executing", "resetting")
        or (shown_state(existing) == "completed" and existing["fingerprint"] == fingerprints[query.query_id])
    ):
        return existing
    if queue_limit is not None and waiting(connection) >= queue_limit:
        raise QueueFull
    asked = {
        "query_id": key.query_id,
        "planned": False,
        "parts": len(fingerprints) - len(stored_ids(connection, fingerprints)),
        "requested_by": user,
        "request_id": request_id,
    }
    if existing is not None:
        connection.execute(_SUBMIT_AGAIN, asked | named(key))
        connection.execute(sa.delete(plan_parts).where(plan_parts.c.root == key.query_id))
    elif not connection.execute(
        _SUBMIT, asked | {"store": store, "kind": query.kind, "spec": query.spec()}
    ).rowcount:
        # Two servers inserted at once: the second waited until the first had committed its row.
        first = summary(connection, key)
        assert first is not None
        return first
    notify(connection, WORK_CHANNEL)
    return asked | {"state": FIRST_STATE}


_SUBMIT = InsertNew(jobs).values(state=FIRST_STATE, **FRESH)

_SUBMIT_AGAIN = moved("queue", is_named, **FRESH)


def waiting(connection: sa.Connection) -> int:
    """Count the submitted queries that are queued or running."""
    statement = sa.select(sa.func.count()).where(
        jobs.c.store == RELEASED, jobs.c.state.in_(("queued", "executing"))
    )
    return int(connection.execute(statement).scalar_one())


def progress(connection: sa.Connection, query_id: str) -> Progress:
    """Count a submitted query's remaining parts; all zero when its result is stored."""
    row = summary(connection, Key(query_id, RELEASED))
    return Progress(0, 0, 0) if row is None else progress_of(connection, row)


def progress_of(connection: sa.Connection, row: Mapping[Any, Any]) -> Progress:
    """Do as ``progress`` for the row of a submitted query that the caller has read."""
    query_id = row["query_id"]
    if row["state"] not in ("queued", "executing"):
        return Progress(0, 0, 0)
    if not row["planned"]:
        return Progress(row["parts"], row["parts"], 0)
    rows = connection.execute(
        sa.select(jobs.c.state, sa.func.count())
        .join(
            plan_parts,
            sa.and_(plan_parts.c.query_id == jobs.c.query_id, plan_parts.c.store == jobs.c.store),
        )
        .where(plan_parts.c.root == query_id, jobs.c.state != "completed")
        .group_by(jobs.c.state)
    )
    counts: dict[str, int] = {state: count for state, count in rows.all()}  # noqa: C416 (rows are not pairs to mypy)
    return Progress(sum(counts.values()), counts.get("queued", 0), counts.get("executing", 0))


def cancel(connection: sa.Connection, query_id: str) -> str | None:
    """Cancel a submitted query; return its state, or None if unknown.

    Parts that another live query needs go on. Other parts leave the queue or are stopped.
    """
    root = Key(query_id, RELEASED)
    parts = sa.select(plan_parts.c.query_id, plan_parts.c.store).where(plan_parts.c.root == query_id)
    itself = sa.select(sa.literal(query_id).label("query_id"), sa.literal(RELEASED).label("store"))
    connection.execute(lock(parts.union(itself).subquery("keys")))
    if state(connection, root) is None:
        return None
    others = plan_parts.alias("others")
    other_root = jobs.alias("other_root")
    needed_elsewhere = (
        sa.exists()
        .where(
            others.c.query_id == jobs.c.query_id, others.c.store == jobs.c.store, others.c.root != query_id
        )
        .where(other_root.c.query_id == others.c.root, other_root.c.store == RELEASED)
        .where(other_root.c.state.in_(("queued", "executing")))
    )
    own = sa.or_(
        is_job(root), sa.and_(sa.tuple_(jobs.c.query_id, jobs.c.store).in_(parts), ~needed_elsewhere)
    )
    connection.execute(moved("cancel", own, jobs.c.state == "queued", finished_at=sa.func.clock_timestamp()))
    stopping = connection.execute(
        sa.update(jobs).where(own, jobs.c.state == "executing").values(cancel_requested=True)
    )
    if stopping.rowcount:
        notify(connection, CANCEL_CHANNEL)
    notify(connection, DONE_CHANNEL, query_id)
    after = find(connection, root)
    assert after is not None
    return shown_state(after)
