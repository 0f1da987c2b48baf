"""Taking a day back, and putting right what killed loads left behind."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from flowetl import records
from flowetl.deployment import Deployment
from flowetl.errors import Busy, DataFault
from flowetl.events import CDR_TYPES, CdrType
from flowetl.partitions import drop_partition, partition_name
from flowetl.records import TRANSIENT_STATES, day_lock


def drop_day(deployment: Deployment, cdr_type: CdrType, date: dt.date, reason: str) -> None:
    """Withdraw a visible day from both stores and record why.

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
            if load_id is None:
                raise DataFault(f"{cdr_type} of {date} is not loaded")
            drop_partition(cursor, cdr_type, date)
            cursor.execute(
                "DELETE FROM etl.columnar_files WHERE cdr_type = %s AND cdr_date = %s RETURNING path",
                (cdr_type, date),
            )
            paths = [deployment.columnar / path for (path,) in cursor.fetchall()]
            cursor.execute(
                "UPDATE etl.loads SET state = 'dropped', note = %s WHERE load_id = %s", (reason, str(load_id))
            )
            cursor.execute(
                "INSERT INTO etl.etl_records (cdr_type, cdr_date, state, timestamp, load_id, source, note) "
                "SELECT cdr_type, cdr_date, 'dropped', clock_timestamp(), load_id, source, %s FROM etl.loads "
                "WHERE load_id = %s",
                (reason, str(load_id)),
            )
        connection.autocommit = True
        for path in paths:
            path.unlink(missing_ok=True)


@dataclass
class Drift:
    """What the stores and the records disagreed about, and what was done."""

    orphans_removed: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    files_missing: list[str] = field(default_factory=list)
    partitions_missing: list[str] = field(default_factory=list)
    partitions_unrecorded: list[str] = field(default_factory=list)

    @property
    def needs_attention(self) -> bool:
        """Whether something is left that another load or a repair has to mend."""
        return bool(self.files_missing or self.partitions_missing or self.partitions_unrecorded)


def reconcile(deployment: Deployment) -> Drift:
    """Compare records, partitions and columnar files; remove orphans, end the records of killed loads, report the rest.

    A day that is being loaded at the moment is left alone.
    """
    drift = Drift()
    with deployment.connect() as connection, connection.cursor() as cursor:
        for cdr_type, date in _days_with_traces(cursor, deployment.columnar):
            try:
                with day_lock(connection, cdr_type, date):
                    _reconcile_day(cursor, deployment.columnar, cdr_type, date, drift)
            except Busy:
                continue
        _reconcile_dictionary(cursor, deployment.columnar, drift)
    return drift


def _days_with_traces(cursor: Cursor, columnar: Path) -> list[tuple[CdrType, dt.date]]:
    cursor.execute("SELECT DISTINCT cdr_type, cdr_date FROM etl.loads")
    found: set[tuple[str, dt.date]] = set(cursor.fetchall())
    for folder in columnar.glob("events/type=*/date=*"):
        cdr_type = folder.parent.name.removeprefix("type=")
        found.add((cdr_type, dt.date.fromisoformat(folder.name.removeprefix("date="))))
    for cdr_type in CDR_TYPES:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = format('events.%%I', %s)::regclass",
            (cdr_type,),
        )
        for (name,) in cursor.fetchall():
            found.add((cdr_type, dt.datetime.strptime(name.rsplit("_", 1)[1], "%Y%m%d").date()))
    return sorted((cdr_type, date) for cdr_type, date in found if cdr_type in CDR_TYPES)


def _reconcile_day(cursor: Cursor, columnar: Path, cdr_type: CdrType, date: dt.date, drift: Drift) -> None:
    name = partition_name(cdr_type, date)
    cursor.execute(
        "UPDATE etl.loads SET state = 'failed', finished = clock_timestamp(), note = 'interrupted' "
        "WHERE cdr_type = %s AND cdr_date = %s AND state = ANY (%s) RETURNING load_id::text",
        (cdr_type, date, list(TRANSIENT_STATES)),
    )
    drift.interrupted += [f"{cdr_type} {date} {load_id}" for (load_id,) in cursor.fetchall()]

    visible = records.current_load(cursor, cdr_type, date) is not None
    cursor.execute("SELECT to_regclass(format('events.%%I', %s::text)) IS NOT NULL", (name,))
    if cursor.fetchone() != (visible,):
        (drift.partitions_missing if visible else drift.partitions_unrecorded).append(name)

    cursor.execute(
        "SELECT path FROM etl.columnar_files WHERE cdr_type = %s AND cdr_date = %s", (cdr_type, date)
    )
    named = {path for (path,) in cursor.fetchall()}
    folder = columnar / f"events/type={cdr_type}/date={date.isoformat()}"
    present = {str(path.relative_to(columnar)) for path in folder.glob("*")} if folder.is_dir() else set()
    for orphan in sorted(present - named):
        (columnar / orphan).unlink(missing_ok=True)
        drift.orphans_removed.append(orphan)
    drift.files_missing += sorted(named - present)


def _reconcile_dictionary(cursor: Cursor, columnar: Path, drift: Drift) -> None:
    """A dictionary file whose load was never published repeats pairs that no row of the dictionary holds."""
    cursor.execute("SELECT load_id::text FROM etl.loads WHERE state IN ('waiting', 'loading', 'checking')")
    at_work = {load_id for (load_id,) in cursor.fetchall()}
    cursor.execute("SELECT load_id::text FROM etl.loads WHERE state IN ('ingested', 'superseded', 'dropped')")
    published = {load_id for (load_id,) in cursor.fetchall()}
    for path in sorted((columnar / "subscribers").glob("*")):
        load_id = path.name.lstrip(".").split(".")[0]
        if load_id not in published | at_work:
            path.unlink(missing_ok=True)
            drift.orphans_removed.append(str(path.relative_to(columnar)))
