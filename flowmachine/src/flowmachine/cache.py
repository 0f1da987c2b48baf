"""Keep stored results within their size limit.

A result is worth keeping if it was used often and recently, took long to compute and is small. The rank is
``ln(uses, decayed) + ln(milliseconds) - ln(bytes)``. Usage decays with each touch of the cache, not with
time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from psycopg2.errorcodes import LOCK_NOT_AVAILABLE
from sqlalchemy.sql import ColumnElement, Select

from flowmachine.jobs.table import RELEASED, Key, is_job, trigger
from flowmachine.stores.base import Executor
from flowmachine.stores.cache_tables import drop_table, table_ids
from flowmachine.tables import edges, jobs, plan_parts, result_name

#: A result handed to a reader stays for this long, longer than the API waits for a connection to read it.
#: From then on its open transaction protects the result.
READER_LEASE = timedelta(seconds=180)

#: Smaller sizes count as one database page, so that an empty result still has a finite score.
SMALLEST = 8192

#: Key of the advisory lock that serialises cleaners.
CLEANER_LOCK = 7_146_001


@dataclass(frozen=True)
class Entry:
    """Describe one stored result.

    ``score`` is logarithmic; a higher score is kept longer.
    """

    key: Key
    kind: str
    bytes: int
    milliseconds: float
    score: float
    access_count: int
    last_accessed: datetime | None


def entries(connection: sa.Connection) -> list[Entry]:
    """List all stored results in the order of eviction."""
    return [_entry(row) for row in connection.execute(_ranked())]


def size(connection: sa.Connection) -> int:
    """Return the bytes of all stored results."""
    stored = jobs.c.state == "completed"
    return int(
        connection.execute(
            sa.select(sa.func.coalesce(sa.func.sum(jobs.c.bytes), 0)).where(stored)
        ).scalar_one()
    )


def size_limit(connection: sa.Connection) -> int:
    """Return the configured limit in bytes."""
    return int(connection.execute(sa.select(sa.func.cache_max_size())).scalar_one())


def protected_period(connection: sa.Connection) -> timedelta:
    """Return how long a result is protected after its last use; negative: not at all."""
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
    standing: Collection[str] = (),
) -> Iterator[Entry]:
    """Drop the least valuable results until the rest fits; yield each dropped result.

    A dry run yields exactly what a real run would. Results that a waiting or running job reads are skipped,
    as are results just handed to a reader, results being read and those with the ids ``standing``.
    """
    with engine.begin() as guard:
        # Held to the end, because two concurrent cleaners would drop twice as much as needed.
        if not dry_run:
            guard.execute(sa.select(sa.func.pg_advisory_xact_lock(CLEANER_LOCK)))
        limit = size_limit(guard) if limit is None else limit
        protected = protected_period(guard) if protected is None else protected
        left = size(guard)
        unused = sa.and_(
            _unused(protected), jobs.c.query_id != sa.all_(sa.literal(list(standing), sa.ARRAY(sa.Text)))
        )
        for entry in [_entry(row) for row in guard.execute(_ranked().where(unused))]:
            if left <= limit:
                return
            if dry_run:
                left -= entry.bytes
                yield entry
            elif _drop(engine, executors, entry.key, unused):
                left = size(guard)
                yield entry


def invalidate(
    engine: sa.Engine, executors: Mapping[str, Executor], query_id: str, *, cascade: bool = True
) -> list[Key]:
    """Drop a query's stored results; return the dropped keys.

    With ``cascade``, all dependents are dropped too.
    """
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
    """Drop every stored result and forget every query; return the number of results.

    Raises RuntimeError while a query waits or runs.
    """
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CLEANER_LOCK)))
        rows = connection.execute(
            sa.select(jobs.c.query_id, jobs.c.store, jobs.c.state).with_for_update()
        ).all()
        if any(row.state in ("queued", "executing") for row in rows):
            raise RuntimeError(
                "Queries are queued or running; the cache can be reset when they are done or cancelled."
            )
        for row in rows:
            _discard(connection, executors, Key(row.query_id, row.store))
        # Queries submitted since the rows were locked are not among them, and stay.
        connection.execute(sa.delete(jobs).where(jobs.c.state.not_in(("queued", "executing"))))
        for table, query_id in (
            (plan_parts, plan_parts.c.root),
            (edges, edges.c.query_id),
        ):
            connection.execute(sa.delete(table).where(~sa.exists().where(jobs.c.query_id == query_id)))
        connection.execute(sa.select(sa.func.setval("engine.touches", 0, False)))
    return sum(row.state == "completed" for row in rows)


def drop_orphans(engine: sa.Engine, executors: Mapping[str, Executor]) -> list[str]:
    """Remove results without row and rows without result; return their descriptions."""
    removed = []
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CLEANER_LOCK)))
        # List results before rows: a result that appears in between has a row and is no orphan.
        held = {
            RELEASED: _released(connection),
            **{name: executor.held(connection) for name, executor in executors.items()},
        }
        known = {
            Key(row.query_id, row.store): row.state
            for row in connection.execute(
                sa.select(jobs.c.query_id, jobs.c.store, jobs.c.state).where(
                    jobs.c.state.in_(("completed", "executing"))
                )
            )
        }
        for store, query_ids in held.items():
            for query_id in sorted(query_ids):
                if (key := Key(query_id, store)) not in known:
                    _discard(connection, executors, key)
                    removed.append(f"{store} {query_id}: a result that no record names")
        for key, state in sorted(known.items(), key=str):
            if state != "completed" or key.query_id in held[key.store]:
                continue
            # The result may have been stored since the results were listed.
            now = _released(connection) if key.store == RELEASED else executors[key.store].held(connection)
            if key.query_id not in now and trigger(connection, key, "reset"):
                trigger(connection, key, "finish_resetting")
                removed.append(f"{key.store} {key.query_id}: a record without a result")
    return removed


def tidy(engine: sa.Engine, executors: Mapping[str, Executor]) -> list[str]:
    """Remove unused maps of former cells and tables, and unfinished files.

    Returns the removed names. Maps that are being read stay.
    """
    removed: list[str] = []
    for executor in executors.values():
        with _unless_read(), engine.begin() as connection:
            _wait_briefly(connection)
            version = connection.execute(sa.select(sa.func.cells_version())).scalar_one()
            removed += executor.tidy(version, connection)
    return removed


def _released(connection: sa.Connection) -> set[str]:
    return table_ids(connection, result_name(""))


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


def _unused(protected: timedelta) -> ColumnElement[bool]:
    """Return the condition that no one reads the result and that its last use is old."""
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
    """Drop one result if the condition still holds and the result is not open.

    Rows and table are removed in one transaction.
    """
    with _unless_read(), engine.begin() as connection:
        _wait_briefly(connection)
        row = connection.execute(
            sa.select(jobs.c.query_id).where(is_job(key), condition).with_for_update(skip_locked=True)
        ).one_or_none()
        if row is None or not trigger(connection, key, "reset"):
            return False
        _discard(connection, executors, key)
        trigger(connection, key, "finish_resetting")
        return True
    return False


def _wait_briefly(connection: sa.Connection) -> None:
    connection.execute(sa.select(sa.func.set_config("lock_timeout", "1s", True)))


@contextmanager
def _unless_read() -> Iterator[None]:
    """Roll back the enclosed work if a table is in use."""
    try:
        yield
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise


def _discard(connection: sa.Connection, executors: Mapping[str, Executor], key: Key) -> None:
    if key.store == RELEASED:
        drop_table(connection, result_name(key.query_id))
    else:
        executors[key.store].discard(key.query_id, connection)


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
