"""Read a day of a table or view of an operator's PostgreSQL."""

import datetime as dt
import hashlib
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

import psycopg2
import pyarrow as pa
import pyarrow.csv
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from flowetl import paths
from flowetl.arrival import Delivery, Item, State
from flowetl.errors import ConfigurationError, NotReady, Unreachable
from flowetl.formats import DatabaseTable
from flowetl.lines import RawBatch
from flowetl.source import Source
from flowetl.typed import typed_batch
from flowsettings.lookup import SettingError, setting

_BLOCK_BYTES = 4 << 20
_BLOCKS_WAITING = 2
"""Blocks that are read ahead, so that a table of any size needs the same memory."""
_CONNECT_SECONDS = 5
"""Few, because status asks for each missing day."""

_DATE, _TIMESTAMP, _TIMESTAMPTZ, _NUMERIC = 1082, 1114, 1184, 1700
_DAY_TYPES: Final = (_DATE, _TIMESTAMP, _TIMESTAMPTZ)


@dataclass(frozen=True)
class TableDay:
    """Hold the rows of one day of a table; both the place and what is there."""

    source: Source = field(compare=False)
    table: DatabaseTable
    date: dt.date
    zone: ZoneInfo
    """The zone whose days are those of the deployment."""

    @property
    def name(self) -> str:
        return self.table.full_name

    @property
    def missing(self) -> str:
        return f"{self.name} has no row of {self.date}"

    def look(self) -> Delivery:
        """Count the rows.

        Raises
        ------
        NotReady
            When there is none of the day.
        """
        with _connect(self.table) as connection, connection.cursor() as cursor:
            rows = self._count(cursor)
        if not rows:
            raise NotReady(self.missing)
        return {self: State(rows)}

    def at_rest(self, found: Delivery, pause: float) -> bool:
        """Return whether the day ended long ago; of a table nothing else is known."""
        return dt.datetime.now(self.zone).date() > self.date + dt.timedelta(days=1 + self.source.late.days)

    def there(self) -> str | None:
        with _connect(self.table) as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT EXISTS (SELECT {})").format(self._rows(cursor)))
            return self.name if cursor.fetchone() == (True,) else None

    def uri(self, item: Item) -> str:
        return f"table {self.name}"

    def has_more_than(self, read: Mapping[str, int]) -> bool:
        with _connect(self.table) as connection, connection.cursor() as cursor:
            return self._count(cursor) != read.get(self.uri(self))

    def _count(self, cursor: Cursor) -> int:
        cursor.execute(sql.SQL("SELECT count(*) {}").format(self._rows(cursor)))
        ((rows,),) = cursor.fetchall()
        return int(rows)

    def _rows(self, cursor: Cursor) -> sql.Composable:
        """Return ``FROM`` and ``WHERE`` of the day's rows."""
        table = self.table
        chosen: list[sql.Composable] = [sql.SQL("true")]
        if table.day is not None:
            chosen.append(self._day(table.day, _columns(cursor, table)))
        if table.where:
            chosen.append(sql.SQL("({})").format(sql.SQL(paths.expected(table.where, self.date))))
        return sql.SQL("FROM {} WHERE {}").format(
            sql.Identifier(table.schema_name, table.name), sql.SQL(" AND ").join(chosen)
        )

    def _day(self, column: str, columns: Mapping[str, int]) -> sql.Composable:
        kind = columns.get(column)
        if kind not in _DAY_TYPES:
            told = "is no date or time" if column in columns else "is not among its columns"
            raise ConfigurationError(
                f"{self.source.name}: table.day: {column!r} of {self.name} {told}; choose the day's rows with {{date}} in "
                "table.where instead"
            )
        first, last = self.date, self.date
        if self.source.days == "by_record":
            first -= dt.timedelta(self.source.late.early)
            last += dt.timedelta(self.source.late.days)
        after = last + dt.timedelta(days=1)
        begin, end = (self._moment(kind, date) for date in (first, after))
        return sql.SQL("{column} >= {begin} AND {column} < {end}").format(
            column=sql.Identifier(column), begin=sql.Literal(begin), end=sql.Literal(end)
        )

    def _moment(self, kind: int, date: dt.date) -> dt.date:
        """Return the beginning of one of our days, as the column tells times."""
        if kind == _DATE:
            return date
        midnight = dt.datetime.combine(date, dt.time(), self.zone)
        if kind == _TIMESTAMPTZ:
            return midnight
        return midnight.astimezone(self.source.zone(self.zone)).replace(tzinfo=None)


def newest_day(table: DatabaseTable, zone: ZoneInfo) -> dt.date:
    """Return the day of a table's newest row by its column ``day``; else yesterday."""
    yesterday = dt.datetime.now(zone).date() - dt.timedelta(days=1)
    if table.day is None:
        return yesterday
    with _connect(table) as connection, connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT max({}) FROM {}").format(
                sql.Identifier(table.day), sql.Identifier(table.schema_name, table.name)
            )
        )
        ((newest,),) = cursor.fetchall()
    if isinstance(newest, dt.datetime) and newest.tzinfo is not None:
        newest = newest.astimezone(zone)
    if isinstance(newest, dt.datetime):
        return newest.date()
    return newest if isinstance(newest, dt.date) else yesterday


class TableReader:
    """Read one day of a table as text columns, in one snapshot, without holding it.

    ``sha256`` is that of the rows as they came and is known after the last batch.
    """

    def __init__(self, day: TableDay) -> None:
        self._day = day
        self.sha256 = ""
        self.notes: list[str] = []

    def batches(self) -> Iterator[RawBatch]:
        """Yield every row of the day, numbered from 1.

        Raises
        ------
        ConfigurationError
            When the table or a field is not there, or the role has too few or too many rights.
        Unreachable
            When the database does not answer.
        """
        day = self._day
        source, table = day.source, day.table
        digest = hashlib.sha256()
        first = 1
        with _connect(table) as connection:
            with connection.cursor() as cursor:
                columns = _columns(cursor, table)
                missing = [name for name in source.fields if name not in columns]
                if missing:
                    raise ConfigurationError(
                        f"{source.name}: fields {', '.join(missing)} are not in {day.name}, or its role may not read them; "
                        f"it may read {', '.join(columns) or 'none'}"
                    )
                selected = sql.SQL(", ").join(_text_of(name, columns[name]) for name in source.fields)
                statement = sql.SQL("COPY (SELECT {} {}) TO STDOUT (FORMAT csv)").format(
                    selected, day._rows(cursor)
                )
                text = statement.as_string(cursor)
            for block in _streamed(connection, text):
                digest.update(block)
                records = _parse(block, source.fields)
                yield typed_batch(records.columns, source, first)
                first += records.num_rows
        self.sha256 = digest.hexdigest()


_TEXTS: Final = {
    # A number of a column with decimals would be a text such as 9841000001.0, which no identifier is.
    _NUMERIC: "trim_scale({})",
    # Fractions are written always, and UTC is said, so that one form reads all times.
    _TIMESTAMP: "to_char({}, 'YYYY-MM-DD HH24:MI:SS.US')",
    _TIMESTAMPTZ: "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+0000')",
}


def _text_of(name: str, kind: int) -> sql.Composable:
    return sql.SQL(_TEXTS.get(kind, "{}")).format(sql.Identifier(name))


def _parse(block: bytes, fields: tuple[str, ...]) -> pa.Table:
    """Read whole rows as PostgreSQL writes them: a null is empty without quotes."""
    return pyarrow.csv.read_csv(
        pa.BufferReader(block),
        pyarrow.csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=fields),
        pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(fields, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    ).combine_chunks()


class _Stopped(Exception):
    """End a COPY whose rows nobody wants any more."""


class _Blocks:
    """Take a COPY's rows, one at a time, and hand them on in blocks."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[bytes | Exception | None] = queue.Queue(_BLOCKS_WAITING)
        self.stopped = threading.Event()
        self._rows: list[bytes] = []
        self._size = 0

    def write(self, row: bytes) -> None:
        self._rows.append(row)
        self._size += len(row)
        if self._size >= _BLOCK_BYTES:
            self.pass_on()

    def pass_on(self) -> None:
        if self._rows:
            self.put(b"".join(self._rows))
            self._rows, self._size = [], 0

    def put(self, given: bytes | Exception | None) -> None:
        while not self.stopped.is_set():
            try:
                return self.waiting.put(given, timeout=0.2)
            except queue.Full:
                continue
        raise _Stopped


def _streamed(connection: Connection, statement: str) -> Iterator[bytes]:
    """Yield a COPY's blocks of whole rows while another thread receives them.

    psycopg2 pushes a row at a time; a bounded queue makes it wait for the reader.
    """
    blocks = _Blocks()

    def receive() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.copy_expert(statement, blocks)
            blocks.pass_on()
            blocks.put(None)
        except _Stopped:
            pass
        except Exception as error:
            with suppress(_Stopped):
                blocks.put(error)

    thread = threading.Thread(target=receive, name="rows of a table", daemon=True)
    thread.start()
    try:
        while (block := blocks.waiting.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block
        thread.join()
    finally:
        if thread.is_alive():
            blocks.stopped.set()
            connection.cancel()
            thread.join()


@contextmanager
def _connect(table: DatabaseTable) -> Iterator[Connection]:
    """Open a read-only snapshot of the operator's database with a harmless role.

    Raises
    ------
    ConfigurationError
        When the secret is missing or no connection string, or the role may do more than read.
    Unreachable
        When the database does not answer.
    """
    try:
        secret = setting(table.dsn_secret)
    except SettingError as error:
        raise ConfigurationError(str(error)) from error
    try:
        connection = psycopg2.connect(secret, application_name="flowetl", connect_timeout=_CONNECT_SECONDS)
    except psycopg2.OperationalError as error:
        raise _unreachable(error, table) from None
    except psycopg2.Error:
        # The text of this error quotes the secret.
        raise ConfigurationError(
            f"{table.dsn_secret} is no connection string; it must be such as host=... dbname=... user=... password=..."
        ) from None
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'")
            _require_reader(cursor, table)
        yield connection
    except psycopg2.ProgrammingError as error:
        raise ConfigurationError(
            f"{table.full_name} cannot be read: {error.diag.message_primary}. Correct table, or grant SELECT on it to the "
            f"role of {table.dsn_secret}"
        ) from None
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise _unreachable(error, table) from None
    finally:
        connection.close()


def _unreachable(error: psycopg2.Error, table: DatabaseTable) -> Unreachable:
    return Unreachable(error, f"{table.dsn_secret} is", f"the database of {table.full_name}")


def _require_reader(cursor: Cursor, table: DatabaseTable) -> None:
    """Check that the role can change nothing, so that no mistake of ours can."""
    cursor.execute(
        "SELECT rolname, rolsuper, has_table_privilege(pg_class.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') "
        "FROM pg_roles LEFT JOIN (pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace) "
        "ON nspname = %s AND relname = %s WHERE rolname = current_user",
        (table.schema_name, table.name),
    )
    ((role, is_superuser, may_change),) = cursor.fetchall()
    if may_change is None:
        raise ConfigurationError(
            f"{table.full_name} is not in the database of {table.dsn_secret}: correct table.schema and table.name"
        )
    if is_superuser or may_change:
        raise ConfigurationError(
            f"the role {role} of {table.dsn_secret} may change {table.full_name}: give the loader a role that may only read "
            f"it, by CREATE ROLE ... LOGIN and GRANT SELECT ON {table.full_name}"
        )


def _columns(cursor: Cursor, table: DatabaseTable) -> dict[str, int]:
    """Return the types of the columns that the role may read."""
    cursor.execute(
        "SELECT attname, atttypid::bigint FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = %s AND relname = %s AND attnum > 0 "
        "AND NOT attisdropped AND has_column_privilege(pg_class.oid, attnum, 'SELECT') ORDER BY attnum",
        (table.schema_name, table.name),
    )
    return dict(cursor.fetchall())
