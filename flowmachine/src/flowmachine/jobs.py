"""The job table: one row for each stored or wanted result, its state, its owner and what it waits for.

A row is keyed by query id and store. Stores ``duckdb`` and ``postgres`` hold intermediate results of the two executors;
``released`` holds what a submitted query publishes, and its state is the state of the query.

Every function works in the transaction of the connection it is given, so that a result and its change of state become
visible together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql import ColumnElement

from flowmachine.data import DataState, Day
from flowmachine.executors.base import Stored
from flowmachine.registry import Query
from flowmachine.release import LOWEST_FLOOR, floor
from flowmachine.sql.statements import InsertNew
from flowmachine.tables import edges, intact, jobs, plan_parts, workers

RELEASED = "released"

#: Wakes workers when there may be something to do.
WORK_CHANNEL = "flowmachine_work"
#: Wakes workers when a running job is to stop.
CANCEL_CHANNEL = "flowmachine_cancel"
#: Tells servers the id of a submitted query that is done.
DONE_CHANNEL = "flowmachine_done"

#: What results are recorded to be made with.
CODE_VERSION = version("flowmachine")

#: States of a query that is still to become something else by itself.
PENDING = ("queued", "executing")

#: event -> states it may start from, state it leads to.
TRANSITIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "queue": (("known",), "queued"),
    "execute": (("queued",), "executing"),
    "finish": (("executing",), "completed"),
    "error": (("executing",), "errored"),
    "cancel": (("queued", "executing"), "cancelled"),
    "reset": (("completed", "errored", "cancelled"), "resetting"),
    "finish_resetting": (("resetting",), "known"),
    # A lease that ended, or a part that another part's failure made pointless.
    "expire": (("queued", "executing", "resetting"), "known"),
}

#: A job whose worker died this often is taken to be the cause.
ATTEMPTS = 3

_DESCRIPTIONS = {
    "known": "is known, but has not yet been run",
    "queued": "is queued",
    "executing": "is currently running",
    "completed": "is ready",
    "errored": "finished with an error",
    "cancelled": "was cancelled",
    "resetting": "is being reset",
}


def describe_state(state: str) -> str:
    """The state in words, as messages use it."""
    return _DESCRIPTIONS[state]


def standing(row: Mapping[Any, Any]) -> str:
    """The state of a job for whoever asks, from its row: what was released under a lower floor than the one in force is as
    good as not made."""
    judged_by = LOWEST_FLOOR if row["floor"] is None else row["floor"]
    withdrawn = row["store"] == RELEASED and row["state"] == "completed" and judged_by < floor()
    return "known" if withdrawn else str(row["state"])


@dataclass(frozen=True)
class Key:
    """Names one job."""

    query_id: str
    store: str


@dataclass(frozen=True)
class Progress:
    """Parts of a query that are not stored yet: all of them, and those queued and running."""

    eligible: int
    queued: int
    running: int

    def as_dict(self) -> dict[str, int]:
        return {"eligible": self.eligible, "queued": self.queued, "running": self.running}


class LostLease(Exception):
    """Somebody else owns the job by now; whatever was computed must not be recorded."""


class QueueFull(Exception):
    """As many submitted queries wait or run as may."""


def is_job(key: Key) -> ColumnElement[bool]:
    """The condition that a row of the job table is this job."""
    return sa.and_(jobs.c.query_id == key.query_id, jobs.c.store == key.store)


def find(connection: sa.Connection, key: Key) -> sa.RowMapping | None:
    """The job's row, or None."""
    return connection.execute(sa.select(jobs).where(is_job(key))).mappings().one_or_none()


def summary(connection: sa.Connection, key: Key) -> sa.RowMapping | None:
    """The job's row without its spec and its inputs, which may be megabytes long, or None."""
    return connection.execute(_SUMMARY, _named(key)).mappings().one_or_none()


# Statements that every query runs are made once, here and below: making one takes as long as running it.
_is_named = sa.and_(jobs.c.query_id == sa.bindparam("id"), jobs.c.store == sa.bindparam("kept_in"))
_SUMMARY = sa.select(*(column for column in jobs.c if column.name not in ("spec", "inputs"))).where(_is_named)
_SUMMARY_LOCKED = _SUMMARY.with_for_update()


def _named(key: Key) -> dict[str, str]:
    """Values that make ``_is_named`` mean this job."""
    return {"id": key.query_id, "kept_in": key.store}


def _lock(keys: sa.Subquery) -> sa.Select[Any]:
    """The statement that locks jobs until the transaction ends, in the order in which everybody does."""
    same = sa.and_(jobs.c.query_id == keys.c.query_id, jobs.c.store == keys.c.store)
    return (
        sa.select(jobs.c.query_id)
        .join(keys, same)
        .order_by(jobs.c.query_id, jobs.c.store)
        .with_for_update(of=jobs)
    )


def state(connection: sa.Connection, key: Key) -> str | None:
    """The job's state, or None if there is no such job."""
    found: str | None = connection.execute(sa.select(jobs.c.state).where(is_job(key))).scalar_one_or_none()
    return found


def trigger(connection: sa.Connection, key: Key, event: str, **changes: Any) -> bool:
    """Let an event happen to a job; False, and no change, if its state does not allow it."""
    sources, target = TRANSITIONS[event]
    done = connection.execute(
        sa.update(jobs).where(is_job(key), jobs.c.state.in_(sources)).values(state=target, **changes)
    )
    return done.rowcount == 1


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
    """Make sure that the query is stored, running or queued; returns what ``progress_of`` needs of its row. Raises QueueFull
    if it would have to be queued behind as many as ``queue_limit``.

    ``store`` names an executor for a query that is not to be released, RELEASED for one that is.

    A result made from other data than there is now is computed anew, as is one that failed or was cancelled.
    """
    key = Key(query.query_id, store)
    fingerprints = data.fingerprints(query)
    existing = connection.execute(_SUMMARY_LOCKED, _named(key)).mappings().one_or_none()
    if existing is not None and (
        existing["state"] in ("queued", "executing", "resetting")
        or (standing(existing) == "completed" and existing["fingerprint"] == fingerprints[query.query_id])
    ):
        return existing
    if queue_limit is not None and waiting(connection) >= queue_limit:
        raise QueueFull
    asked = {
        "query_id": key.query_id,
        "state": "queued",
        "planned": False,
        "parts": len(fingerprints) - len(stored_ids(connection, fingerprints)),
        "requested_by": user,
        "request_id": request_id,
    }
    if existing is not None:
        connection.execute(_SUBMIT_AGAIN, asked | _named(key))
        connection.execute(sa.delete(plan_parts).where(plan_parts.c.root == key.query_id))
    elif not connection.execute(
        _SUBMIT, asked | {"store": store, "kind": query.kind, "spec": query.spec()}
    ).rowcount:
        # Two servers were asked at once: the second waited in the insertion until the first had committed its own.
        first = summary(connection, key)
        assert first is not None
        return first
    _notify(connection, WORK_CHANNEL)
    return asked


#: A job that has just been queued, whatever became of it before.
_FRESH: dict[str, Any] = {
    "pending": 0,
    "queued_at": sa.func.clock_timestamp(),
    "attempts": 0,
    "cancel_requested": False,
    "error": None,
    "error_class": None,
    "worker": None,
    "lease_until": None,
    "started_at": None,
    "finished_at": None,
}
_SUBMIT = InsertNew(jobs).values(**_FRESH)
_SUBMIT_AGAIN = sa.update(jobs).where(_is_named).values(**_FRESH)

_STORED = sa.select(jobs.c.query_id, jobs.c.fingerprint).where(
    jobs.c.query_id == sa.any_(sa.bindparam("among", type_=sa.ARRAY(sa.Text))),
    jobs.c.store == sa.func.coalesce(sa.bindparam("only_in", type_=sa.Text), jobs.c.store),
    jobs.c.state == "completed",
)


def stored_ids(
    connection: sa.Connection, fingerprints: Mapping[str, str], store: str | None = None
) -> set[str]:
    """Those of the queries, named by id, that are stored, in any store or in one, and were made from the data that their
    fingerprints stand for."""
    rows = connection.execute(_STORED, {"among": list(fingerprints), "only_in": store})
    return {row.query_id for row in rows if row.fingerprint == fingerprints[row.query_id]}


def waiting(connection: sa.Connection) -> int:
    """How many submitted queries are queued or running."""
    statement = sa.select(sa.func.count()).where(
        jobs.c.store == RELEASED, jobs.c.state.in_(("queued", "executing"))
    )
    return int(connection.execute(statement).scalar_one())


_is_here = sa.and_(
    jobs.c.state == "executing", sa.func.starts_with(jobs.c.worker, sa.bindparam("prefix", type_=sa.Text))
)
#: What waits for nothing but a worker.
_is_ready = sa.and_(jobs.c.state == "queued", jobs.c.planned, jobs.c.pending == 0)

_SHARING = sa.select(
    sa.func.count().filter(_is_here).label("here"), sa.func.count().filter(_is_ready).label("ready")
).where(jobs.c.state.in_(PENDING))


def sharers(connection: sa.Connection, host: str) -> int:
    """Among how many jobs a host's processors are best shared: those that its workers compute now, their names begin with
    its name and a hyphen, as long as others are ready to take the place of each.

    Otherwise each had better take all. Whichever ends first leaves the processors to the rest, which could not use them
    any more once it has begun with few.
    """
    found = connection.execute(_SHARING, {"prefix": f"{host}-"}).one()
    return max(found.here, 1) if found.ready else 1


def progress(connection: sa.Connection, query_id: str) -> Progress:
    """What is still to be done for a submitted query; all zero when its result is stored."""
    row = summary(connection, Key(query_id, RELEASED))
    return Progress(0, 0, 0) if row is None else progress_of(connection, row)


def progress_of(connection: sa.Connection, row: Mapping[Any, Any]) -> Progress:
    """As ``progress``, for the row of a submitted query that the caller has read."""
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


_is_unplanned = sa.and_(jobs.c.state == "queued", ~jobs.c.planned)
_all_unplanned = sa.select(sa.func.count()).select_from(jobs).where(_is_unplanned).scalar_subquery()
_NEXT_UNPLANNED = (
    sa.select(jobs, _all_unplanned.label("unplanned"))
    .where(_is_unplanned)
    .order_by(jobs.c.queued_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def next_unplanned(connection: sa.Connection) -> sa.RowMapping | None:
    """The oldest job that waits to be planned, locked until the transaction ends; with the number of all that wait as
    ``unplanned``."""
    return connection.execute(_NEXT_UNPLANNED).mappings().one_or_none()


_inputs_missing = (
    sa.select(sa.func.count())
    .select_from(edges)
    .where(edges.c.query_id == jobs.c.query_id, edges.c.store == jobs.c.store, edges.c.waiting)
    .scalar_subquery()
)
#: Makes jobs wait for as many inputs as their edges say.
_WAIT = (
    sa.update(jobs)
    .where(
        sa.or_(
            _is_named,
            sa.and_(
                jobs.c.store == sa.bindparam("in_store"),
                jobs.c.query_id == sa.any_(sa.bindparam("among", type_=sa.ARRAY(sa.Text))),
            ),
        )
    )
    .values(pending=_inputs_missing, planned=True)
)


def enqueue_parts(
    connection: sa.Connection,
    job: sa.RowMapping,
    executor: str,
    parts: Sequence[Query],
    needed: Mapping[str, Sequence[str]],
    stored: Callable[[Iterable[str]], set[str]],
) -> None:
    """Queue the parts of the plan of ``job`` and make each wait for those of its inputs that are not stored.

    ``parts`` are the queries without a fresh stored result, sub-queries first, the root last. ``needed`` gives for each
    the ids of its inputs. ``stored`` tells which of some parts are stored and fresh after all: another worker may have
    completed one since it was looked for. Rows are locked, and made, in one order by all planners, so that two plans that
    share parts neither queue one twice nor block each other for good.
    """
    root = Key(job["query_id"], job["store"])
    wanted = {part.query_id: part for part in parts if part.query_id != root.query_id}
    existing = _locked_states(connection, executor, wanted) if wanted else {}
    if completed := [query_id for query_id, state in existing.items() if state == "completed"]:
        for query_id in stored(completed):
            del wanted[query_id], existing[query_id]
    queued = {
        "state": "queued",
        "planned": True,
        "executor": executor,
        "requested_by": job["requested_by"],
        "request_id": job["request_id"],
        **_FRESH,
    }
    fresh = [part for query_id, part in sorted(wanted.items()) if query_id not in existing]
    again = [query_id for query_id, state in existing.items() if state not in ("queued", "executing")]
    if fresh:
        rows = [{"query_id": part.query_id, "kind": part.kind, "spec": part.spec()} for part in fresh]
        connection.execute(
            InsertNew(jobs).values(store=executor, **queued),
            rows,
        )
    if again:
        connection.execute(
            sa.update(jobs)
            .where(jobs.c.store == executor, jobs.c.query_id == _any_of(again))
            .values(**queued)
        )
    started = {part.query_id for part in fresh} | set(again)
    unfinished = set(wanted)
    links: list[dict[str, Any]] = []
    for part in parts:
        store = root.store if part.query_id == root.query_id else executor
        if part.query_id == root.query_id or part.query_id in started:
            links += [
                {
                    "query_id": part.query_id,
                    "store": store,
                    "depends_on": child,
                    "depends_store": executor,
                    "waiting": child in unfinished,
                }
                for child in needed[part.query_id]
            ]
    if links:
        statement = insert(edges)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["query_id", "store", "depends_on", "depends_store"],
                set_={"waiting": statement.excluded.waiting},
            ),
            links,
        )
    planned_before = job["executor"] is not None
    if planned_before and root.store == RELEASED:
        # A former plan may have left it waiting for parts in another store.
        links_of_root = sa.and_(edges.c.query_id == root.query_id, edges.c.store == RELEASED)
        connection.execute(
            sa.update(edges)
            .where(links_of_root, edges.c.depends_store != executor, edges.c.waiting)
            .values(waiting=False)
        )
    started_here = {"among": list(started), "in_store": executor, "executor": executor}
    connection.execute(_WAIT, started_here | _named(root))
    if planned_before:
        connection.execute(sa.delete(plan_parts).where(plan_parts.c.root == root.query_id))
    connection.execute(
        InsertNew(plan_parts),
        [
            {
                "root": root.query_id,
                "query_id": part.query_id,
                "store": root.store if part.query_id == root.query_id else executor,
            }
            for part in parts
        ],
    )
    _notify(connection, WORK_CHANNEL)


def _locked_states(connection: sa.Connection, store: str, ids: Iterable[str]) -> dict[str, str]:
    """The states of jobs in a store by query id, locked in the order of their ids."""
    statement = (
        sa.select(jobs.c.query_id, jobs.c.state)
        .where(jobs.c.store == store, jobs.c.query_id == _any_of(ids))
        .order_by(jobs.c.query_id)
        .with_for_update()
    )
    return {row.query_id: row.state for row in connection.execute(statement)}


_busy = jobs.alias("busy")
_running_of_same_user = (
    sa.select(sa.func.count())
    .where(_busy.c.state == "executing", _busy.c.requested_by.is_not_distinct_from(jobs.c.requested_by))
    .scalar_subquery()
)
_next = (
    sa.select(jobs.c.query_id, jobs.c.store)
    .where(_is_ready)
    .order_by(_running_of_same_user, jobs.c.queued_at)
    .limit(1)
    .with_for_update(skip_locked=True)
    .cte("next")
)
_CLAIM = (
    sa.update(jobs)
    .where(jobs.c.query_id == _next.c.query_id, jobs.c.store == _next.c.store)
    .values(
        state="executing",
        started_at=sa.func.clock_timestamp(),
        lease_until=sa.func.clock_timestamp() + sa.bindparam("lease", type_=sa.Interval),
        attempts=jobs.c.attempts + 1,
    )
    .returning(jobs)
)


def claim(connection: sa.Connection, worker: str, lease: timedelta) -> sa.RowMapping | None:
    """Take a job that waits for nothing; its row, now ``executing`` and owned, or None.

    First come those of the user who has the fewest running, then the oldest, so that a user with thousands of parts
    does not keep another's single one waiting.
    """
    return connection.execute(_CLAIM, {"worker": worker, "lease": lease}).mappings().one_or_none()


def renew(connection: sa.Connection, key: Key, worker: str, lease: timedelta) -> bool:
    """Prolong the lease of the job that a worker computes; whether the job is to be cancelled."""
    wanted = connection.execute(
        sa.update(jobs)
        .where(is_job(key), jobs.c.state == "executing", jobs.c.worker == worker)
        .values(lease_until=sa.func.clock_timestamp() + lease)
        .returning(jobs.c.cancel_requested)
    ).scalar_one_or_none()
    return bool(wanted)


def _touched() -> dict[str, Any]:
    """What one use changes in a job's row.

    The multiplier grows by (1 + ln2/half_life)^t at touch t. It is kept as its logarithm, which never overflows.
    """
    step = sa.func.ln(1 + math.log(2) / sa.cast(sa.func.cache_half_life(), sa.Double))
    turn = sa.cast(sa.func.nextval("engine.touches"), sa.Double)
    # A relation of its own, because each mention of nextval would take another number.
    exponent = sa.select(sa.select((turn * step).label("exponent")).cte("touch").c.exponent).scalar_subquery()
    # exp(-746) is an error in the database, not zero.
    apart = sa.func.least(sa.func.abs(jobs.c.score - exponent), 700.0)
    grown = sa.func.greatest(jobs.c.score, exponent) + sa.func.ln(1.0 + sa.func.exp(-apart))
    return {
        "score": sa.case((jobs.c.score.is_(None), exponent), else_=grown),
        "access_count": jobs.c.access_count + 1,
        "last_accessed": sa.func.clock_timestamp(),
    }


_COMPLETE = (
    sa.update(jobs)
    .where(_is_named, jobs.c.state == "executing", jobs.c.worker == sa.bindparam("owner"))
    .values(
        state="completed",
        finished_at=sa.func.clock_timestamp(),
        lease_until=None,
        cancel_requested=False,
        **_touched(),
    )
)


_wait_for_named = sa.and_(
    edges.c.depends_on == sa.bindparam("id", type_=sa.Text),
    edges.c.depends_store == sa.bindparam("kept_in", type_=sa.Text),
    edges.c.waiting,
)
_LOCK_WITH_WAITING = _lock(
    sa.select(
        sa.bindparam("id", type_=sa.Text).label("query_id"),
        sa.bindparam("kept_in", type_=sa.Text).label("store"),
    )
    .union(sa.select(edges.c.query_id, edges.c.store).where(_wait_for_named))
    .subquery("keys")
)
#: Lets those go on, as far as it is up to this input, who waited for it.
_LET_GO = (
    sa.update(edges).where(_wait_for_named).values(waiting=False).returning(edges.c.query_id, edges.c.store)
)


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
) -> None:
    """Record a stored result and let those go on who waited for it; raises LostLease if the worker is not the owner.

    ``read`` are the loads of the days that the query itself read; its inputs' rows have theirs. ``judged_by`` is the floor
    that a released result was cut to.
    """
    inputs: dict[str, dict[str, str]] = {}
    for (event_type, day), load_id in sorted(read.items()):
        inputs.setdefault(event_type, {})[day.isoformat()] = str(load_id)
    if key.store != RELEASED:
        connection.execute(_LOCK_WITH_WAITING, _named(key))
    result = {
        "inputs": inputs,
        "code_version": CODE_VERSION,
        "compute_ms": milliseconds,
        "rows": stored.rows,
        "bytes": stored.bytes,
        "fingerprint": fingerprint,
        "cells_version": cells_version,
        "floor": judged_by,
    }
    if connection.execute(_COMPLETE, result | _named(key) | {"owner": worker}).rowcount != 1:
        raise LostLease(key)
    if key.store == RELEASED:
        _notify(connection, DONE_CHANNEL, key.query_id)
        return  # Nothing is made from what was cut to leave.
    parents = [tuple(row) for row in connection.execute(_LET_GO, _named(key))]
    if parents:
        connection.execute(
            sa.update(jobs)
            .where(sa.tuple_(jobs.c.query_id, jobs.c.store).in_(parents))
            .values(pending=jobs.c.pending - 1)
        )
        _notify(connection, WORK_CHANNEL)


def fail(connection: sa.Connection, key: Key, worker: str, error_class: str, error: str) -> None:
    """Record why a job failed, on it and on all that wait for it."""
    done = connection.execute(
        sa.update(jobs)
        .where(is_job(key), jobs.c.state == "executing", jobs.c.worker == worker)
        .values(
            state="errored",
            error_class=error_class,
            error=error,
            finished_at=sa.func.clock_timestamp(),
            lease_until=None,
        )
    )
    if done.rowcount == 1:
        _fail_waiting(connection, [key], error_class, error)
        if key.store == RELEASED:
            _notify(connection, DONE_CHANNEL, key.query_id)


def cancelled(connection: sa.Connection, key: Key, worker: str) -> None:
    """Record that a running job was stopped because it was cancelled."""
    if key.store == RELEASED:
        _notify(connection, DONE_CHANNEL, key.query_id)
    connection.execute(
        sa.update(jobs)
        .where(is_job(key), jobs.c.state == "executing", jobs.c.worker == worker)
        .values(
            state="cancelled", finished_at=sa.func.clock_timestamp(), lease_until=None, cancel_requested=False
        )
    )


def give_back(connection: sa.Connection, key: Key, worker: str, *, replan: bool) -> None:
    """Return a job to the queue unfinished: the worker stops, or an input was gone and the job must be planned anew."""
    connection.execute(
        sa.update(jobs)
        .where(is_job(key), jobs.c.state == "executing", jobs.c.worker == worker)
        .values(
            state="queued",
            worker=None,
            lease_until=None,
            planned=not replan,
            attempts=jobs.c.attempts if replan else jobs.c.attempts - 1,
        )
    )
    _notify(connection, WORK_CHANNEL)


def see(connection: sa.Connection, worker: str, ill: str | None) -> None:
    """Note that a worker is alive, and what keeps it from working well; forget those not seen for a day."""
    now = sa.func.clock_timestamp()
    values = {"seen": now, "ill": ill}
    connection.execute(
        insert(workers)
        .values(name=worker, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )
    connection.execute(sa.delete(workers).where(workers.c.seen < now - timedelta(days=1)))


def replan_above(connection: sa.Connection, key: Key, worker: str) -> None:
    """Give up a part that its store cannot compute any more; the submitted queries that wait for it are planned anew."""
    if not connection.execute(
        sa.update(jobs)
        .where(is_job(key), jobs.c.state == "executing", jobs.c.worker == worker)
        .values(state="known", worker=None, lease_until=None, finished_at=sa.func.clock_timestamp())
    ).rowcount:
        return
    level = [key]
    while level:
        above = connection.execute(
            sa.update(edges)
            .where(
                sa.tuple_(edges.c.depends_on, edges.c.depends_store).in_(
                    [(k.query_id, k.store) for k in level]
                ),
                edges.c.waiting,
            )
            .values(waiting=False)
            .returning(edges.c.query_id, edges.c.store)
        ).all()
        level = []
        for found in sorted({Key(*row) for row in above}, key=str):
            waiting = sa.and_(is_job(found), jobs.c.state == "queued")
            if found.store == RELEASED:
                connection.execute(sa.update(jobs).where(waiting).values(planned=False, pending=0))
            elif connection.execute(sa.update(jobs).where(waiting).values(state="known", pending=0)).rowcount:
                level.append(found)
    _notify(connection, WORK_CHANNEL)


def replan_stuck(connection: sa.Connection) -> list[Key]:
    """Plan those jobs anew that wait for a part that nobody is going to compute; returns them.

    That happens when the part was taken from the queue, with the only query that was known to need it, while another
    query that needs it was being planned.
    """
    below = jobs.alias("below")
    alive = (
        sa.exists()
        .where(below.c.query_id == edges.c.depends_on, below.c.store == edges.c.depends_store)
        .where(below.c.state.in_(("queued", "executing")))
    )
    waits_in_vain = (
        sa.exists()
        .where(edges.c.query_id == jobs.c.query_id, edges.c.store == jobs.c.store, edges.c.waiting)
        .where(~alive)
    )
    rows = connection.execute(
        sa.update(jobs)
        .where(jobs.c.state == "queued", jobs.c.planned, jobs.c.pending > 0, waits_in_vain)
        .values(planned=False)
        .returning(jobs.c.query_id, jobs.c.store)
    ).all()
    if rows:
        _notify(connection, WORK_CHANNEL)
    return [Key(*row) for row in rows]


def is_intact(connection: sa.Connection) -> bool:
    """Whether the database has kept its unlogged tables, and so its intermediate results."""
    return bool(connection.execute(sa.select(sa.exists().select_from(intact))).scalar_one())


def forget_lost(connection: sa.Connection) -> int:
    """Forget the intermediate results of the database if it emptied them; returns how many there were.

    They are unlogged, so a server that was not stopped in good order comes back with the tables empty. A row in an
    unlogged table of our own vanishes with them.
    """
    if is_intact(connection):
        return 0
    # Of several workers the first does it, and the others wait here for its commit.
    if connection.execute(InsertNew(intact).values(only_row=True)).rowcount == 0:
        return 0
    return connection.execute(
        sa.update(jobs)
        .where(jobs.c.store == "postgres", jobs.c.state == "completed")
        .values(state="known", fingerprint=None)
    ).rowcount


def requeue_expired(connection: sa.Connection) -> list[Key]:
    """Return jobs of dead workers to the queue; one that outlived several workers is failed. Returns all found."""
    now = sa.func.clock_timestamp()
    expired = sa.and_(jobs.c.state == "executing", jobs.c.lease_until < now)
    hopeless = connection.execute(
        sa.update(jobs)
        .where(expired, jobs.c.attempts >= ATTEMPTS)
        .values(
            state="errored",
            error_class="WorkerDied",
            error=f"The worker that computed this died {ATTEMPTS} times, most likely for lack of memory.",
            finished_at=now,
            lease_until=None,
        )
        .returning(jobs.c.query_id, jobs.c.store)
    ).all()
    dead = [Key(*row) for row in hopeless]
    for key in dead:
        if key.store == RELEASED:
            _notify(connection, DONE_CHANNEL, key.query_id)
    if dead:
        _fail_waiting(
            connection, dead, "WorkerDied", "A worker died repeatedly while computing a part of this query."
        )
    back = connection.execute(
        sa.update(jobs)
        .where(expired)
        .values(state="queued", worker=None, lease_until=None)
        .returning(jobs.c.query_id, jobs.c.store)
    ).all()
    if back:
        _notify(connection, WORK_CHANNEL)
    return dead + [Key(*row) for row in back]


def cancel(connection: sa.Connection, query_id: str) -> str | None:
    """Cancel a submitted query; its state afterwards, or None if it is not known.

    Parts that another live query needs go on; the others are taken from the queue or stopped.
    """
    root = Key(query_id, RELEASED)
    parts = sa.select(plan_parts.c.query_id, plan_parts.c.store).where(plan_parts.c.root == query_id)
    itself = sa.select(sa.literal(query_id).label("query_id"), sa.literal(RELEASED).label("store"))
    connection.execute(_lock(parts.union(itself).subquery("keys")))
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
    connection.execute(
        sa.update(jobs)
        .where(own, jobs.c.state == "queued")
        .values(state="cancelled", finished_at=sa.func.clock_timestamp())
    )
    stopping = connection.execute(
        sa.update(jobs).where(own, jobs.c.state == "executing").values(cancel_requested=True)
    )
    if stopping.rowcount:
        _notify(connection, CANCEL_CHANNEL)
    _notify(connection, DONE_CHANNEL, query_id)
    after = find(connection, root)
    assert after is not None
    return standing(after)


def touch(connection: sa.Connection, key: Key) -> None:
    """Count one use of a stored result in its score."""
    connection.execute(sa.update(jobs).where(is_job(key)).values(**_touched()))


def _fail_waiting(connection: sa.Connection, keys: Sequence[Key], error_class: str, error: str) -> None:
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
            sa.update(jobs)
            .where(
                sa.tuple_(jobs.c.query_id, jobs.c.store).in_([tuple(row) for row in waiting]),
                jobs.c.state == "queued",
            )
            .values(
                state="errored",
                error_class=error_class,
                error=error,
                finished_at=sa.func.clock_timestamp(),
            )
            .returning(jobs.c.query_id, jobs.c.store)
        ).all()
        level = [Key(*row) for row in failed]
        for key in level:
            if key.store == RELEASED:
                _notify(connection, DONE_CHANNEL, key.query_id)


_NOTIFY = sa.select(
    sa.func.pg_notify(sa.bindparam("channel", type_=sa.Text), sa.bindparam("payload", type_=sa.Text))
)


def _notify(connection: sa.Connection, channel: str, payload: str = "") -> None:
    """Wake those who listen, when the transaction commits."""
    connection.execute(_NOTIFY, {"channel": channel, "payload": payload})


def _any_of(ids: Iterable[str]) -> ColumnElement[Any]:
    return sa.any_(sa.literal(list(ids), sa.ARRAY(sa.Text)))
