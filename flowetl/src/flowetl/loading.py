"""Loading one day: the steps, in order, and what becomes of a load that fails.

Nothing raw leaves memory, and nothing is visible before ``publish`` commits: a load killed at any moment leaves the
previous state of the day and, at worst, a columnar file that no manifest row names.
"""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar

import structlog
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from flowetl import arrival, columnar, dictionary, pseudonyms, quality, records
from flowetl.arrival import FileState
from flowetl.columnar import ColumnarFile
from flowetl.deployment import Deployment, available_cores
from flowetl.errors import ConfigurationError, LoadError, UnexpectedFault
from flowetl.events import HAS_COUNTERPARTS
from flowetl.lines import LineReader
from flowetl.partitions import NewPartition
from flowetl.pseudonyms import Pseudonymiser, UpstreamPseudonyms
from flowetl.quality import Outcomes
from flowetl.records import Load
from flowetl.rejects import reject_path, write_rejects
from flowetl.source import Source
from flowetl.staging import StagedDay

_log = structlog.get_logger(__name__)


@dataclass
class Loaded:
    """What a finished load did."""

    source: str
    date: dt.date
    rows: int
    rejects: int
    seconds: float


@dataclass
class Attempt:
    """The things the steps of one load share."""

    deployment: Deployment
    load: Load
    connection: Connection
    key: bytes
    threads: int
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.load.source.file(self.deployment.landing, self.load.date)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[step] = time.monotonic() - started


@dataclass
class Extracted:
    """A day in memory, and the file it came from."""

    day: StagedDay
    file: FileState
    sha256: str


@contextmanager
def attempt(
    deployment: Deployment, source: Source, date: dt.date, threads: int | None = None
) -> Iterator[Attempt]:
    """Hold the day and record the attempt; a failure inside is recorded with its cause and passed on.

    Raises
    ------
    Busy
        When another process is loading the day; nothing is recorded then.
    """
    key = deployment.pseudonym_key()
    key_id = pseudonyms.key_id(source.identifiers.key_id, key)
    upstream = source.identifiers.pseudonymise == "upstream"
    load = Load(source, date, source.identifiers.key_id if upstream else key_id)
    with deployment.kept_connection() as connection, records.day_lock(connection, source.cdr_type, date):
        with connection.cursor() as cursor:
            # Only what makes a day visible must outlive a crash of the server at once; the log keeps the order.
            cursor.execute("SET synchronous_commit = off")
            records.begin(cursor, load)
        try:
            yield Attempt(deployment, load, connection, key, threads or available_cores())
        except BaseException as error:
            note = str(error) if isinstance(error, LoadError) else f"stopped by {type(error).__name__}"
            _log.error(
                "load failed", source=source.name, date=str(date), load_id=str(load.load_id), cause=note
            )
            if not connection.closed:
                with connection.cursor() as cursor:
                    records.fail(cursor, load, note)
            raise


Result = TypeVar("Result")


class StepRunner(Protocol):
    """How a named step is run: plainly, or as a task of an orchestrator."""

    def __call__(self, name: str, step: Callable[[], Result]) -> Result: ...


def run_plainly(name: str, step: Callable[[], Result]) -> Result:
    """Run a step as the function it is."""
    return step()


def load_day(
    deployment: Deployment,
    source: Source,
    date: dt.date,
    *,
    wait: bool = False,
    threads: int | None = None,
    run_step: StepRunner = run_plainly,
) -> Loaded:
    """Load one day whole, replacing an earlier load of it.

    Parameters
    ----------
    wait: whether to wait for a file that has not come, as long as the source says; otherwise its absence is a fault.
    threads: how many to use, by default one for each core.
    run_step: what runs each step.

    Raises
    ------
    LoadError
        ``NotReady`` and ``Busy`` may pass; ``DataFault`` and ``ConfigurationError`` need somebody to act.
    """
    started = time.monotonic()
    with attempt(deployment, source, date, threads) as this, ExitStack() as stack:

        def step(name: str, function: Callable[[], Result]) -> Result:
            def guarded() -> Result:
                with this.timed(name), told_by_place():
                    return function()

            return run_step(name, guarded)

        step("wait_for_data", lambda: wait_for_data(this, wait=wait))
        state = step("check_not_in_flux", lambda: check_not_in_flux(this))
        extracted = step("extract", lambda: stack.enter_context(extract(this, state)))
        file = step("columnar", lambda: write_columnar(this, extracted))
        outcomes = step("quality", lambda: check_quality(this, extracted))
        step("attach", lambda: publish(this, extracted, file, outcomes))
        rows, rejects = extracted.day.rows, len(extracted.day.rejects)
    seconds = time.monotonic() - started
    _log.info(
        "day loaded",
        source=source.name,
        date=str(date),
        rows=rows,
        rejects=rejects,
        seconds=round(seconds, 3),
    )
    return Loaded(source.name, date, rows, rejects, seconds)


@contextmanager
def told_by_place() -> Iterator[None]:
    """Turn what nobody foresaw into an error whose text is safe to log."""
    try:
        yield
    except LoadError:
        raise
    except Exception as error:
        raise UnexpectedFault(error) from None


def wait_for_data(this: Attempt, *, wait: bool) -> None:
    """Poll for the day's file."""
    patience = this.load.source.wait
    arrival.wait_for_file(this.path, patience.timeout if wait else 0, patience.poll)


def check_not_in_flux(this: Attempt) -> FileState:
    """Wait until nobody is writing the file any more."""
    return arrival.wait_until_stable(this.path, this.load.source.stability)


@contextmanager
def extract(this: Attempt, state: FileState) -> Iterator[Extracted]:
    """Read, pseudonymise and check the whole file; the day is in memory inside the context.

    Raises
    ------
    DataFault
        When the file or too much of its content is wrong; what was refused is in the reject file then too.
    """
    source = this.load.source
    with this.connection.cursor() as cursor:
        _require_known_key(cursor, this.load)
        records.advance(cursor, this.load, "loading")
    hasher = _hasher(source, this.key)
    reader = LineReader(this.path, source.format, source.fields)
    with StagedDay(source, this.load.date, this.deployment.zone, hasher, this.threads) as day:
        for batch in reader.batches():
            day.add(batch)
        arrival.require_unchanged(this.path, state)
        write_rejects(reject_path(this.deployment.rejects, source.name, this.load.date), day.rejects)
        with this.connection.cursor() as cursor:
            _record_file(cursor, this, day, state, reader.sha256)
        day.check(this.path.name)
        yield Extracted(day, state, reader.sha256)


def write_columnar(this: Attempt, extracted: Extracted) -> ColumnarFile:
    """Put the columnar file in its place, complete, before anything names it."""
    day = extracted.day
    with this.connection.cursor() as cursor:
        keys = dictionary.location_keys(cursor, day.location_ids)
    relative = columnar.day_path(this.load.cdr_type, this.load.date, this.load.load_id)
    return columnar.publish_file(
        this.deployment.columnar, relative, lambda path: day.write_columnar(path, keys)
    )


def check_quality(this: Attempt, extracted: Extracted) -> Outcomes:
    """Run the packaged quality checks on the day in memory."""
    checks = [check for check in quality.discover(this.load.cdr_type) if check.packaged]
    with this.connection.cursor() as cursor:
        cells = valid_cells(cursor, this.load.date)
    return extracted.day.describe(checks, cells)


def publish(this: Attempt, extracted: Extracted, file: ColumnarFile, outcomes: Outcomes) -> None:
    """Build the partition and make the day visible in both stores, in one transaction."""
    load, day, connection = this.load, extracted.day, this.connection
    checks = quality.discover(load.cdr_type, [this.deployment.sources_folder])
    own = [check for check in checks if not check.packaged]
    names = {check.name for check in checks if check.packaged}
    known = dictionary.known_subscribers(this.deployment.dsn)
    fresh = known.without(day.subscribers())
    connection.autocommit = False
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = on")
            previous = records.current_load(cursor, load.cdr_type, load.date)
            partition = NewPartition(cursor, load.cdr_type, load.date, this.deployment.zone, load.load_id)
            with this.timed("copy"):
                partition.create()
                partition.copy(day.rows_for_postgresql())
            with this.timed("add_indexes"):
                partition.index(load.source.indexes, this.threads)
            with this.timed("analyze"):
                partition.analyse()
            with this.timed("own_quality"):
                found = {name: outcome for name, outcome in outcomes.items() if name in names}
                found |= quality.ask_database(cursor, partition.table, own, load.cdr_type, load.date)
                quality.store(cursor, found, load.cdr_type, load.date)
            with this.timed("swap"):
                partition.attach(load.source.indexes)
            with this.timed("update_records"):
                dictionary.add_subscribers(cursor, this.deployment.columnar, load.load_id, fresh)
                # Last, because every other load waits at the rows of the locations and the key until this one is done.
                _record(cursor, this, day, file, replaces=previous is not None)
            _record_metrics(cursor, this)
    finally:
        connection.autocommit = True
    known.remember(fresh)
    _remove_other_versions(this.deployment.columnar / file.path)


def valid_cells(cursor: Cursor, date: dt.date) -> list[str]:
    """The id of every cell version with a position that serves on a day, once for each version."""
    cursor.execute(
        "SELECT id FROM infrastructure.cells WHERE geom_point IS NOT NULL "
        "AND coalesce(date_of_first_service, '-infinity') <= %(date)s "
        "AND coalesce(date_of_last_service, 'infinity') >= %(date)s",
        {"date": date},
    )
    return [identifier for (identifier,) in cursor.fetchall()]


def preview(
    deployment: Deployment, source: Source, date: dt.date, rows: int
) -> tuple[list[dict[str, object]], list[tuple[int, str, str]]]:
    """How the first records of a file would be stored, and what would be refused; nothing is written."""
    hasher = _hasher(source, deployment.pseudonym_key())
    path = source.file(deployment.landing, date)
    arrival.state_of(path)
    with StagedDay(source, date, deployment.zone, hasher, 1) as day:
        batches = LineReader(path, source.format, source.fields).batches()
        day.add(next(batches).first(rows))
        return [row for batch in day.rows_for_postgresql() for row in batch.to_pylist()], day.rejects


def _hasher(source: Source, key: bytes) -> Pseudonymiser:
    return _hasher_of(source.identifiers.pseudonymise, key, source.identifiers.calling_code)


@lru_cache(maxsize=4)
def _hasher_of(where: str, key: bytes, calling_code: str) -> Pseudonymiser:
    """One for a process: most subscribers of a day are those of the day before, in every source."""
    return (UpstreamPseudonyms if where == "upstream" else Pseudonymiser)(key, calling_code)


def _remove_other_versions(path: Path) -> None:
    """Delete the files of earlier loads of the day. An engine that has one open can read it to its end."""
    for other in path.parent.glob("*.parquet"):
        if other != path:
            other.unlink(missing_ok=True)


def _require_known_key(cursor: Cursor, load: Load) -> None:
    """A changed secret under the same key id would split every subscriber in two unseen."""
    if load.source.identifiers.pseudonymise == "upstream":
        return
    name = load.source.identifiers.key_id
    cursor.execute(
        "SELECT key_id FROM etl.pseudonym_epochs WHERE split_part(key_id, ':', 1) = %s AND key_id <> %s",
        (name, load.key_id),
    )
    if cursor.fetchone():
        raise ConfigurationError(
            f"FLOWETL_PSEUDONYM_KEY is not the secret that key id {name!r} stood for: days under it are loaded already. "
            "Put the old secret back, or give identifiers.key_id a new value to begin a new epoch"
        )


def _record_file(cursor: Cursor, this: Attempt, day: StagedDay, state: FileState, sha256: str) -> None:
    load_id = str(this.load.load_id)
    cursor.execute(
        "INSERT INTO etl.source_files (load_id, uri, size, mtime, sha256, rows, rejects) "
        "VALUES (%s, %s, %s, to_timestamp(%s), %s, %s, %s)",
        (
            load_id,
            str(this.path.relative_to(this.deployment.landing)),
            state.size,
            state.modified / 1e9,
            sha256,
            day.rows,
            len(day.rejects),
        ),
    )
    cursor.execute(
        "UPDATE etl.loads SET rows = %s, rejects = %s WHERE load_id = %s",
        (day.rows, len(day.rejects), load_id),
    )
    if day.rejects:
        counts = Counter(reason for _, reason, _ in day.rejects)
        first = {reason: min(line for line, other, _ in day.rejects if other == reason) for reason in counts}
        execute_values(
            cursor,
            "INSERT INTO etl.rejects (load_id, reason, records, first_line) VALUES %s",
            [(load_id, reason, count, first[reason]) for reason, count in counts.items()],
        )


def _record(cursor: Cursor, this: Attempt, day: StagedDay, file: ColumnarFile, *, replaces: bool) -> None:
    load = this.load
    load_id = str(load.load_id)
    if replaces:
        cursor.execute(
            "UPDATE etl.loads SET state = 'superseded' WHERE cdr_type = %s AND cdr_date = %s AND state = 'ingested'",
            (load.cdr_type, load.date),
        )
        records.append(cursor, load, "superseded")
    cursor.execute(
        "UPDATE etl.loads SET state = 'ingested', finished = clock_timestamp(), bytes = %s WHERE load_id = %s",
        (file.bytes, load_id),
    )
    records.append(cursor, load, "ingested", rows=day.rows, size=file.bytes)
    cursor.execute(
        "INSERT INTO etl.columnar_files (cdr_type, cdr_date, load_id, path, rows, bytes, sha256) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (cdr_type, cdr_date) DO UPDATE SET "
        "load_id = excluded.load_id, path = excluded.path, rows = excluded.rows, bytes = excluded.bytes, "
        "sha256 = excluded.sha256",
        (load.cdr_type, load.date, load_id, file.path, day.rows, file.bytes, file.sha256),
    )
    counterparts = load.cdr_type in HAS_COUNTERPARTS
    cursor.execute(
        "INSERT INTO available_tables (table_name, has_locations, has_subscribers, has_counterparts) "
        "VALUES (%s, true, true, %s) ON CONFLICT (table_name) DO UPDATE SET has_locations = true, "
        "has_subscribers = true, has_counterparts = available_tables.has_counterparts OR excluded.has_counterparts",
        (load.cdr_type, counterparts),
    )
    cursor.execute(
        "INSERT INTO events.location_ids AS known (location_id, cdr_type, first_active_date, last_active_date) "
        "SELECT location_id, %s, %s, %s FROM unnest(%s::text[]) AS location_id "
        "ON CONFLICT (location_id, cdr_type) DO UPDATE SET "
        "first_active_date = least(known.first_active_date, excluded.first_active_date), "
        "last_active_date = greatest(known.last_active_date, excluded.last_active_date)",
        (load.cdr_type, load.date, load.date, day.location_ids),
    )
    algorithm = "upstream" if load.source.identifiers.pseudonymise == "upstream" else "HMAC-SHA-256"
    cursor.execute(
        "INSERT INTO etl.pseudonym_epochs AS known (key_id, algorithm, from_date, to_date) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (key_id) DO UPDATE SET from_date = least(known.from_date, excluded.from_date), "
        "to_date = greatest(known.to_date, excluded.to_date)",
        (load.key_id, algorithm, load.date, load.date),
    )


def _record_metrics(cursor: Cursor, this: Attempt) -> None:
    execute_values(
        cursor,
        "INSERT INTO etl.load_metrics (load_id, step, seconds) VALUES %s",
        [(str(this.load.load_id), step, seconds) for step, seconds in this.seconds.items()],
    )
