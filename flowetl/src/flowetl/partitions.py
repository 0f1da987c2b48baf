"""Build the partition of one day aside, then swap it with the old partition."""

import datetime as dt
import time
from collections.abc import Iterable
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg2.errors
import pyarrow as pa
from psycopg2.extensions import cursor as Cursor
from psycopg2.sql import SQL, Identifier, Literal

from flowetl.copying import PostgresType, copy_into
from flowetl.errors import Busy
from flowetl.events import COLUMNS, CdrType, Kind

LOCK_TIMEOUT = "2s"
SWAP_DEADLINE_SECONDS = 600.0
# Columns of long hexadecimal text gain nothing from thousands of common values, and columns that no query
# joins, filters or groups by need no statistics at all.
STATISTICS_TARGET = 30
DAY_STATISTICS_TARGET = 10
_ANALYSED = ("outgoing", "datetime", "msisdn", "msisdn_counterpart", "location_id", "tac")

_POSTGRES_TYPES: dict[Kind, PostgresType] = {
    "text": "text",
    "identifier": "text",
    "boolean": "boolean",
    "number": "numeric",
    "integer": "numeric",
    "timestamp": "timestamptz",
}


def partition_name(cdr_type: CdrType, date: dt.date) -> str:
    """Return the name, without schema, of a day's partition."""
    return f"{cdr_type}_{date:%Y%m%d}"


def day_bounds(date: dt.date, zone: ZoneInfo) -> tuple[dt.datetime, dt.datetime]:
    """Return a local day's instants: midnight inclusive, next midnight exclusive."""
    midnight = dt.time(tzinfo=zone)
    return dt.datetime.combine(date, midnight), dt.datetime.combine(date + dt.timedelta(days=1), midnight)


class NewPartition:
    """Build a day's table in the caller's transaction, so that a crash leaves nothing."""

    def __init__(
        self, cursor: Cursor, cdr_type: CdrType, date: dt.date, zone: ZoneInfo, load_id: UUID
    ) -> None:
        self._cursor = cursor
        self._columns = COLUMNS[cdr_type]
        self._parent = Identifier("events", cdr_type)
        self._final = partition_name(cdr_type, date)
        self._name = f"{self._final}_{load_id.hex[:8]}"
        self._bounds = tuple(Literal(bound) for bound in day_bounds(date, zone))
        self.table = Identifier("events", self._name)

    def create(self) -> None:
        """Create an empty table like its parent, ready to be attached without a scan.

        Its check makes that possible. Its rows are written frozen and never change, so that there is nothing
        to vacuum. Autovacuum would analyse each day a second time, beside the next days' loads.
        """
        lower, upper = self._bounds
        self._cursor.execute(
            SQL(
                "CREATE TABLE {table} ({columns}, CONSTRAINT day CHECK (datetime >= {lower} AND datetime < {upper})) "
                "WITH (autovacuum_enabled = off)"
            ).format(table=self.table, columns=SQL(self._definition()), lower=lower, upper=upper)
        )

    def _definition(self) -> str:
        """Return the parent's columns as SQL.

        LIKE would lock the parent until the end of the transaction, and two loads that replace days would wait for each
        other.
        """
        self._cursor.execute(
            "SELECT string_agg(format('%%I %%s%%s%%s', attname, format_type(atttypid, atttypmod), "
            "CASE WHEN attcollation <> typcollation THEN ' COLLATE ' || quote_ident(collname) END, "
            "CASE WHEN attnotnull THEN ' NOT NULL' END), ', ' ORDER BY attnum) "
            "FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid LEFT JOIN pg_collation ON pg_collation.oid = attcollation "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            (self._parent.as_string(self._cursor),),
        )
        (columns,) = self._cursor.fetchone() or ("",)
        return str(columns)

    def copy(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Fill the table.

        The table belongs to this transaction, so rows are written frozen and, at ``wal_level`` minimal,
        unlogged.
        """
        statement = SQL("COPY {table} FROM STDIN (FORMAT binary, FREEZE)").format(table=self.table)
        copy_into(
            self._cursor, statement, [_POSTGRES_TYPES[column.kind] for column in self._columns], batches
        )

    def index(self, columns: Iterable[str], threads: int) -> None:
        """Build one B-tree for each column, sorted by up to ``threads`` processes."""
        self._cursor.execute(
            SQL("SET LOCAL max_parallel_maintenance_workers = {}").format(Literal(threads - 1))
        )
        for column in columns:
            self._cursor.execute(
                SQL("CREATE INDEX {index} ON {table} ({column})").format(
                    index=Identifier(f"{self._name}_{column}_idx"),
                    table=self.table,
                    column=Identifier(column),
                )
            )

    def analyse(self) -> None:
        """Analyse the columns that queries join, filter and group by."""
        columns = [Identifier(column.name) for column in self._columns if column.name in _ANALYSED]
        self._cursor.execute(
            SQL("SET LOCAL default_statistics_target = {}").format(Literal(DAY_STATISTICS_TARGET))
        )
        self._cursor.execute(SQL("ANALYZE {} ({})").format(self.table, SQL(", ").join(columns)))

    def attach(self, columns: Iterable[str]) -> None:
        """Replace the old partition.

        Replacing needs a brief exclusive lock on the parent. Waiting long for the lock would block every new
        query, so the wait is short and repeated.

        Raises
        ------
        Busy
            When queries on the event type leave no gap before the deadline.
        """
        deadline = time.monotonic() + SWAP_DEADLINE_SECONDS
        pause = 0.05
        while True:
            self._cursor.execute("SAVEPOINT swap")
            try:
                self._cursor.execute(SQL("SET LOCAL lock_timeout = {}").format(Literal(LOCK_TIMEOUT)))
                self._swap(columns)
                self._cursor.execute("SET LOCAL lock_timeout = 0")
                return
            except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
                self._cursor.execute("ROLLBACK TO SAVEPOINT swap")
                if time.monotonic() > deadline:
                    raise Busy(f"queries on {self._final} left no moment to replace it") from None
                time.sleep(pause)
                pause = min(2 * pause, 5.0)

    def _swap(self, columns: Iterable[str]) -> None:
        execute = self._cursor.execute
        lower, upper = self._bounds
        execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier("events", self._final)))
        execute(SQL("ALTER TABLE {} RENAME TO {}").format(self.table, Identifier(self._final)))
        final = Identifier("events", self._final)
        execute(
            SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                self._parent, final, lower, upper
            )
        )
        execute(SQL("ALTER TABLE {} DROP CONSTRAINT day").format(final))
        for column in columns:
            execute(
                SQL("ALTER INDEX {} RENAME TO {}").format(
                    Identifier("events", f"{self._name}_{column}_idx"),
                    Identifier(f"{self._final}_{column}_idx"),
                )
            )


def drop_partition(cursor: Cursor, cdr_type: CdrType, date: dt.date) -> None:
    """Remove a day's rows from PostgreSQL, if any."""
    cursor.execute(SQL("SET LOCAL lock_timeout = {}").format(Literal(LOCK_TIMEOUT)))
    try:
        cursor.execute(
            SQL("DROP TABLE IF EXISTS {}").format(Identifier("events", partition_name(cdr_type, date)))
        )
    except psycopg2.errors.LockNotAvailable:
        raise Busy(f"a query is reading {partition_name(cdr_type, date)}; try again later") from None


def analyse_parent(cursor: Cursor, cdr_type: CdrType) -> None:
    """Analyse all days' columns that queries join, filter and group by."""
    cursor.execute(SQL("SET default_statistics_target = {}").format(Literal(STATISTICS_TARGET)))
    cursor.execute(SQL("ANALYZE {} (msisdn, location_id, datetime)").format(Identifier("events", cdr_type)))
