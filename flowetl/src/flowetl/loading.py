"""Load one day in ordered steps, and record failed loads.

Raw data stay in memory, and nothing is visible before ``publish`` commits. A load killed at any moment leaves
the day's previous state and, at worst, a columnar file that no manifest row names.
"""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import psycopg2
import structlog
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values
from psycopg2.sql import Identifier

from flowetl import arrival, columnar, dictionary, gates, optout, paths, pseudonyms, quality, records
from flowetl.ahead import ahead
from flowetl.arrival import Delivery, Item, Place, State
from flowetl.columnar import DayFiles
from flowetl.deployment import Deployment, available_cores
from flowetl.errors import Held, LoadError, UnexpectedFault, told_by_place
from flowetl.events import HAS_COUNTERPARTS
from flowetl.keyed import ALGORITHM, hasher, require_known_key
from flowetl.partitions import NewPartition, partition_name
from flowetl.quality import Check, Outcomes
from flowetl.readers import place_of, reader_of
from flowetl.records import Load
from flowetl.rejects import reject_path, write_rejects
from flowetl.source import Source
from flowetl.staging import StagedDay

_log = structlog.get_logger(__name__)


@dataclass
class Loaded:
    """Describe a finished load."""

    source: str
    date: dt.date
    rows: int
    rejects: int
    seconds: float
    facts: list[str]
    """How the day fits what is known: cells, device models, the rows of its weekday."""
    notes: list[str]
    """What is doubtful about it."""


@dataclass
class Attempt:
    """Share state among the steps of one load."""

    deployment: Deployment
    load: Load
    connection: Connection
    key: bytes
    threads: int
    seconds: dict[str, float] = field(default_factory=dict)
    visible: bool = False
    """Whether the load is committed; from then on the load cannot fail."""
    replaces: bool = False
    """Whether the load replaced another load."""
    accepted: str | None = None
    """Why the day is loaded although a gate would hold it back."""

    @property
    def place(self) -> Place:
        return place_of(self.deployment, self.load.source, self.load.date)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[step] = time.monotonic() - started


@dataclass
class Extracted:
    """A day in memory, and how it fits what is known."""

    day: StagedDay
    facts: list[str]


@dataclass(frozen=True)
class ReadItem:
    """Hold the uri, state and checksum of what was read, and the records of the day.

    ``rows`` are good records, ``rejects`` refused ones.
    """

    uri: str
    state: State
    sha256: str
    rows: int
    rejects: int


@contextmanager
def attempt(
    deployment: Deployment, source: Source, date: dt.date, threads: int | None = None
) -> Iterator[Attempt]:
    """Lock the day and record the attempt; record an inner failure and re-raise it.

    Once the day is visible, a failure is only logged, because only clean-up remains.

    Raises
    ------
    Busy
        When another process is loading the day; nothing is recorded then.
    """
    key = deployment.pseudonym_key()
    key_id = pseudonyms.key_id(source.identifiers.key_id, key)
    load = Load(source, date, key_id if source.identifiers.keyed else source.identifiers.key_id)
    with deployment.kept_connection() as connection, records.day_lock(connection, source.cdr_type, date):
        with connection.cursor() as cursor:
            # Only the commit that makes a day visible must survive a crash of the server; the log keeps the
            # order.
            cursor.execute("SET synchronous_commit = off")
            records.begin(cursor, load)
        this = Attempt(deployment, load, connection, key, threads or available_cores())
        try:
            yield this
        except BaseException as error:
            if this.visible:
                if not isinstance(error, Exception):
                    raise
                _log.warning(
                    "failed after the day was loaded",
                    source=source.name,
                    date=str(date),
                    load_id=str(load.load_id),
                    cause=str(error if isinstance(error, LoadError) else UnexpectedFault(error)),
                )
                return
            note = str(error) if isinstance(error, LoadError) else f"stopped by {type(error).__name__}"
            _log.error(
                "load failed", source=source.name, date=str(date), load_id=str(load.load_id), cause=note
            )
            # A lost connection must not hide the cause. The next attempt closes this attempt's record.
            with suppress(psycopg2.Error), connection.cursor() as cursor:
                records.fail(cursor, load, note, "held" if isinstance(error, Held) else "failed")
            raise


Result = TypeVar("Result")


class StepRunner(Protocol):
    """Define how a named step is run: plainly, or as an orchestrator's task."""

    def __call__(self, name: str, step: Callable[[], Result]) -> Result: ...


def run_plainly(name: str, step: Callable[[], Result]) -> Result:
    """Run a step as a plain function."""
    return step()


def load_day(
    deployment: Deployment,
    source: Source,
    date: dt.date,
    *,
    wait: bool = False,
    threads: int | None = None,
    accepted: str | None = None,
    run_step: StepRunner = run_plainly,
) -> Loaded:
    """Load one day whole, replacing an earlier load of the day.

    Parameters
    ----------
    wait: whether to wait for a file that has not come, as long as the source says; otherwise its absence is a fault.
    threads: how many to use, by default one for each core.
    accepted: why the day is loaded even where a gate would hold it back; None = it is held back.
    run_step: what runs each step.

    Raises
    ------
    LoadError
        ``NotReady``, ``Busy`` and ``Unreachable`` may pass; ``DataFault`` and ``ConfigurationError`` need somebody to
        act. Nothing else is raised.
    """
    started = time.monotonic()
    source.require_day(date)
    gates.require_gates(source)
    with told_by_place(), attempt(deployment, source, date, threads) as this, ExitStack() as stack:
        this.accepted = accepted

        def step(name: str, function: Callable[[], Result]) -> Result:
            def guarded() -> Result:
                with this.timed(name), told_by_place():
                    return function()

            return run_step(name, guarded)

        step("wait_for_data", lambda: wait_for_data(this, wait=wait))
        state = step("check_not_in_flux", lambda: check_not_in_flux(this))
        extracted = step("extract", lambda: stack.enter_context(extract(this, state)))
        rows, rejects = extracted.day.rows, extracted.day.refused.total()
        outcomes = step("quality", lambda: check_quality(this, extracted))
        files = step("columnar", lambda: write_columnar(this, extracted))
        step("attach", lambda: publish(this, extracted, files, outcomes))
        step("own_quality", lambda: check_own_quality(this))
    seconds = time.monotonic() - started
    _log.info(
        "day loaded",
        source=source.name,
        date=str(date),
        rows=rows,
        rejects=rejects,
        seconds=round(seconds, 3),
    )
    return Loaded(source.name, date, rows, rejects, seconds, extracted.facts, extracted.day.notes)


def wait_for_data(this: Attempt, *, wait: bool) -> None:
    """Poll for the day's records."""
    patience = this.load.source.wait
    arrival.wait_for_data(this.place, patience.timeout if wait else 0, patience.poll)


def check_not_in_flux(this: Attempt) -> Delivery:
    """Wait until nobody is writing the records any more."""
    return arrival.wait_until_stable(this.place, this.load.source.stability)


@contextmanager
def extract(this: Attempt, delivery: Delivery) -> Iterator[Extracted]:
    """Read, pseudonymise and check all files; the day is in memory inside the context.

    Raises
    ------
    DataFault
        When a file or too much of its content is wrong; what was refused is in the reject file then too.
    """
    source = this.load.source
    with this.connection.cursor() as cursor:
        require_known_key(cursor, this.load)
        records.advance(cursor, this.load, "loading")
    key = hasher(source, this.key)
    opted_out = optout.of_source(this.deployment, source, key)
    with StagedDay(source, this.load.date, this.deployment.zone, key, this.threads, opted_out) as day:
        read = [_read(this, day, item, state, len(delivery) > 1) for item, state in delivery.items()]
        arrival.require_unchanged(this.place, delivery)
        write_rejects(reject_path(this.deployment.rejects, source.name, this.load.date), day.rejects)
        with this.connection.cursor() as cursor:
            _record_files(cursor, this, day, read)
        day.check(this.place.name)
        if day.opted_out:
            day.notes.append(f"{day.opted_out} records of subscribers who opted out were left out")
        minimum = source.minimum_known_cells
        if minimum is None:
            minimum = this.deployment.minimum_known_cells
        with this.connection.cursor() as cursor:
            verdict = gates.judge_content(cursor, day, minimum)
        day.notes += verdict.settle(this.place.name, this.accepted)
        yield Extracted(day, verdict.facts)


def _read(this: Attempt, day: StagedDay, item: Item, state: State, several: bool) -> ReadItem:
    """Put the records of one file or table into the day."""
    rows, rejects, elsewhere = day.rows, day.refused.total(), day.other_days.copy()
    reader = reader_of(item, this.load.source)
    # Unpacking and splitting, hashing, and what DuckDB does take about as long as each other.
    with (
        day.reading(item.name if several else ""),
        closing(ahead(reader.batches())) as batches,
        closing(ahead(map(day.prepare, batches))) as blocks,
    ):
        for prepared in blocks:
            day.stage(prepared)
    day.notes += [f"{item.name}: {note}" for note in reader.notes]
    _tell_lost(this, day, item.name, day.other_days - elsewhere)
    uri = this.place.uri(item)
    return ReadItem(uri, state, reader.sha256, day.rows - rows, day.refused.total() - rejects)


def _tell_lost(this: Attempt, day: StagedDay, file_name: str, elsewhere: Counter[dt.date]) -> None:
    """Say which records of a file no day of the source looks for in it."""
    source, date = this.load.source, this.load.date
    if source.days == "named" or (source.path and paths.day_of(source.path, file_name) != date):
        return
    late, early = dt.timedelta(source.late.days), dt.timedelta(source.late.early)
    # Of a table's rows, the day that a file's name tells is unknown: it is within the days that were read.
    slack = late + early if source.table else dt.timedelta(0)
    first, last = date - late - slack, date + early + slack
    lost = Counter({other: count for other, count in elsewhere.items() if not first <= other <= last})
    if lost:
        day.notes.append(
            f"{file_name}: {lost.total()} records from {min(lost)} to {max(lost)} are loaded with no day, because late.days is "
            f"{source.late.days} and late.early {source.late.early}: raise them, and run backfill --force for those days"
        )


def write_columnar(this: Attempt, extracted: Extracted) -> DayFiles:
    """Move the complete columnar files to their places before anything names them."""
    day = extracted.day
    with this.connection.cursor() as cursor:
        keys = dictionary.location_keys(cursor, day.location_ids)
    load = this.load
    return columnar.publish_day(
        this.deployment.columnar,
        load.cdr_type,
        load.date,
        load.load_id,
        lambda path: day.write_columnar(path, keys),
    )


def check_quality(this: Attempt, extracted: Extracted) -> Outcomes:
    """Run the packaged quality checks on the day in memory.

    Raises
    ------
    Held
        When an outcome is beyond a gate of the source.
    """
    checks = [check for check in quality.discover(this.load.cdr_type) if check.packaged]
    with this.connection.cursor() as cursor:
        cells = quality.valid_cells(cursor, this.load.date)
    day = extracted.day
    outcomes = day.describe(checks, cells)
    verdict = gates.judge_outcomes(this.load.source, day.rows, outcomes)
    day.notes += verdict.settle(this.place.name, this.accepted)
    return outcomes


def publish(this: Attempt, extracted: Extracted, files: DayFiles, outcomes: Outcomes) -> None:
    """Make the day visible in both stores in one transaction."""
    load, day = this.load, extracted.day
    # Skip built-in checks that an administrator's file replaces.
    names = {check.name for check in _checks(this) if check.packaged}
    known = dictionary.known_subscribers(this.deployment.dsn)
    fresh = known.without(day.subscribers())
    with records.transaction(this.connection) as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
        this.replaces = records.current_load(cursor, load.cdr_type, load.date) is not None
        partition = NewPartition(cursor, load.cdr_type, load.date, this.deployment.zone, load.load_id)
        with this.timed("copy"):
            partition.create()
            partition.copy(day.rows_for_postgresql())
        with this.timed("add_indexes"):
            partition.index(load.source.indexes, this.threads)
        with this.timed("analyze"):
            partition.analyse()
        found = {name: outcome for name, outcome in outcomes.items() if name in names}
        _store_outcomes(cursor, this, names, found)
        # A column that was never unreadable needs no outcome, unless an earlier load has one.
        unread: Outcomes = {
            f"unreadable_{name}": str(n) for name, n in day.unread.items() if n or this.replaces
        }
        if day.nobody or (this.replaces and "msisdn_counterpart" in day.unread):
            unread["no_number_msisdn_counterpart"] = str(day.nobody)
        quality.store(cursor, unread, load.cdr_type, load.date)
        quality.store_rejects(cursor, day.refused, load.cdr_type, load.date)
        with this.timed("swap"):
            partition.attach(load.source.indexes)
        with this.timed("update_records"):
            dictionary.add_subscribers(cursor, this.deployment.columnar, load.load_id, fresh)
            # Last, because every other load waits for the rows of locations and key until this load is done.
            _record(cursor, this, day, files)
        _record_metrics(cursor, this)
    this.visible = True
    known.remember(fresh)
    for file in (files.events, files.tally):
        _remove_other_versions(this.deployment.columnar / file.path)


def check_own_quality(this: Attempt) -> None:
    """Run the administrator's checks on the visible day, as the command ``qa`` does.

    These checks may read the parent table and be slow, so readers of the event type must not wait for them.
    """
    own = [check for check in _checks(this) if not check.packaged]
    if not own:
        return
    load = this.load
    table = Identifier("events", partition_name(load.cdr_type, load.date))
    with records.transaction(this.connection) as cursor:
        found = quality.ask_database(cursor, table, own, load.cdr_type, load.date)
        _store_outcomes(cursor, this, {check.name for check in own}, found)


def _store_outcomes(cursor: Cursor, this: Attempt, asked: set[str], found: Outcomes) -> None:
    # A failed check has no outcome instead of the previous load's outcome.
    outcomes = dict.fromkeys(asked) | found if this.replaces else found
    quality.store(cursor, outcomes, this.load.cdr_type, this.load.date)


def _checks(this: Attempt) -> list[Check]:
    return quality.discover(this.load.cdr_type, [this.deployment.sources_folder])


def _remove_other_versions(path: Path) -> None:
    """Delete the files of earlier loads of the day, unfinished ones included.

    This load holds the day. An engine with an open file can read the file to its end.
    """
    for other in path.parent.iterdir():
        if other != path:
            other.unlink(missing_ok=True)


def _record_files(cursor: Cursor, this: Attempt, day: StagedDay, read: list[ReadItem]) -> None:
    load_id = str(this.load.load_id)
    execute_values(
        cursor,
        "INSERT INTO etl.source_files (load_id, uri, size, mtime, sha256, rows, rejects) VALUES %s",
        [
            (
                load_id,
                item.uri,
                item.state.size,
                None if item.state.modified is None else item.state.modified / 1e9,
                item.sha256,
                item.rows,
                item.rejects,
            )
            for item in read
        ],
        template="(%s, %s, %s, to_timestamp(%s), %s, %s, %s)",
    )
    cursor.execute(
        "UPDATE etl.loads SET rows = %s, rejects = %s WHERE load_id = %s",
        (day.rows, day.refused.total(), load_id),
    )
    unread = [(load_id, name, count) for name, count in day.unread.items() if count]
    if unread:
        execute_values(cursor, "INSERT INTO etl.unreadable (load_id, column_name, records) VALUES %s", unread)
    if day.rejects:
        first: dict[str, int] = {}
        for line, reason, *_ in day.rejects:
            first[reason] = min(line, first.get(reason, line))
        execute_values(
            cursor,
            "INSERT INTO etl.rejects (load_id, reason, records, first_line) VALUES %s",
            [(load_id, reason, count, first.get(reason)) for reason, count in day.refused.items()],
        )


def _record(cursor: Cursor, this: Attempt, day: StagedDay, files: DayFiles) -> None:
    load, file = this.load, files.events
    load_id = str(load.load_id)
    if this.replaces:
        cursor.execute(
            "UPDATE etl.loads SET state = 'superseded' WHERE cdr_type = %s AND cdr_date = %s AND state = 'ingested'",
            (load.cdr_type, load.date),
        )
        records.append(cursor, load, "superseded")
    cursor.execute(
        "UPDATE etl.loads SET state = 'ingested', finished = clock_timestamp(), bytes = %s, note = %s WHERE load_id = %s",
        (file.bytes, "; ".join(day.notes) or None, load_id),
    )
    records.append(cursor, load, "ingested", rows=day.rows, size=file.bytes)
    records.name_files(cursor, load.cdr_type, load.date, load.load_id, day.rows, files)
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
    algorithm = ALGORITHM if load.source.identifiers.keyed else "upstream"
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
