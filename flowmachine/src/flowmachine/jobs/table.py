"""Define the job table: a row for each stored or wanted result.

A row holds the state, the owner and the dependencies of a result. The key is query id and store. Stores
``duckdb`` and ``postgres`` hold intermediate results of the two executors. ``released`` holds the result that
a submitted query publishes, and its state is the state of the query.

Every function works in the transaction of the given connection, so that a result and its change of state
become visible together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement

from flowmachine.settings import LOWEST_FLOOR
from flowmachine.spec.published import floor
from flowmachine.tables import jobs

RELEASED = "released"

#: Wakes workers when there may be work.
WORK_CHANNEL = "flowmachine_work"

#: Wakes workers when a running job is to stop.
CANCEL_CHANNEL = "flowmachine_cancel"

#: Tells servers the id of a submitted query that is done.
DONE_CHANNEL = "flowmachine_done"

#: Version that results are recorded with.
CODE_VERSION = version("flowmachine")

#: States of a query that will still change by itself.
PENDING = ("queued", "executing")

#: Event to its allowed states and its new state. A row begins in ``FIRST_STATE``.
TRANSITIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    # A stored result is computed again when the data have changed since.
    "queue": (("known", "completed", "errored", "cancelled"), "queued"),
    "execute": (("queued",), "executing"),
    # The worker stopped or died, or an input vanished.
    "give_back": (("executing",), "queued"),
    "finish": (("executing",), "completed"),
    "error": (("executing",), "errored"),
    # An input failed.
    "error_waiting": (("queued",), "errored"),
    "cancel": (("queued", "executing"), "cancelled"),
    # The database lost the result.
    "forget": (("completed",), "known"),
    "reset": (("completed", "errored", "cancelled"), "resetting"),
    "finish_resetting": (("resetting",), "known"),
    # The lease ended, or another part's failure made this part pointless.
    "expire": (("queued", "executing", "resetting"), "known"),
}

#: State of a new row.
FIRST_STATE = "queued"

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
    """Return the state in words, as messages use it."""
    return _DESCRIPTIONS[state]


def shown_state(row: Mapping[Any, Any]) -> str:
    """Return a job's state for callers.

    A result released under a floor below the present floor counts as not yet made.
    """
    judged_by = LOWEST_FLOOR if row["floor"] is None else row["floor"]
    withdrawn = row["store"] == RELEASED and row["state"] == "completed" and judged_by < floor()
    return "known" if withdrawn else str(row["state"])


@dataclass(frozen=True)
class Key:
    """Name one job."""

    query_id: str
    store: str


def is_job(key: Key) -> ColumnElement[bool]:
    """Return the condition that a row of the job table is this job."""
    return sa.and_(jobs.c.query_id == key.query_id, jobs.c.store == key.store)


def find(connection: sa.Connection, key: Key) -> sa.RowMapping | None:
    """Return the job's row, or None."""
    return connection.execute(sa.select(jobs).where(is_job(key))).mappings().one_or_none()


def summary(connection: sa.Connection, key: Key) -> sa.RowMapping | None:
    """Return the job's row without spec and inputs, or None.

    Spec and inputs may be megabytes long.
    """
    return connection.execute(_SUMMARY, named(key)).mappings().one_or_none()


# Statements of every query are built once, here and below, because building takes as long as running.
is_named = sa.and_(jobs.c.query_id == sa.bindparam("id"), jobs.c.store == sa.bindparam("kept_in"))

_SUMMARY = sa.select(*(column for column in jobs.c if column.name not in ("spec", "inputs"))).where(is_named)

SUMMARY_LOCKED = _SUMMARY.with_for_update()


def named(key: Key) -> dict[str, str]:
    """Return the values that make ``is_named`` match this job."""
    return {"id": key.query_id, "kept_in": key.store}


def lock(keys: sa.Subquery) -> sa.Select[Any]:
    """Return the statement that locks jobs in the order common to all callers."""
    same = sa.and_(jobs.c.query_id == keys.c.query_id, jobs.c.store == keys.c.store)
    return (
        sa.select(jobs.c.query_id)
        .join(keys, same)
        .order_by(jobs.c.query_id, jobs.c.store)
        .with_for_update(of=jobs)
    )


def state(connection: sa.Connection, key: Key) -> str | None:
    """Return the job's state, or None if there is no such job."""
    found: str | None = connection.execute(sa.select(jobs.c.state).where(is_job(key))).scalar_one_or_none()
    return found


def moved(event: str, *conditions: ColumnElement[bool], **changes: Any) -> sa.Update:
    """Return the update that applies an event to jobs whose state allows the event.

    No other statement changes a state.
    """
    sources, target = TRANSITIONS[event]
    allowed = jobs.c.state == sources[0] if len(sources) == 1 else jobs.c.state.in_(sources)
    return sa.update(jobs).where(*conditions, allowed).values(state=target, **changes)


def trigger(connection: sa.Connection, key: Key, event: str, **changes: Any) -> bool:
    """Apply an event to a job; return False without change if its state forbids it."""
    return connection.execute(moved(event, is_job(key), **changes)).rowcount == 1


#: Columns of a newly queued job, whatever its past.
FRESH: dict[str, Any] = {
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

_STORED = sa.select(jobs.c.query_id, jobs.c.fingerprint).where(
    jobs.c.query_id == sa.any_(sa.bindparam("among", type_=sa.ARRAY(sa.Text))),
    jobs.c.store == sa.func.coalesce(sa.bindparam("only_in", type_=sa.Text), jobs.c.store),
    jobs.c.state == "completed",
)


def stored_ids(
    connection: sa.Connection, fingerprints: Mapping[str, str], store: str | None = None
) -> set[str]:
    """Return the ids of queries that are stored and fresh by their fingerprints.

    All stores count, or the given store.
    """
    rows = connection.execute(_STORED, {"among": list(fingerprints), "only_in": store})
    return {row.query_id for row in rows if row.fingerprint == fingerprints[row.query_id]}


def touched() -> dict[str, Any]:
    """Return the columns that one use changes in a job's row.

    The multiplier grows by (1 + ln2/half_life)^t at touch t. Its logarithm is stored, which never overflows.
    """
    step = sa.func.ln(1 + math.log(2) / sa.cast(sa.func.cache_half_life(), sa.Double))
    turn = sa.cast(sa.func.nextval("engine.touches"), sa.Double)
    # A separate relation, because each mention of nextval would take another number.
    exponent = sa.select(sa.select((turn * step).label("exponent")).cte("touch").c.exponent).scalar_subquery()
    # exp(-746) is an error in the database, not zero.
    apart = sa.func.least(sa.func.abs(jobs.c.score - exponent), 700.0)
    grown = sa.func.greatest(jobs.c.score, exponent) + sa.func.ln(1.0 + sa.func.exp(-apart))
    return {
        "score": sa.case((jobs.c.score.is_(None), exponent), else_=grown),
        "access_count": jobs.c.access_count + 1,
        "last_accessed": sa.func.clock_timestamp(),
    }


def touch(connection: sa.Connection, key: Key) -> None:
    """Count one use of a stored result in its score."""
    connection.execute(sa.update(jobs).where(is_job(key)).values(**touched()))


_NOTIFY = sa.select(
    sa.func.pg_notify(sa.bindparam("channel", type_=sa.Text), sa.bindparam("payload", type_=sa.Text))
)


def notify(connection: sa.Connection, channel: str, payload: str = "") -> None:
    """Wake listeners when the transaction commits."""
    connection.execute(_NOTIFY, {"channel": channel, "payload": payload})


def any_of(ids: Iterable[str]) -> ColumnElement[Any]:
    return sa.any_(sa.literal(list(ids), sa.ARRAY(sa.Text)))
