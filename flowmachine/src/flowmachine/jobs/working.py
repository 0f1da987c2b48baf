"""Claim, renew, complete, fail or return jobs for workers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql import ColumnElement

from flowmachine.data import Day
from flowmachine.jobs.table import (
    CODE_VERSION,
    DONE_CHANNEL,
    PENDING,
    RELEASED,
    WORK_CHANNEL,
    Key,
    is_job,
    is_named,
    lock,
    moved,
    named,
    notify,
    touched,
)
from flowmachine.stores.base import Stored
from flowmachine.tables import edges, jobs, workers


class LostLease(Exception):
    """Report that another worker owns the job; the result must not be recorded."""


#: The condition that a job waits for nothing but a worker.
is_ready = sa.and_(jobs.c.state == "queued", jobs.c.planned, jobs.c.pending == 0)

_busy = jobs.alias("busy")

_running_of_same_user = (
    sa.select(sa.func.count())
    .where(_busy.c.state == "executing", _busy.c.requested_by.is_not_distinct_from(jobs.c.requested_by))
    .scalar_subquery()
)

_next = (
    sa.select(jobs.c.query_id, jobs.c.store)
    .where(is_ready)
    .order_by(_running_of_same_user, jobs.c.queued_at)
    .limit(1)
    .with_for_update(skip_locked=True)
    .cte("next")
)

_at_work = jobs.alias("at_work")

_ready = sa.and_(_at_work.c.state == "queued", _at_work.c.planned, _at_work.c.pending == 0)

_is_here = sa.and_(
    _at_work.c.state == "executing",
    sa.func.starts_with(_at_work.c.worker, sa.bindparam("prefix", type_=sa.Text)),
)

_unplanned = jobs.alias("unplanned")

#: The statement sees the states before its own change.
_SHARING = [
    sa.select(sa.func.count()).where(_at_work.c.state.in_(PENDING), condition).scalar_subquery().label(name)
    for name, condition in (("here", _is_here), ("ready", _ready))
]

_claiming = {
    "started_at": sa.func.clock_timestamp(),
    "lease_until": sa.func.clock_timestamp() + sa.bindparam("lease", type_=sa.Interval),
    "attempts": jobs.c.attempts + 1,
}

_is_next = (jobs.c.query_id == _next.c.query_id, jobs.c.store == _next.c.store)

_CLAIM = moved("execute", *_is_next, **_claiming).returning(jobs, *_SHARING)

_all_are_planned = ~sa.exists().where(_unplanned.c.state == "queued", ~_unplanned.c.planned)

_CLAIM_PLANNED = moved("execute", *_is_next, _all_are_planned, **_claiming).returning(jobs, *_SHARING)


def claim(
    connection: sa.Connection, worker: str, lease: timedelta, *, only_planned: bool = False
) -> sa.RowMapping | None:
    """Claim a ready job; return its row, now ``executing`` and owned, or None.

    Users with the fewest running jobs come first, then the oldest job. A user with thousands of parts thus
    does not block another user's single part. With ``only_planned`` nothing is claimed while a job waits to be
    planned.
    """
    prefix = f"{worker.rpartition('-')[0]}-"
    statement = _CLAIM_PLANNED if only_planned else _CLAIM
    values = {"worker": worker, "lease": lease, "prefix": prefix}
    return connection.execute(statement, values).mappings().one_or_none()


def sharers(claimed: Mapping[Any, Any]) -> int:
    """Return how many running jobs share the processors of a claimed job's host.

    The count includes jobs of workers whose names begin with the host's name and a hyphen, while further jobs
    are ready to replace each of them. Otherwise each job should take all processors, because a running job
    cannot use processors that become free later.
    """
    return int(claimed["here"]) + 1 if others_are_ready(claimed) else 1


def others_are_ready(claimed: Mapping[Any, Any]) -> bool:
    """Return whether further jobs were ready when a job was claimed."""
    return bool(claimed["ready"] > 1)


def renew(connection: sa.Connection, key: Key, worker: str, lease: timedelta) -> bool:
    """Renew a worker's lease on its job; return whether the job is to be cancelled."""
    wanted = connection.execute(
        sa.update(jobs)
        .where(*held(key, worker))
        .values(lease_until=sa.func.clock_timestamp() + lease)
        .returning(jobs.c.cancel_requested)
    ).scalar_one_or_none()
    return bool(wanted)


_COMPLETE = moved(
    "finish",
    is_named,
    jobs.c.worker == sa.bindparam("owner"),
    finished_at=sa.func.clock_timestamp(),
    lease_until=None,
    cancel_requested=False,
    **touched(),
)

#: Completes a released result and tells servers when the transaction commits.
_COMPLETE_RELEASED = _COMPLETE.returning(sa.func.pg_notify(DONE_CHANNEL, jobs.c.query_id))

_wait_for_named = sa.and_(
    edges.c.depends_on == sa.bindparam("id", type_=sa.Text),
    edges.c.depends_store == sa.bindparam("kept_in", type_=sa.Text),
    edges.c.waiting,
)

_LOCK_WITH_WAITING = lock(
    sa.select(
        sa.bindparam("id", type_=sa.Text).label("query_id"),
        sa.bindparam("kept_in", type_=sa.Text).label("store"),
    )
    .union(sa.select(edges.c.query_id, edges.c.store).where(_wait_for_named))
    .subquery("keys")
)

_let_go = (
    sa.update(edges)
    .where(_wait_for_named)
    .values(waiting=False)
    .returning(edges.c.query_id, edges.c.store)
    .cte("let_go")
)

#: Releases the dependents that waited for this input.
_LET_GO = (
    sa.update(jobs)
    .where(jobs.c.query_id == _let_go.c.query_id, jobs.c.store == _let_go.c.store)
    .values(pending=jobs.c.pending - 1)
    .returning(jobs.c.query_id, jobs.c.store)
)


def wake_others(connection: sa.Connection, claimed: Mapping[Any, Any] | None) -> None:
    """Wake idle workers when the transaction commits, if jobs may be ready for them.

    ``claimed`` is what this worker has just claimed.
    """
    if claimed is None or others_are_ready(claimed):
        notify(connection, WORK_CHANNEL)


def held(key: Key, worker: str) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a worker is computing a job now."""
    return is_job(key), jobs.c.state == "executing", jobs.c.worker == worker


def complete(
    connection: sa.Connection,
    key: Key,
    worker: str,
    *,
    stored: Stored,
    milliseconds: float,
    fingerprint: str,
    cells_version: int,
    read: Mapping[Day, UUID],
    judged_by: int | None = None,
) -> Collection[Key]:
    """Record a stored result and release its dependents; return them.

    The caller wakes workers for those that may be ready. Raises LostLease if the worker is not the owner. ``read`` are the loads of the days that the query itself
    read; its inputs' rows have theirs. ``judged_by`` is the floor of a released result.
    """
    inputs: dict[str, dict[str, str]] = {}
    for (event_type, day), load_id in sorted(read.items()):
        inputs.setdefault(event_type, {})[day.isoformat()] = str(load_id)
    if key.store != RELEASED:
        connection.execute(_LOCK_WITH_WAITING, named(key))
    result = {
        "inputs": inputs,
        "code_version": CODE_VERSION,
        "compute_ms": milliseconds,
        "rows": stored.rows,
        "bytes": stored.bytes,
        "metadata": stored.metadata,
        "fingerprint": fingerprint,
        "cells_version": cells_version,
        "floor": judged_by,
    }
    statement = _COMPLETE_RELEASED if key.store == RELEASED else _COMPLETE
    if connection.execute(statement, result | named(key) | {"owner": worker}).rowcount != 1:
        raise LostLease(key)
    if key.store == RELEASED:
        return ()  # No query is made from a released result.
    return [Key(*row) for row in connection.execute(_LET_GO, named(key))]


def fail(connection: sa.Connection, key: Key, worker: str, error_class: str, error: str) -> None:
    """Record why a job failed, on the job and on all dependents."""
    done = connection.execute(
        moved(
            "error",
            *held(key, worker),
            error_class=error_class,
            error=error,
            finished_at=sa.func.clock_timestamp(),
            lease_until=None,
        )
    )
    if done.rowcount == 1:
        fail_waiting(connection, [key], error_class, error)
        if key.store == RELEASED:
            notify(connection, DONE_CHANNEL, key.query_id)


def cancelled(connection: sa.Connection, key: Key, worker: str) -> None:
    """Record that a running job was stopped because of its cancellation."""
    if key.store == RELEASED:
        notify(connection, DONE_CHANNEL, key.query_id)
    connection.execute(
        moved(
            "cancel",
            *held(key, worker),
            finished_at=sa.func.clock_timestamp(),
            lease_until=None,
            cancel_requested=False,
        )
    )


def give_back(connection: sa.Connection, key: Key, worker: str, *, replan: bool) -> None:
    """Return an unfinished job to the queue.

    The worker stops, or an input is gone and the job must be planned again.
    """
    connection.execute(
        moved(
            "give_back",
            *held(key, worker),
            worker=None,
            lease_until=None,
            planned=not replan,
            attempts=jobs.c.attempts if replan else jobs.c.attempts - 1,
        )
    )
    notify(connection, WORK_CHANNEL)


def see(connection: sa.Connection, worker: str, ill: str | None) -> None:
    """Record a worker's heartbeat and problems.

    Workers not seen for a day are forgotten.
    """
    now = sa.func.clock_timestamp()
    values = {"seen": now, "ill": ill}
    connection.execute(
        insert(workers)
        .values(name=worker, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )
    connection.execute(sa.delete(workers).where(workers.c.seen < now - timedelta(days=1)))


def fail_waiting(connection: sa.Connection, keys: Sequence[Key], error_class: str, error: str) -> None:
    level = list(keys)
    while level:
        waiting = connection.execute(
            sa.select(edges.c.query_id, edges.c.store).where(
                sa.tuple_(edges.c.depends_on, edges.c.depends_store).in_(
                    [(k.query_id, k.store) for k in level]
                ),
                edges.c.waiting,
            )
        ).all()
        if not waiting:
            return
        failed = connection.execute(
            moved(
                "error_waiting",
                sa.tuple_(jobs.c.query_id, jobs.c.store).in_([tuple(row) for row in waiting]),
                error_class=error_class,
                error=error,
                finished_at=sa.func.clock_timestamp(),
            ).returning(jobs.c.query_id, jobs.c.store)
        ).all()
        level = [Key(*row) for row in failed]
        for key in level:
            if key.store == RELEASED:
                notify(connection, DONE_CHANNEL, key.query_id)
