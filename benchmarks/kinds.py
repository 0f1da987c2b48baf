"""Compare every kind with its hand-written statement, at growing sizes."""

from __future__ import annotations

import datetime as dt
import gc
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from benchmarks import mobile_money, population
from benchmarks.compare import TOLERANCE, compare
from benchmarks.country import START, Country, Size
from benchmarks.engine import EngineFailed, forget_results
from benchmarks.hand_written import Files, connect
from benchmarks.kind_specs import ABOUT_MORE_THAN_A_WEEK, specification
from benchmarks.kind_statements import DATABASE_STATEMENTS, STATEMENTS
from benchmarks.measure import Say, machine, rounded
from benchmarks.questions import Window
from benchmarks.record import load
from flowmachine.data import read_data_state
from flowmachine.jobs import submitting, table
from flowmachine.jobs.table import RELEASED, Key
from flowmachine.logs import configure_logs
from flowmachine.queries.catalogue import kinds, load_any
from flowmachine.settings import Computing, Database
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import Query
from flowmachine.stores.columnar import stored_path
from flowmachine.tables import result_name
from flowmachine.worker import Worker

DAYS = 7
#: Events for each subscriber and day, as in the full scale of the nine questions.
_RATE = 7.5
MAIN = 200_000
#: The largest is four copies of the main one.
SUBSCRIBERS = (50_000, MAIN, 4 * MAIN)


def size_of(subscribers: int) -> Size:
    return Size(subscribers, DAYS, int(subscribers * _RATE))


#: Kinds that together need every map and the list of devices.
WARM_UP = (
    "radius_of_gyration",
    "meaningful_locations_aggregate",
    "handset",
    "spatial_aggregate",
    "localised_calendar_activity",
    "population_estimate",
)


class Engine:
    """Run one of our workers in this process over one store of files.

    Its jobs go through the job table as always.
    """

    def __init__(self, database: Database, computing: Computing, forget: Callable[[], None]) -> None:
        self._engine = database.engine("benchmark", pool_size=2)
        self._worker = Worker(database, computing)
        self._computing = computing
        self._forget = forget

    def close(self) -> None:
        self._worker.close()
        self._engine.dispose()

    def forget(self) -> None:
        """Drop everything stored, so that the next query is computed cold."""
        self._forget()

    def compute(self, query: Query) -> None:
        """From the query to its stored or released result."""
        with self._engine.begin() as connection:
            data = read_data_state(connection)
            data.check(query)
            key = Key(query.query_id, RELEASED if isinstance(query, Aggregate) else self._computing.executor)
            submitting.submit(connection, query, data, store=key.store)
        state: str | None = "queued"
        while state in table.PENDING:
            self._worker.work_one()
            with self._engine.connect() as connection:
                state = table.state(connection, key)
        if state != "completed":
            with self._engine.connect() as connection:
                row = table.summary(connection, key)
            raise EngineFailed(f"{query.kind}: {row and row['error']}")

    def compare(self, query: Query, hand_written: Any) -> str:
        """Compare a result's rows with the other answer: ``equal`` or the difference."""
        if not isinstance(query, Aggregate):
            return compare_stored(stored_path(self._computing, query.query_id), hand_written)
        with self._engine.begin() as connection:
            rows = connection.exec_driver_sql(f"SELECT * FROM cache.{result_name(query.query_id)}")
            ours = pd.DataFrame(rows.all(), columns=list(rows.keys()), dtype=object)
        return str(compare(ours, hand_written))


def compare_stored(path: Path, theirs: Any) -> str:
    """Compare subscriber-level results in place, because they have millions of rows."""
    connection = duckdb.connect()
    connection.register("theirs", theirs)
    ours = f"read_parquet('{path}')"
    names = [row[0] for row in connection.execute(f"DESCRIBE FROM {ours}").fetchall()]
    keys = [name for name in names if name != "value"]
    same = " AND ".join(f"ours.{name} IS NOT DISTINCT FROM theirs.{name}" for name in keys[1:]) or "true"
    if "value" in names:
        text = connection.execute(f"SELECT typeof(value) = 'VARCHAR' FROM {ours} LIMIT 1").fetchone() == (
            True,
        )
        close = (
            "false"
            if text
            else (
                f"abs(ours.value - theirs.value) <= {TOLERANCE} * greatest(abs(ours.value), abs(theirs.value))"
            )
        )
        same += f" AND (ours.value IS NOT DISTINCT FROM theirs.value OR {close})"
    ((all_ours, all_theirs, matching),) = connection.execute(
        f"""
        SELECT (SELECT count(*) FROM {ours}), (SELECT count(*) FROM theirs),
            (SELECT count(*) FROM {ours} AS ours JOIN theirs ON ours.subscriber = theirs.subscriber AND {same})
        """
    ).fetchall()
    if all_ours == all_theirs == matching:
        return "equal"
    return f"{matching} equal of {all_ours} here and {all_theirs} there"


def queries(window: Window) -> dict[str, Query]:
    """The representative query of each registered kind."""
    return {
        kind: load_any(specification(kind, window)) for kind in kinds() if kind not in ABOUT_MORE_THAN_A_WEEK
    }


class ByHand:
    """Run the hand-written statements over the same files, or the database if needed."""

    def __init__(self, files: Files, database: Callable[[], Any]) -> None:
        self._files = files
        self._duckdb = connect()
        self._database = database()

    def close(self) -> None:
        self._duckdb.close()
        self._database.close()

    @staticmethod
    def answers(kind: str) -> bool:
        """Return whether there is a statement for the kind."""
        return kind in STATEMENTS or kind in DATABASE_STATEMENTS

    def run(self, kind: str) -> Any:
        """The rows of a kind's statement, as a table of columns or of Python values."""
        if kind in STATEMENTS:
            return self._duckdb.execute(STATEMENTS[kind](self._files)).to_arrow_table()
        with self._database.cursor() as cursor:
            cursor.execute(DATABASE_STATEMENTS[kind](self._files.windows[0]))
            names = [column.name for column in cursor.description]
            return pd.DataFrame(cursor.fetchall(), columns=names, dtype=object)


class _Best:
    """Keep the best wall-clock and processor seconds of repeated runs."""

    def __init__(self) -> None:
        self.seconds = self.processor = math.inf

    @contextmanager
    def timed(self) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds = min(self.seconds, time.perf_counter() - wall)
        self.processor = min(self.processor, time.process_time() - processor)


def measured(
    engine: Engine, by_hand: ByHand, asked: dict[str, Query], repeats: int, say: Say, failed: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each kind's best seconds on both sides, rows and equality.

    ``failed`` gets the other kinds.
    """
    for kind, query in asked.items():
        ours, theirs = _Best(), _Best()
        try:
            # In turns, so that other work on the machine hits both alike.
            for _ in range(repeats):
                engine.forget()
                with ours.timed():
                    engine.compute(query)
                if by_hand.answers(kind):
                    with theirs.timed():
                        rows = by_hand.run(kind)
        except EngineFailed as error:
            say(f"{kind}: no numbers: {error}")
            failed.append(kind)
            continue
        entry = {
            "seconds": rounded(ours.seconds),
            "processor_seconds": rounded(ours.processor),
            "repeats": repeats,
            "load_average": load(),
        }
        if not by_hand.answers(kind):
            say(f"{kind}: {ours.seconds:.3g} s; no statement by hand to compare it with")
            yield kind, entry
            continue
        if isinstance(query, Aggregate) and not isinstance(rows, pd.DataFrame):
            rows = pd.DataFrame(rows.to_pylist(), columns=rows.column_names, dtype=object)
        answer = engine.compare(query, rows)
        say(
            f"{kind}: {ours.seconds:.3g} s, by hand {theirs.seconds:.3g} s, ratio {ours.seconds / theirs.seconds:.2f}"
            f", of processor time {ours.processor / theirs.processor:.2f}; {len(rows)} rows, {answer}"
        )
        yield (
            kind,
            entry
            | {
                "hand_written_seconds": rounded(theirs.seconds),
                "hand_written_processor_seconds": rounded(theirs.processor),
                "rows": len(rows),
                "answer": answer,
            },
        )


@contextmanager
def both_sides(country: Country, subscribers: int) -> Iterator[tuple[Engine, ByHand, Window]]:
    """Provide both sides over a running country.

    Copies of its people are used where it has fewer than asked for.
    """
    with ExitStack() as stack:
        columnar = country.columnar
        if subscribers > country.size.subscribers:
            columnar = stack.enter_context(country.copied(subscribers // country.size.subscribers))
        yield from _both_sides(country, subscribers, columnar)


def _both_sides(
    country: Country, subscribers: int, columnar: Path
) -> Iterator[tuple[Engine, ByHand, Window]]:
    mobile_money.fill(country, subscribers)
    population.fill(country)
    os.environ["FLOWMACHINE_TEST_KINDS"] = "on"
    computing = Computing(columnar_path=columnar, cache_path=country.cache, executor="duckdb")
    window = (START, country.size.end)
    engine = Engine(country.database(), computing, lambda: forget_results(country))
    by_hand = ByHand(Files((window,), columnar, country.cache / "maps"), country.connect)
    try:
        # An interrupted run may have left jobs that look active.
        engine.forget()
        # Libraries are imported and the maps of the cells made before anything is timed.
        for kind in WARM_UP:
            engine.compute(load_any(specification(kind, window)))
        # As a worker's own process does.
        gc.freeze()
        yield engine, by_hand, window
    finally:
        by_hand.close()
        engine.close()


def run(
    subscribers: int,
    only: Sequence[str] | None,
    repeats: int,
    say: Say,
    keep: Callable[[dict[str, Any]], None],
) -> list[str]:
    """Measure every kind, or the named kinds, on a number of subscribers.

    ``keep`` gets each kind's record as soon as it is available.

    Returns the kinds that failed; they keep their former numbers.
    """
    configure_logs()
    failed: list[str] = []
    country = Country(size_of(min(subscribers, MAIN)))
    with country.running(), both_sides(country, subscribers) as (engine, by_hand, window):
        everything = queries(window)
        asked = {kind: everything[kind] for kind in only or everything}
        events = country.facts["events"] * max(subscribers // MAIN, 1)
        say(f"{events:,} events of {subscribers:,} subscribers")
        for kind, found in measured(engine, by_hand, asked, repeats, say, failed):
            keep(
                {
                    "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
                    "subscribers": subscribers,
                    "events": events,
                    "machine": machine(),
                    "kinds": {kind: found},
                }
            )
    return failed
