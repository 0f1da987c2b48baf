"""Keeping the store of results within its size: what to drop first, what never, and what nobody knows of any more.

A result is worth keeping if it was used often and lately, cost much time and takes little room: it is ranked by
``ln(uses, decayed) + ln(milliseconds) - ln(bytes)``. Usage decays with each touch of the cache, not with time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, Select

from flowmachine.executors.base import Executor
from flowmachine.executors.postgres import drop_table
from flowmachine.jobs import RELEASED, Key, is_job, trigger
from flowmachine.tables import edges, inputs, intermediate_name, jobs, plan_parts, result_name

#: A result handed out for reading is safe for so long, even where nothing else protects it.
READER_LEASE = timedelta(seconds=60)

#: Sizes below one database page are taken for a page, so that an empty result still has a finite score.
SMALLEST = 8192

#: Key of the advisory lock that makes one cleaner work at a time.
_CLEANER_LOCK = 7_146_001


@dataclass(frozen=True)
class Entry:
    """One stored result; ``score`` is on a logarithmic scale, higher is kept longer."""

    key: Key
    kind: str
    bytes: int
    milliseconds: float
    score: float
    access_count: int
    last_accessed: datetime | None


def entries(connection: sa.Connection) -> list[Entry]:
    """All stored results, the first to be dropped first."""
    return [_entry(row) for row in connection.execute(_ranked())]


def size(connection: sa.Connection) -> int:
    """Bytes of all stored results."""
    stored = jobs.c.state == "completed"
    return int(
        connection.execute(
            sa.select(sa.func.coalesce(sa.func.sum(jobs.c.bytes), 0)).where(stored)
        ).scalar_one()
    )


def size_limit(connection: sa.Connection) -> int:
    """The configured limit in bytes."""
    return int(connection.execute(sa.select(sa.func.cache_max_size())).scalar_one())


def protected_period(connection: sa.Connection) -> timedelta:
    """How long a result is safe after its last use; negative protects none."""
    return timedelta(
        seconds=int(connection.execute(sa.select(sa.func.cache_protected_period())).scalar_one())
    )


def shrink(
    engine: sa.Engine,
    executors: Mapping[str, Executor],
    *,
    limit: int | None = None,
    protected: timedelta | None = None,
    dry_run: bool = False,
) -> Iterator[Entry]:
    """Drop results, the least worth first, until those left fit the limit; yields each dropped one.

    A dry run yields exactly what a real one would. Results that a waiting or running job reads are passed over, as
    are those just handed to a reader.
    """
    with engine.begin() as connection:
        limit = size_limit(connection) if limit is None else limit
        protected = protected_period(connection) if protected is None else protected
        left = size(connection)
        candidates = [_entry(row) for row in connection.execute(_evictable(protected))]
    for entry in candidates:
        if left <= limit:
            return
        if dry_run or _drop(engine, executors, entry.key, _unused(protected)):
            left -= entry.bytes
            yield entry


def invalidate(
    engine: sa.Engine, executors: Mapping[str, Executor], query_id: str, *, cascade: bool = True
) -> list[Key]:
    """Forget the stored results of a query and, with ``cascade``, of all made from it; returns what was dropped."""
    with engine.connect() as connection:
        found = {
            Key(*row)
            for row in connection.execute(
                sa.select(jobs.c.query_id, jobs.c.store).where(jobs.c.query_id == query_id)
            )
        }
        level = list(found)
        while cascade and level:
            above = connection.execute(
                sa.select(edges.c.query_id, edges.c.store).where(
                    sa.tuple_(edges.c.depends_on, edges.c.depends_store).in_(
                        [(k.query_id, k.store) for k in level]
                    )
                )
            )
            level = [key for row in above if (key := Key(*row)) not in found]
            found.update(level)
    return [key for key in sorted(found, key=str) if _drop(engine, executors, key, sa.true())]


def reset(engine: sa.Engine, executors: Mapping[str, Executor]) -> int:
    """Drop every stored result and forget every query; returns how many results there were.

    Raises RuntimeError while a query runs.
    """
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CLEANER_LOCK)))
        rows = connection.execute(
            sa.select(jobs.c.query_id, jobs.c.store, jobs.c.state).with_for_update()
        ).all()
        if any(row.state in ("queued", "executing") for row in rows):
            raise RuntimeError(
                "Queries are queued or running; the cache can be reset when they are done or cancelled."
            )
        for row in rows:
            _discard(connection, executors, Key(row.query_id, row.store))
        for table in (plan_parts, inputs, edges, jobs):
            connection.execute(sa.delete(table))
        connection.execute(sa.select(sa.func.setval("engine.touches", 0, False)))
    return sum(row.state == "completed" for row in rows)


def drop_orphans(engine: sa.Engine, executors: Mapping[str, Executor]) -> list[str]:
    """Remove results that no row names, and rows that name no result; returns the names of what was removed."""
    removed = []
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CLEANER_LOCK)))
        completed = {
            Key(*row)
            for row in connection.execute(
                sa.select(jobs.c.query_id, jobs.c.store).where(jobs.c.state.in_(("completed", "executing")))
            )
        }
        tables = {name for name in sa.inspect(connection).get_table_names(schema="cache") if len(name) == 33}
        named = {_table_of(key) for key in completed}
        for name in sorted(tables - named):
            if name[0] in "xi":
                drop_table(connection, name)
                removed.append(name)
        for key in sorted(completed, key=str):
            missing = key.store in (RELEASED, "postgres") and _table_of(key) not in tables
            if missing and trigger(connection, key, "reset"):
                trigger(connection, key, "finish_resetting")
                removed.append(f"{key.store} {key.query_id}")
        for executor in executors.values():
            removed += executor.drop_unnamed(
                {key.query_id for key in completed if key.store == executor.name}
            )
    return removed


def _ranked() -> Select[Any]:
    below = jobs.alias("below")
    evicted_inputs = (
        sa.select(sa.func.coalesce(sa.func.sum(below.c.compute_ms), 0.0))
        .join(edges, sa.and_(edges.c.depends_on == below.c.query_id, edges.c.depends_store == below.c.store))
        .where(
            edges.c.query_id == jobs.c.query_id, edges.c.store == jobs.c.store, below.c.state != "completed"
        )
        .scalar_subquery()
    )
    cost = sa.func.coalesce(jobs.c.compute_ms, 0.0) + evicted_inputs
    score = (
        sa.func.coalesce(jobs.c.score, 0.0)
        + sa.func.ln(sa.func.greatest(cost, 1.0))
        - sa.func.ln(sa.func.greatest(sa.cast(jobs.c.bytes, sa.Double), float(SMALLEST)))
    )
    return (
        sa.select(jobs, score.label("rank"), cost.label("cost"))
        .where(jobs.c.state == "completed")
        .order_by(score, jobs.c.query_id, jobs.c.store)
    )


def _evictable(protected: timedelta) -> Select[Any]:
    return _ranked().where(_unused(protected))


def _unused(protected: timedelta) -> ColumnElement[bool]:
    """Nobody reads the result, and it was not used lately."""
    above = jobs.alias("above")
    read = (
        sa.exists()
        .where(edges.c.depends_on == jobs.c.query_id, edges.c.depends_store == jobs.c.store)
        .where(above.c.query_id == edges.c.query_id, above.c.store == edges.c.store)
        .where(above.c.state.in_(("queued", "executing")))
    )
    period = protected if protected >= timedelta(0) else timedelta(0)
    if protected >= timedelta(0):
        period = max(period, READER_LEASE)
    old = sa.or_(jobs.c.last_accessed.is_(None), jobs.c.last_accessed <= sa.func.clock_timestamp() - period)
    return sa.and_(~read, old)


def _drop(
    engine: sa.Engine, executors: Mapping[str, Executor], key: Key, condition: ColumnElement[bool]
) -> bool:
    """Drop one result if the condition still holds and nobody has it open; rows and table go in one transaction."""
    try:
        with engine.begin() as connection:
            connection.execute(sa.select(sa.func.set_config("lock_timeout", "1s", True)))
            row = connection.execute(
                sa.select(jobs.c.query_id).where(is_job(key), condition).with_for_update(skip_locked=True)
            ).one_or_none()
            if row is None or not trigger(connection, key, "reset"):
                return False
            _discard(connection, executors, key)
            trigger(connection, key, "finish_resetting")
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "pgcode", None) == "55P03":  # lock not available: somebody reads it
            return False
        raise
    return True


def _discard(connection: sa.Connection, executors: Mapping[str, Executor], key: Key) -> None:
    if key.store == RELEASED:
        drop_table(connection, result_name(key.query_id))
    else:
        executors[key.store].discard(key.query_id, connection)


def _table_of(key: Key) -> str:
    return result_name(key.query_id) if key.store == RELEASED else intermediate_name(key.query_id)


def _entry(row: Any) -> Entry:
    return Entry(
        Key(row.query_id, row.store),
        row.kind,
        row.bytes or 0,
        row.cost,
        row.rank,
        row.access_count,
        row.last_accessed,
    )
