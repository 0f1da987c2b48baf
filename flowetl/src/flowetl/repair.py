"""Rebuild missing or damaged columnar files from PostgreSQL.

The load stays the same, and so do results made from it: only the file and its checksum are new. The engine
lists faulty files in ``etl.damaged_files`` and meanwhile computes in PostgreSQL.
"""

import datetime as dt
import select
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import structlog
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.sql import SQL, Composable, Identifier

from flowetl import columnar, dictionary, records
from flowetl.deployment import Deployment, available_cores
from flowetl.errors import DataFault, LoadError, UnexpectedFault
from flowetl.events import COLUMNS, CdrType, Column
from flowetl.partitions import partition_name
from flowetl.records import day_lock
from flowetl.spill import spill_folder
from flowetl.staging import MEMORY_LIMIT, write_day

_log = structlog.get_logger(__name__)

CHANNEL = "flowetl_damaged_files"

#: Seconds between looks at the list of damaged files without a notice.
LOOK_AGAIN = 60.0

#: Seconds before reconnecting to a lost database.
PAUSE = 5.0

_SENT = {
    "text": pa.string(),
    "identifier": pa.int64(),
    "boolean": pa.bool_(),
    "number": pa.float64(),
    "integer": pa.int32(),
    # Microseconds since 1970, which no text format can distort.
    "timestamp": pa.int64(),
}


@dataclass(frozen=True)
class ExaminedDay:
    """Hold a manifest row and the faults of its files: ``missing`` or ``damaged``.

    ``faults`` are by path; files without one are left out.
    """

    cdr_type: CdrType
    date: dt.date
    load_id: UUID
    path: str
    rows: int
    faults: Mapping[str, str]


def examine(deployment: Deployment, *, listed: bool = False) -> list[ExaminedDay]:
    """Compare files with the manifest by reading them whole.

    All files are compared, or only those of days ``listed`` by the engine. A day that was loaded before there were
    tallies lacks its own.
    """
    statement = (
        "SELECT cdr_type, cdr_date, load_id::text, path, rows, bytes, sha256, tally_path, tally_bytes, tally_sha256 "
        "FROM etl.columnar_files AS files "
        "WHERE NOT %s OR EXISTS (SELECT FROM etl.damaged_files AS damaged "
        "WHERE damaged.cdr_type = files.cdr_type AND damaged.cdr_date = files.cdr_date) ORDER BY 1, 2"
    )
    with deployment.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement, (listed,))
        rows = cursor.fetchall()
    return [_examined(deployment.columnar, *row) for row in rows]


def _examined(
    folder: Path,
    cdr_type: CdrType,
    date: dt.date,
    load_id: str,
    path: str,
    rows: int,
    size: int,
    sha256: str,
    tally: str | None,
    tally_size: int,
    tally_sha256: str,
) -> ExaminedDay:
    load = UUID(load_id)
    found = {path: columnar.fault_of(folder / path, size, sha256)}
    if tally is None:
        found[columnar.tally_path(cdr_type, date, load)] = "missing"
    else:
        found[tally] = columnar.fault_of(folder / tally, tally_size, tally_sha256)
    faults = {path: fault for path, fault in found.items() if fault is not None}
    return ExaminedDay(cdr_type, date, load, path, rows, faults)


def repair(deployment: Deployment, *, listed: bool = False) -> Iterator[tuple[ExaminedDay, LoadError | None]]:
    """Rebuild the faulty files, or those ``listed``; yield each day with any error.

    A day being loaded is left to its loader. Wrong or outdated entries are removed from the list.
    """
    for found in examine(deployment, listed=listed):
        fault: LoadError | None = None
        if found.faults:
            try:
                rebuild(deployment, found.cdr_type, found.date, only_tally=found.path not in found.faults)
            except LoadError as error:
                fault = error
            except Exception as error:
                fault = UnexpectedFault(error)
            yield found, fault
        if fault is None:
            with deployment.connect() as connection, connection.cursor() as cursor:
                cursor.execute(
                    "DELETE FROM etl.damaged_files WHERE cdr_type = %s AND cdr_date = %s",
                    (found.cdr_type, found.date),
                )
    with deployment.connect() as connection, connection.cursor() as cursor:
        # A day without a file cannot be damaged.
        cursor.execute(
            "DELETE FROM etl.damaged_files WHERE (cdr_type, cdr_date) NOT IN "
            "(SELECT cdr_type, cdr_date FROM etl.columnar_files)"
        )


def rebuild(deployment: Deployment, cdr_type: CdrType, date: dt.date, *, only_tally: bool = False) -> None:
    """Rebuild a day's columnar files from its partition under the visible load.

    ``only_tally`` counts the events of the day's file, which is whole.

    Raises
    ------
    Busy
        When the day is being loaded.
    DataFault
        When the partition is not what was loaded, so that only another load can help.
    """
    with (
        deployment.connect() as connection,
        day_lock(connection, cdr_type, date),
        records.transaction(connection) as cursor,
    ):
        # The files are in place before their row commits: in between, the engine treats them as damaged and
        # does without.
        if only_tally:
            load_id, path = _visible(cursor, cdr_type, date)[:2]
            tally = columnar.publish_tally(deployment.columnar, cdr_type, date, load_id, path)
            cursor.execute(
                "UPDATE etl.columnar_files SET tally_path = %s, tally_bytes = %s, tally_sha256 = %s "
                "WHERE cdr_type = %s AND cdr_date = %s",
                (tally.path, tally.bytes, tally.sha256, cdr_type, date),
            )
        else:
            load_id, rows = _load_to_rebuild(cursor, cdr_type, date)
            files = columnar.publish_day(
                deployment.columnar,
                cdr_type,
                date,
                load_id,
                lambda path: write_partition(cursor, cdr_type, date, deployment.zone, path),
            )
            records.name_files(cursor, cdr_type, date, load_id, rows, files)
    _log.info(
        "tally rebuilt" if only_tally else "columnar file rebuilt",
        cdr_type=cdr_type,
        date=str(date),
        load_id=str(load_id),
    )


def watch(deployment: Deployment, stopping: threading.Event) -> None:
    """Rebuild files as soon as the engine lists them, until told to stop.

    A lost database is waited for.
    """
    while not stopping.is_set():
        try:
            with deployment.connect() as connection, connection.cursor() as cursor:
                cursor.execute(SQL("LISTEN {}").format(Identifier(CHANNEL)))
                while not stopping.is_set():
                    failed = False
                    for day, fault in repair(deployment, listed=True):
                        if fault is not None:
                            failed = True
                            _log.error(
                                "not rebuilt", cdr_type=day.cdr_type, date=str(day.date), cause=str(fault)
                            )
                    end = time.monotonic() + LOOK_AGAIN
                    while time.monotonic() < end and not stopping.is_set():
                        # Do not retry a failed file for every query that would have read it.
                        if _told(connection) and not failed:
                            break
        except (LoadError, psycopg2.Error, OSError) as error:
            _log.error("not watching for damaged files", error=type(error).__name__)
            stopping.wait(PAUSE)


def _told(connection: Connection) -> bool:
    """Return whether a notice arrived within a second."""
    if not connection.notifies and select.select([connection], [], [], 1.0)[0]:
        connection.poll()
    told = bool(connection.notifies)
    connection.notifies.clear()
    return told


def _visible(cursor: Cursor, cdr_type: CdrType, date: dt.date) -> tuple[UUID, str, int]:
    """Return the visible load of a day's file, its path and rows; lock its row."""
    cursor.execute(
        "SELECT load_id::text, path, rows FROM etl.columnar_files WHERE cdr_type = %s AND cdr_date = %s FOR UPDATE",
        (cdr_type, date),
    )
    row = cursor.fetchone()
    if row is None or records.current_load(cursor, cdr_type, date) != UUID(row[0]):
        raise DataFault(f"{cdr_type} of {date} is not visible as its file was written; load the day again")
    return UUID(row[0]), row[1], row[2]


def _load_to_rebuild(cursor: Cursor, cdr_type: CdrType, date: dt.date) -> tuple[UUID, int]:
    """Return the load of a day's file and its rows, if complete in the partition."""
    load_id, _, rows = _visible(cursor, cdr_type, date)
    name = partition_name(cdr_type, date)
    cursor.execute("SELECT to_regclass(format('events.%%I', %s::text))", (name,))
    if cursor.fetchone() == (None,):
        raise DataFault(f"{name} is gone; load the day again")
    cursor.execute(SQL("SELECT count(*) FROM {}").format(Identifier("events", name)))
    (found,) = cursor.fetchone() or (0,)
    if found != rows:
        raise DataFault(f"{name} has {found} rows where {rows} were loaded; load the day again")
    return load_id, rows


def write_partition(cursor: Cursor, cdr_type: CdrType, date: dt.date, zone: ZoneInfo, path: Path) -> None:
    """The rows of a partition as a columnar file; on the way only keys touch the disk."""
    table = Identifier("events", partition_name(cdr_type, date))
    columns = [column for column in COLUMNS[cdr_type] if column.columnar and column.name != "id"]
    kinds = {column.name: _SENT[column.kind] for column in columns} | {"event_id": pa.int64()}
    selected = SQL(", ").join([*map(_sent, columns), SQL("subscriber_key(id)")])
    cursor.execute(SQL("SELECT DISTINCT location_id FROM {} WHERE location_id IS NOT NULL").format(table))
    keys = dictionary.location_keys(cursor, sorted(location for (location,) in cursor.fetchall()))
    with spill_folder() as spill:
        rows = Path(spill) / "rows.csv"
        with rows.open("wb") as stream:
            cursor.copy_expert(
                SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT csv)").format(selected, table), stream
            )
        day = duckdb.connect(
            config={"memory_limit": MEMORY_LIMIT, "temp_directory": spill, "threads": available_cores()}
        )
        try:
            day.execute("SET preserve_insertion_order = false")
            day.execute("SET enable_progress_bar = false")
            for number, batch in enumerate(_batches(rows, kinds, zone)):
                day.register("batch", batch)
                day.execute("INSERT INTO day FROM batch" if number else "CREATE TABLE day AS FROM batch")
                day.unregister("batch")
            write_day(day, cdr_type, keys, path)
        finally:
            day.close()


def _sent(column: Column) -> Composable:
    """Return the expression by which a column leaves PostgreSQL."""
    name = Identifier(column.name)
    if column.kind == "identifier":
        return SQL("subscriber_key({})").format(name)
    if column.kind == "timestamp":
        return SQL("(extract(epoch FROM {}) * 1000000)::bigint").format(name)
    return name


def _batches(path: Path, kinds: dict[str, pa.DataType], zone: ZoneInfo) -> Iterator[pa.Table]:
    """Yield the rows with a staged day's columns; the first batch may be empty."""
    empty = pa.schema(list(kinds.items())).empty_table()
    yield _with_times(empty, zone)
    if not path.stat().st_size:
        return
    reader = pa.csv.open_csv(
        path,
        pa.csv.ReadOptions(column_names=list(kinds)),
        pa.csv.ParseOptions(newlines_in_values=True),
        pa.csv.ConvertOptions(
            column_types=kinds,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    for batch in reader:
        yield _with_times(pa.Table.from_batches([batch]), zone)


def _with_times(table: pa.Table, zone: ZoneInfo) -> pa.Table:
    """Convert microseconds since 1970 to times of both clocks, as the loader does."""
    instants = table.column("datetime").cast(pa.timestamp("us", "UTC"))
    local = pc.local_timestamp(instants.cast(pa.timestamp("us", str(zone))))
    place = table.schema.get_field_index("datetime")
    return table.set_column(place, "datetime", instants.cast(pa.timestamp("us"))).append_column(
        "local_time", local
    )
