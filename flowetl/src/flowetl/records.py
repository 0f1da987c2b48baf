"""Record the history of loads: their states and reasons."""

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from flowetl import __version__
from flowetl.columnar import DayFiles
from flowetl.errors import Busy
from flowetl.events import CdrType
from flowetl.source import Source

TRANSIENT_STATES = ("expected", "waiting", "loading", "checking")


@dataclass
class Load:
    """Describe one attempt to load one day."""

    source: Source
    date: dt.date
    key_id: str | None
    load_id: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def cdr_type(self) -> CdrType:
        return self.source.cdr_type


@contextmanager
def day_lock(connection: Connection, cdr_type: str, date: dt.date) -> Iterator[None]:
    """Lock a day against other loaders.

    The lock ends with the connection, so a killed loader holds nothing.

    Raises
    ------
    Busy
        When another process is at work on the day.
    """
    with connection.cursor() as cursor:
        name = _lock_name(cdr_type, date)
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,))
        if cursor.fetchone() != (True,):
            raise Busy(f"{cdr_type} of {date} is being loaded by another process")
        try:
            yield
        finally:
            try:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (name,))
            except psycopg2.Error:
                # The earlier error is the cause. The lock ends with the connection.
                connection.close()


def is_held(cursor: Cursor, cdr_type: str, date: dt.date) -> bool:
    """Return whether a loader is working on a day now.

    The lock is looked up instead of tried, because a loader starting at that moment would find the day taken.
    """
    cursor.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND (classid::bigint << 32 | objid::bigint) = hashtextextended(%s, 0))",
        (_lock_name(cdr_type, date),),
    )
    return cursor.fetchone() == (True,)


def _lock_name(cdr_type: str, date: dt.date) -> str:
    return f"flowetl {cdr_type} {date}"


@contextmanager
def transaction(connection: Connection) -> Iterator[Cursor]:
    """Run one transaction of an autocommit connection.

    A connection lost inside does not hide the cause.
    """
    connection.autocommit = False
    try:
        with connection.cursor() as cursor:
            yield cursor
        connection.commit()
    except BaseException:
        with suppress(psycopg2.Error):
            connection.rollback()
        raise
    finally:
        if not connection.closed:
            connection.autocommit = True


def end_interrupted(cursor: Cursor, cdr_type: CdrType, date: dt.date) -> list[str]:
    """Close the records of a day's killed loads; return their load ids.

    The caller holds the day's lock.
    """
    cursor.execute(
        "WITH ended AS (UPDATE etl.loads SET state = 'failed', finished = clock_timestamp(), note = 'interrupted' "
        "WHERE cdr_type = %s AND cdr_date = %s AND state = ANY (%s) RETURNING *) "
        "INSERT INTO etl.etl_records (cdr_type, cdr_date, state, timestamp, load_id, source, note) "
        "SELECT cdr_type, cdr_date, state, finished, load_id, source, note FROM ended RETURNING load_id::text",
        (cdr_type, date, list(TRANSIENT_STATES)),
    )
    return [load_id for (load_id,) in cursor.fetchall()]


def begin(cursor: Cursor, load: Load) -> None:
    """Record a new attempt.

    Earlier unfinished attempts of the day were killed, because the day's lock is ours.
    """
    end_interrupted(cursor, load.cdr_type, load.date)
    cursor.execute(
        "INSERT INTO etl.loads (load_id, source, cdr_type, cdr_date, state, mapping_version, code_version, key_id) "
        "VALUES (%s, %s, %s, %s, 'waiting', %s, %s, %s)",
        (
            str(load.load_id),
            load.source.name,
            load.cdr_type,
            load.date,
            load.source.mapping_version,
            __version__,
            load.key_id,
        ),
    )
    append(cursor, load, "waiting")


def advance(cursor: Cursor, load: Load, state: str) -> None:
    """Record that a load has entered a transient state."""
    cursor.execute("UPDATE etl.loads SET state = %s WHERE load_id = %s", (state, str(load.load_id)))
    append(cursor, load, state)


def append(
    cursor: Cursor,
    load: Load,
    state: str,
    *,
    rows: int | None = None,
    size: int | None = None,
    note: str | None = None,
) -> None:
    """Append one row to the history."""
    cursor.execute(
        "INSERT INTO etl.etl_records (cdr_type, cdr_date, state, timestamp, load_id, source, rows, bytes, note) "
        "VALUES (%s, %s, %s, clock_timestamp(), %s, %s, %s, %s, %s)",
        (load.cdr_type, load.date, state, str(load.load_id), load.source.name, rows, size, note),
    )


def fail(cursor: Cursor, load: Load, note: str, state: Literal["failed", "held"] = "failed") -> None:
    """Record that a load stopped; the day's previous load, if any, stays visible."""
    cursor.execute(
        "UPDATE etl.loads SET state = %s, finished = clock_timestamp(), note = %s WHERE load_id = %s",
        (state, note, str(load.load_id)),
    )
    append(cursor, load, state, note=note)


def current_load(cursor: Cursor, cdr_type: CdrType, date: dt.date) -> uuid.UUID | None:
    """Return the load behind a visible day."""
    cursor.execute(
        "SELECT load_id::text FROM etl.current_loads WHERE cdr_type = %s AND cdr_date = %s", (cdr_type, date)
    )
    row = cursor.fetchone()
    return uuid.UUID(row[0]) if row else None


def name_files(
    cursor: Cursor, cdr_type: CdrType, date: dt.date, load_id: uuid.UUID, rows: int, files: DayFiles
) -> None:
    """Name a day's files in the manifest, in place of others."""
    events, tally = files.events, files.tally
    cursor.execute(
        "INSERT INTO etl.columnar_files (cdr_type, cdr_date, load_id, path, rows, bytes, sha256, "
        "tally_path, tally_bytes, tally_sha256) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (cdr_type, cdr_date) DO UPDATE SET load_id = excluded.load_id, path = excluded.path, "
        "rows = excluded.rows, bytes = excluded.bytes, sha256 = excluded.sha256, "
        "tally_path = excluded.tally_path, tally_bytes = excluded.tally_bytes, tally_sha256 = excluded.tally_sha256",
        (
            *(cdr_type, date, str(load_id), events.path, rows, events.bytes, events.sha256),
            *(tally.path, tally.bytes, tally.sha256),
        ),
    )


def dropped_days(cursor: Cursor, cdr_type: str) -> set[dt.date]:
    """List one event type's days that were withdrawn and not loaded since."""
    cursor.execute(
        "SELECT cdr_date FROM etl.etl_records WHERE cdr_type = %s AND state = 'dropped' "
        "EXCEPT SELECT cdr_date FROM etl.available_dates WHERE cdr_type = %s",
        (cdr_type, cdr_type),
    )
    return {date for (date,) in cursor.fetchall()}


def set_absent(cursor: Cursor, cdr_type: str, date: dt.date, reason: str | None) -> None:
    """Record why a day will have no file; None removes the record."""
    cursor.execute("DELETE FROM etl.absent_days WHERE cdr_type = %s AND cdr_date = %s", (cdr_type, date))
    if reason is not None:
        cursor.execute(
            "INSERT INTO etl.absent_days (cdr_type, cdr_date, reason) VALUES (%s, %s, %s)",
            (cdr_type, date, reason),
        )


def absent_days(cursor: Cursor, cdr_type: str) -> set[dt.date]:
    """List one event type's days without a file, as the operator says."""
    cursor.execute("SELECT cdr_date FROM etl.absent_days WHERE cdr_type = %s", (cdr_type,))
    return {date for (date,) in cursor.fetchall()}


def available_days(cursor: Cursor, cdr_type: CdrType) -> set[dt.date]:
    """List the visible days of one event type."""
    cursor.execute("SELECT cdr_date FROM etl.available_dates WHERE cdr_type = %s", (cdr_type,))
    return {date for (date,) in cursor.fetchall()}
