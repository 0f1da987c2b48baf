"""Measure what judging answers together costs: time, space and usefulness.

Series of questions of honest analysts are asked of a country of the demonstration's number of subscribers. What
they add to the ledger is taken back.
"""

from __future__ import annotations

import datetime as dt
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.country import START, Country, Size
from benchmarks.measure import Say
from benchmarks.questions import Spec, questions
from flowmachine.data import DataState, read_data_state
from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.ledger import packing
from flowmachine.ledger.twins import TooNear
from flowmachine.queries.catalogue import load
from flowmachine.settings import Computing
from flowmachine.spec.subsets import SubscriberSet
from flowmachine.tables import (
    audit,
    ledger_margins,
    ledger_results,
    ledger_rows,
    ledger_subsets,
    ledger_sums,
    ledger_totals,
)

SIZE = Size(10_000, 14, 50_000)
DAYS = [START + dt.timedelta(number) for number in range(SIZE.days)]
#: Each of the nine questions is asked so often, with the ledger and without in turn; the best time counts.
REPEATS = 5
_DAY = dt.timedelta(1)
_LEDGER = (ledger_results, ledger_rows, ledger_totals, ledger_sums, ledger_margins, ledger_subsets)


def daily(day: dt.date, method: str = "last", unit: str = "admin3", **more: Any) -> Spec:
    located = {"query_kind": "daily_location", "date": day.isoformat(), "method": method}
    return {**located, "aggregation_unit": unit, **more}


def home(first: int, days: int, unit: str = "admin3") -> Spec:
    locations = [daily(day, "most-common", unit) for day in DAYS[first : first + days]]
    return {"query_kind": "modal_location", "locations": locations}


def counted(located: Spec) -> Spec:
    return {"query_kind": "spatial_aggregate", "locations": located}


def seen(day: dt.date, unit: str) -> Spec:
    window = {"start_date": day.isoformat(), "end_date": (day + _DAY).isoformat()}
    return {"query_kind": "unique_subscriber_counts", **window, "aggregation_unit": unit}


def moves(kind: str, first: Spec, second: Spec) -> Spec:
    return {"query_kind": kind, "from_location": first, "to_location": second}


def of_callers(day: dt.date, length: int, hours: tuple[int, int] | None) -> Spec:
    active = {
        "query_kind": "event_count",
        "start_date": day.isoformat(),
        "end_date": (day + length * _DAY).isoformat(),
        "hours": hours and {"start_hour": hours[0], "end_hour": hours[1]},
    }
    return counted(daily(DAYS[-1], subscriber_subset=active))


def series() -> dict[str, list[Spec]]:
    """Return series of questions by name; each is asked of an empty ledger."""
    return {
        "last location by day": [counted(daily(day)) for day in DAYS],
        "last beside most common": [
            counted(daily(day, method)) for day in DAYS for method in ("last", "most-common")
        ],
        "homes of a week, rolling": [counted(home(first, 7)) for first in range(len(DAYS) - 6)],
        "flows from home to day": [moves("flows", home(0, 7), daily(day)) for day in DAYS[7:]],
        "country, then districts": [
            asked for day in DAYS for asked in (seen(day, "admin0"), counted(daily(day, "most-common")))
        ],
        "districts, then country": [
            asked for day in DAYS for asked in (counted(daily(day, "most-common")), seen(day, "admin0"))
        ],
        "coarse to fine": [
            counted(daily(day, unit=unit))
            for day in DAYS
            for unit in ("admin0", "admin1", "admin2", "admin3", "lon-lat")
        ],
        "fine to coarse": [
            counted(daily(day, unit=unit))
            for day in DAYS
            for unit in ("lon-lat", "admin3", "admin2", "admin1", "admin0")
        ],
        "outflows, then flows": [
            moves(kind, home(0, 7), daily(day)) for day in DAYS[7:] for kind in ("outflows", "flows")
        ],
        "flows, then outflows": [
            moves(kind, home(0, 7), daily(day)) for day in DAYS[7:] for kind in ("flows", "outflows")
        ],
        "subsets by day": [of_callers(day, 1, None) for day in DAYS],
        "subsets by night": [of_callers(day, 1, (18, 24)) for day in DAYS],
        "subsets by week, rolling": [of_callers(day, 7, None) for day in DAYS[:7]],
    }


class Engine:
    """Release results in this process, in a transaction that is taken back."""

    def __init__(self, country: Country, folder: Path, database: sa.Engine) -> None:
        self._engine = database
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

    def ask(self, connection: sa.Connection, data: DataState, spec: Spec) -> float:
        """Compute and release a result; return the seconds that it took."""
        started = time.perf_counter()
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
        return time.perf_counter() - started


def measure(say: Say) -> dict[str, Any]:
    """Return the figures of ``docs/operators/privacy.md``."""
    with Country(SIZE).running() as country, tempfile.TemporaryDirectory() as folder:
        # Settings are looked up in this process's environment.
        os.environ |= country.environment() | {"FLOWMACHINE_DIFFERENCES": "on"}
        database = country.database().engine("flowmachine-benchmark", pool_size=1)
        engine = Engine(country, Path(folder), database)
        useful = {name: _useful(engine, asked) for name, asked in series().items()}
        for name, found in useful.items():
            say(f"{name}: {found}")
        sums = margins(engine)
        for name, (refused, of) in sums.items():
            say(f"sums of rows, {name}: {refused} of {of} would be refused")
        seconds = _seconds(country, database)
        ratio = sum(on for on, _ in seconds.values()) / sum(off for _, off in seconds.values())
        for name, (on, off) in seconds.items():
            say(f"{name}: {on:.3f} s with the ledger, {off:.3f} s without")
        load_average = os.getloadavg()[0]
        say(f"all nine: {ratio:.2f} times; load of the machine {load_average:.1f}")
    return {"series": useful, "sums": sums, "seconds": seconds, "ratio": ratio, "load": load_average}


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
        size = sum(
            connection.execute(sa.select(sa.func.pg_total_relation_size(table.fullname))).scalar_one()
            for table in (ledger_rows, ledger_totals, ledger_sums, ledger_margins)
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
        "bytes a row": round(size / every),
    }


def _seconds(country: Country, database: sa.Engine) -> dict[str, tuple[float, float]]:
    """Return the best seconds of each of the nine questions, with nothing stored.

    The first number is with the ledger, the second without. As in a worker that runs, statements are compiled.
    """
    found: dict[str, tuple[float, float]] = {}
    for question in questions(SIZE):
        best = {"on": float("inf"), "off": float("inf")}
        for _ in range(REPEATS):
            for word in best:
                os.environ["FLOWMACHINE_DIFFERENCES"] = word
                with tempfile.TemporaryDirectory() as folder:
                    engine = Engine(country, Path(folder), database)
                    with engine.empty_ledger() as (connection, data):
                        best[word] = min(best[word], engine.ask(connection, data, question.spec))
        found[question.name] = best["on"], best["off"]
    os.environ["FLOWMACHINE_DIFFERENCES"] = "on"
    return found


def visited(first: int, days: int) -> Spec:
    """Return where people were most days, by coalescing, for labels."""
    weights = {
        "query_kind": "location_visits",
        "locations": [daily(day, "most-common") for day in DAYS[first : first + days]],
    }
    there = {
        "query_kind": "majority_location",
        "subscriber_location_weights": weights,
        "include_unlocatable": True,
    }
    return {
        "query_kind": "coalesced_location",
        "preferred_location": there,
        "fallback_location": there,
        "subscriber_location_weights": weights,
        "weight_threshold": 1,
    }


def labelled(first: int) -> Spec:
    labels = {
        "query_kind": "mobility_classification",
        "locations": [visited(first, 3), visited(first + 3, 3)],
        "stay_length_threshold": 2,
    }
    located = visited(first + 3, 3)
    return {"query_kind": "labelled_spatial_aggregate", "locations": located, "labels": labels}


def of_sums() -> dict[str, list[Spec]]:
    """Return series of questions whose rows add up to rows of others of the series."""
    weeks = range(len(DAYS) - 6)
    return {
        "two levels by day": [
            counted(daily(day, unit=unit)) for day in DAYS for unit in ("admin3", "admin2")
        ],
        "levels in turn by day": [
            counted(daily(day, unit=("admin3", "admin2")[number % 2])) for number, day in enumerate(DAYS)
        ],
        "two levels of homes of a week, rolling": [
            counted(home(first, 7, unit)) for first in weeks for unit in ("admin3", "admin2")
        ],
        "levels in turn of homes of a week": [
            counted(home(first, 7, ("admin3", "admin2")[first % 2])) for first in weeks
        ],
        "homes of ten days, rolling": [
            counted(home(first, 10, unit)) for first in range(5) for unit in ("admin3", "admin2")
        ],
        "homes of windows that grow": [counted(home(0, days)) for days in range(3, len(DAYS) + 1)],
        "flows between weeks": [
            moves(kind, home(0, 7), home(first, 7)) for first in weeks[1:] for kind in ("flows", "inflows")
        ],
        "flows from day to day": [
            moves(kind, daily(day), daily(day + _DAY)) for day in DAYS[:-1] for kind in ("flows", "outflows")
        ],
        "labels, and everybody": [
            asked for first in range(8) for asked in (labelled(first), counted(visited(first + 3, 3)))
        ],
        "the nine questions": [question.spec for question in questions(SIZE)],
    }


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
