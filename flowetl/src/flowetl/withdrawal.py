"""Withdraw days, and clean up after killed loads."""

import datetime as dt
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from flowetl import records, spill
from flowetl.columnar import day_folders
from flowetl.deployment import Deployment
from flowetl.errors import Busy, DataFault
from flowetl.events import CDR_TYPES, CdrType
from flowetl.partitions import drop_partition, partition_name
from flowetl.records import TRANSIENT_STATES, day_lock


def drop_day(deployment: Deployment, cdr_type: CdrType, date: dt.date, reason: str) -> None:
    """Withdraw a day from both stores and record why.

    The day is visible, or is a partition that no load accounts for.

    Raises
    ------
    DataFault
        When the day is not there.
    Busy
        When it is being loaded, or a query is reading it.
    """
    with deployment.connect() as connection, day_lock(connection, cdr_type, date):
        connection.autocommit = False
        with connection, connection.cursor() as cursor:
            load_id = records.current_load(cursor, cdr_type, date)
            cursor.execute(
                "SELECT to_regclass(format('events.%%I', %s::text)) IS NOT NULL",
                (partition_name(cdr_type, date),),
            )
            if load_id is None and cursor.fetchone() == (False,):
                raise DataFault(f"{cdr_type} of {date} is not loaded")
            drop_partition(cursor, cdr_type, date)
            cursor.execute(
                "DELETE FROM etl.columnar_files WHERE cdr_type = %s AND cdr_date = %s RETURNING path, tally_path",
                (cdr_type, date),
            )
            paths = [deployment.columnar / path for row in cursor.fetchall() for path in row if path]
            known = str(load_id) if load_id else None
            cursor.execute(
                "UPDATE etl.loads SET state = 'dropped', note = %s WHERE load_id = %s", (reason, known)
            )
            cursor.execute(
                "INSERT INTO etl.etl_records (cdr_type, cdr_date, state, timestamp, load_id, source, note) "
                "VALUES (%s, %s, 'dropped', clock_timestamp(), %s, "
                "(SELECT source FROM etl.loads WHERE load_id = %s), %s)",
                (cdr_type, date, known, known, reason),
            )
        connection.autocommit = True
        for path in paths:
            path.unlink(missing_ok=True)


@dataclass
class Drift:
    """Describe where stores and records disagreed, and what was done."""

    orphans_removed: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    files_missing: list[str] = field(default_factory=list)
    partitions_missing: list[str] = field(default_factory=list)
    partitions_unrecorded: list[str] = field(default_factory=list)
    partitions_unknown: list[str] = field(default_factory=list)

    @property
    def needs_attention(self) -> bool:
        """Return whether anything is left for another load or a repair."""
        return bool(
            self.files_missing
            or self.partitions_missing
            or self.partitions_unrecorded
            or self.partitions_unknown
        )


def reconcile(deployment: Deployment) -> Drift:
    """Compare records, partitions and columnar files.

    Remove orphans, close the records of killed loads, report the rest. A day that is being loaded is left
    alone.
    """
    drift = Drift()
    with deployment.connect() as connection, connection.cursor() as cursor:
        for cdr_type, date in _days_with_traces(cursor, deployment.columnar, drift):
            try:
                with day_lock(connection, cdr_type, date):
                    _reconcile_day(cursor, deployment.columnar, cdr_type, date, drift)
            except Busy:
                continue
        _reconcile_dictionary(cursor, deployment.columnar, drift)
    # These folders may belong to other deployments, so do not report them.
    spill.remove_abandoned()
    return drift


def _days_with_traces(cursor: Cursor, columnar: Path, drift: Drift) -> list[tuple[CdrType, dt.date]]:
    """List the days that records, files or partitions name.

    Names in another form are not ours.
    """
    cursor.execute("SELECT DISTINCT cdr_type, cdr_date FROM etl.loads")
    found: set[tuple[str, dt.date]] = set(cursor.fetchall())
    for folder in (folder for pattern in day_folders("*", "*") for folder in columnar.glob(pattern)):
        cdr_type = folder.parent.name.removeprefix("type=")
        with suppress(ValueError):
            found.add((cdr_type, dt.date.fromisoformat(folder.name.removeprefix("date="))))
    for cdr_type in CDR_TYPES:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = format('events.%%I', %s)::regclass",
            (cdr_type,),
        )
        for (name,) in cursor.fetchall():
            try:
                date = dt.datetime.strptime(name, f"{cdr_type}_%Y%m%d").date()
            except ValueError:
                drift.partitions_unknown.append(name)
            else:
                found.add((cdr_type, date))
    return sorted((cdr_type, date) for cdr_type, date in found if cdr_type in CDR_TYPES)


def _reconcile_day(cursor: Cursor, columnar: Path, cdr_type: CdrType, date: dt.date, drift: Drift) -> None:
    name = partition_name(cdr_type, date)
    ended = records.end_interrupted(cursor, cdr_type, date)
    drift.interrupted += [f"{cdr_type} {date} {load_id}" for load_id in ended]

    visible = records.current_load(cursor, cdr_type, date) is not None
    cursor.execute("SELECT to_regclass(format('events.%%I', %s::text)) IS NOT NULL", (name,))
    if cursor.fetchone() != (visible,):
        (drift.partitions_missing if visible else drift.partitions_unrecorded).append(name)

    cursor.execute(
        "SELECT path, tally_path FROM etl.columnar_files WHERE cdr_type = %s AND cdr_date = %s",
        (cdr_type, date),
    )
    named = {path for row in cursor.fetchall() for path in row if path}
    folders = [columnar / folder for folder in day_folders(cdr_type, date.isoformat())]
    present = {
        str(path.relative_to(columnar)) for folder in folders if folder.is_dir() for path in folder.glob("*")
    }
    for orphan in sorted(present - named):
        (columnar / orphan).unlink(missing_ok=True)
        drift.orphans_removed.append(orphan)
    drift.files_missing += sorted(named - present)


def _reconcile_dictionary(cursor: Cursor, columnar: Path, drift: Drift) -> None:
    """Remove dictionary files of loads that were never published."""
    cursor.execute("SELECT load_id::text FROM etl.loads WHERE state = ANY (%s)", (list(TRANSIENT_STATES),))
    at_work = {load_id for (load_id,) in cursor.fetchall()}
    # Ask the history, because the state of a load can have changed since.
    cursor.execute(
        "SELECT load_id::text FROM etl.etl_records WHERE state = 'ingested' AND load_id IS NOT NULL"
    )
    published = {load_id for (load_id,) in cursor.fetchall()}
    for path in sorted((columnar / "subscribers").glob("*")):
        load_id = path.name.lstrip(".").split(".")[0]
        if load_id not in published | at_work:
            path.unlink(missing_ok=True)
            drift.orphans_removed.append(str(path.relative_to(columnar)))
