"""Measure what judging answers together costs: time, space and usefulness.

Series of questions of honest analysts are asked of a country of the demonstration's number of subscribers. What
they add to the ledger is taken back.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from benchmarks.country import Country
from benchmarks.measure import Say
from benchmarks.questions import Spec, questions
from benchmarks.series import SIZE, of_histograms, of_sums, series
from flowmachine.data import DataState, read_data_state
from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.ledger import packing
from flowmachine.ledger.twins import TooNear
from flowmachine.queries.catalogue import load
from flowmachine.settings import Computing
from flowmachine.spec.subsets import SubscriberSet
from flowmachine.tables import (
    audit,
    ledger_forms,
    ledger_inputs,
    ledger_margins,
    ledger_places,
    ledger_results,
    ledger_rows,
    ledger_subsets,
    ledger_sums,
    ledger_totals,
)

#: Each of the nine questions is asked so often, with the ledger and without in turn; the best time counts.
REPEATS = 5
_LEDGER = (
    ledger_results,
    ledger_rows,
    ledger_places,
    ledger_forms,
    ledger_totals,
    ledger_sums,
    ledger_margins,
    ledger_inputs,
    ledger_subsets,
)


class Cost(NamedTuple):
    """Hold seconds: by the clock, of this process, and of its process of PostgreSQL."""

    clock: float
    worker: float
    database: float

    @classmethod
    def so_far(cls, backend: int) -> Cost:
        """Return what has passed and was used until now."""
        # The first number is the process's time on a processor, in nanoseconds.
        used = int(Path(f"/proc/{backend}/schedstat").read_text().split()[0])
        return cls(time.perf_counter(), time.process_time(), used / 1e9)


class Engine:
    """Release results in this process, in a transaction that is taken back."""

    def __init__(self, country: Country, folder: Path, database: sa.Engine) -> None:
        self._engine = database
        self._folder = folder
        computing = Computing(
            columnar_path=country.columnar,
            cache_path=folder,
            executor="duckdb",
            threads=2,
            memory_limit="2GB",
        )
        self._executor = DuckDBExecutor(computing, "flowapi")

    @contextmanager
    def empty_ledger(self) -> Iterator[tuple[sa.Connection, DataState]]:
        with self._engine.connect() as connection, connection.begin() as transaction:
            for table in _LEDGER:
                connection.execute(sa.text(f"TRUNCATE {table.fullname} CASCADE"))
            yield connection, read_data_state(connection)
            transaction.rollback()

    def forget(self) -> None:
        """Remove all stored results; the maps of cells stay."""
        shutil.rmtree(self._folder / "results", ignore_errors=True)

    def ask(self, connection: sa.Connection, data: DataState, spec: Spec) -> None:
        """Compute and release a result."""
        query = load(spec)
        fingerprints = data.fingerprints(query)
        *parts, _ = query.graph()
        for part in parts:
            if self._executor.stored_exists(part, connection) and not isinstance(part, SubscriberSet):
                continue
            if isinstance(part, SubscriberSet):
                made = fingerprints[part.query_id]
                with packing.storing(part, made, self._executor, data, connection):
                    pass
            else:
                with self._executor.storing(part, data, connection):
                    pass
        self._executor.release(query, data, connection)

    def cost(self, connection: sa.Connection, data: DataState, spec: Spec) -> Cost:
        """Return what computing and releasing a result takes."""
        backend = connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
        before = Cost.so_far(backend)
        self.ask(connection, data, spec)
        return Cost(*(after - then for after, then in zip(Cost.so_far(backend), before, strict=True)))


def measure(say: Say) -> dict[str, Any]:
    """Return the figures of ``docs/operators/privacy.md``."""
    with Country(SIZE).running() as country, tempfile.TemporaryDirectory() as folder:
        # Settings are looked up in this process's environment.
        os.environ |= country.environment() | {"FLOWMACHINE_DIFFERENCES": "on"}
        database = country.database().engine("flowmachine-benchmark", pool_size=1)
        engine = Engine(country, Path(folder), database)
        useful = {name: _useful(engine, asked) for name, asked in (series() | of_histograms()).items()}
        for name, found in useful.items():
            say(f"{name}: {found}")
        sums = margins(engine)
        for name, (refused, of) in sums.items():
            say(f"sums of rows, {name}: {refused} of {of} would be refused")
        costs = {word: _costs(engine, country, again=word == "again") for word in ("first", "again")}
        ratios = {word: _ratios(word, of_word, say) for word, of_word in costs.items()}
        load_average = os.getloadavg()[0]
        say(f"load of the machine: {load_average:.1f}")
    return {"series": useful, "sums": sums, "costs": costs, "ratios": ratios, "load": load_average}


def _ratios(word: str, costs: dict[str, tuple[Cost, Cost]], say: Say) -> dict[str, float]:
    """Say what the questions cost; return ratios: with the ledger to without."""
    for name, (on, off) in costs.items():
        say(f"{word}, {name}: {_told(on)} with the ledger, {_told(off)} without")
    on, off = (Cost(*map(sum, zip(*found, strict=True))) for found in zip(*costs.values(), strict=True))
    ratios = {"clock": on.clock / off.clock, "processors": sum(on[1:]) / sum(off[1:])}
    say(f"{word}, all nine: {_told(on)} with the ledger, {_told(off)} without")
    say(f"{word}: " + ", ".join(f"{name} {ratio:.2f} times" for name, ratio in ratios.items()))
    return ratios


def _told(cost: Cost) -> str:
    return f"{cost.clock:.3f} s (processors: worker {cost.worker:.3f}, database {cost.database:.3f})"


def _useful(engine: Engine, asked: Sequence[Spec]) -> dict[str, Any]:
    """Ask a series and count what it lost."""
    refused = 0
    with engine.empty_ledger() as (connection, data):
        for spec in asked:
            try:
                with connection.begin_nested():
                    engine.ask(connection, data, spec)
            except TooNear:
                refused += 1
        own, first = ledger_rows.alias("own"), ledger_rows.alias("first")
        earlier = sa.and_(first.c.release == own.c.repeats, first.c.row_key == own.c.row_key)
        off = sa.func.abs(own.c.subscribers - first.c.subscribers) * 1.0 / own.c.subscribers
        large, cut = own.c.subscribers > 15, sa.and_(~own.c.served, own.c.repeats.is_(None))
        rows = connection.execute(
            sa.select(
                sa.func.count().label("rows"),
                sa.func.count().filter(own.c.repeats.is_not(None), own.c.served).label("copied"),
                sa.func.avg(off).filter(own.c.served).label("off"),
                sa.func.count().filter(cut).label("cut"),
            )
            .select_from(own.outerjoin(first, earlier))
            .where(large)
        ).one()
        packed = connection.execute(
            sa.select(sa.func.count()).where(ledger_subsets.c.used.is_not(None))
        ).scalar_one()
        near = connection.execute(sa.select(sa.func.count(ledger_inputs.c.near))).scalar_one()
        size = sum(
            connection.execute(sa.select(sa.func.pg_total_relation_size(table.fullname))).scalar_one()
            for table in (ledger_rows, ledger_places, ledger_totals, ledger_sums, ledger_margins)
        )
        every = connection.execute(sa.select(sa.func.count()).select_from(ledger_rows)).scalar_one()
    return {
        "questions": len(asked),
        "refused": refused,
        "rows over the floor": rows.rows,
        "copied": rows.copied,
        "off by percent": None if rows.off is None else round(100 * float(rows.off), 2),
        "withheld for parts": rows.cut,
        "subsets packed": packed,
        "near inputs": near,
        "bytes a row": round(size / every),
    }


def _costs(engine: Engine, country: Country, *, again: bool) -> dict[str, tuple[Cost, Cost]]:
    """Return the least cost of each of the nine questions, with nothing stored.

    The first is with the ledger, the second without. As in a worker that runs, statements are compiled. With
    ``again`` the ledger knows the places of the rows, as after the first question of a form.
    """
    found: dict[str, tuple[Cost, Cost]] = {}
    for question in questions(country.size):
        costs: dict[str, list[Cost]] = {"on": [], "off": []}
        for _ in range(REPEATS):
            for word, of_word in costs.items():
                os.environ["FLOWMACHINE_DIFFERENCES"] = word
                with engine.empty_ledger() as (connection, data):
                    if again and word == "on":
                        _know_places(engine, connection, data, question.spec)
                    engine.forget()
                    of_word.append(engine.cost(connection, data, question.spec))
        on, off = (Cost(*map(min, zip(*of_word, strict=True))) for of_word in costs.values())
        found[question.name] = on, off
    os.environ["FLOWMACHINE_DIFFERENCES"] = "on"
    return found


def _know_places(engine: Engine, connection: sa.Connection, data: DataState, spec: Spec) -> None:
    """Ask a question, and delete all of it but what is kept once for all of its form."""
    engine.ask(connection, data, spec)
    for table in reversed(_LEDGER):
        if table not in (ledger_places, ledger_forms):
            connection.execute(sa.delete(table))


def margins(engine: Engine) -> dict[str, tuple[int, int]]:
    """Return for each series how many answers have sums near to an earlier one.

    The second number is that of its questions."""
    found = {}
    os.environ["FLOWMACHINE_MARGINS"] = "report"
    for name, asked in (series() | of_sums()).items():
        with engine.empty_ledger() as (connection, data):
            for spec in asked:
                engine.ask(connection, data, spec)
            near = sa.select(sa.func.count(audit.c.query_id.distinct())).where(
                audit.c.action == "differences", audit.c.params.has_key("margins")
            )
            found[name] = connection.execute(near).scalar_one(), len(asked)
    del os.environ["FLOWMACHINE_MARGINS"]
    return found
