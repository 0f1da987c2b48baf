"""Measure the loader at an operator's size, beside a plain COPY of the same files.

Two million people; a file holds a million records of random parties, so that nearly every number of the first
file is new. Measured are wall time, processor time of loader and database, and the loader's peak memory.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.country import START, Country, Size
from benchmarks.loading_report import RESULT
from benchmarks.memory import PeakMemory, descendants
from benchmarks.record import load, write_whole
from flowetl.deployment import Deployment
from flowetl.loading import load_day

SUBSCRIBERS = 2_000_000
ROWS = 1_000_000
CELLS = 3000
DAYS = [START + dt.timedelta(number) for number in range(4)]
_SOURCE = """
name: calls
cdr_type: calls
path: calls_{date}.csv.gz
schedule: "0 2 * * *"
start: 2016-01-01
stability: {pause: 0}
fields: [call_id, record_type, start_time, duration, calling, called, imsi, imei, cell_id]
mapping:
  id: call_id
  outgoing: {column: record_type, values: {MOC: true, MTC: false}}
  datetime: start_time
  duration: duration
  msisdn: {when: record_type, MOC: calling, MTC: called}
  msisdn_counterpart: {when: record_type, MOC: called, MTC: calling}
  location_id: cell_id
  imsi: imsi
  imei: imei
identifiers: {calling_code: "977", trunk_prefix: "0", national_lengths: [8, 10]}
"""
_RECORDS = """
SELECT format('{{:x}}', hash(n, 'call')) AS call_id, CASE WHEN out THEN 'MOC' ELSE 'MTC' END AS record_type,
    DATE '{day}' + to_seconds(n * 86399 // {rows}) AS start_time, hash(n, 'length') % 900 AS duration,
    9800000000 + CASE WHEN out THEN served ELSE other END AS calling,
    9800000000 + CASE WHEN out THEN other ELSE served END AS called,
    429010000000000 + served AS imsi, 350000000000000 + hash(served) % 40 * 10000000 + served AS imei,
    'c' || hash(served, n // {moving}) % {cells} AS cell_id
FROM (
    SELECT n, n % 2 = 0 AS out, hash(n, '{day}') % {people} AS served, hash(n, '{day}', 'other') % {people} AS other
    FROM range({rows}) AS records (n)
)
"""


class Operator(Country):
    """Hold an operator's files and a database of their own."""

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    def file(self, day: dt.date) -> Path:
        """Return the file of a day."""
        return self.landing / f"calls_{day}.csv.gz"

    def _load(self) -> None:
        """Write the files and load the cells; days are loaded by those who measure."""
        sources = self.folder / "sources"
        for folder in (sources, self.landing):
            folder.mkdir(parents=True, exist_ok=True)
        (sources / "calls.yml").write_text(_SOURCE)
        for day in DAYS:
            if not self.file(day).exists():
                self._write(day)
        lines = [f"c{n},{27 + n % 50 / 100},{84 + n // 50 / 100}" for n in range(CELLS)]
        (self.landing / "cells.csv").write_text("\n".join(["id,latitude,longitude", *lines, ""]))
        self._run("flowetl", "geography", str(self.landing))

    def _write(self, day: dt.date) -> None:
        rows = self.size.events_per_day
        statement = _RECORDS.format(
            day=day, rows=rows, people=self.size.subscribers, cells=CELLS, moving=max(rows // 4, 1)
        )
        partial_file = self.file(day).with_suffix(".partial")
        duckdb.execute(f"COPY ({statement}) TO '{partial_file}' (FORMAT csv, HEADER, COMPRESSION gzip)")
        partial_file.rename(self.file(day))

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "FLOWETL_SOURCES": str(self.folder / "sources"),
            "FLOWETL_LANDING": str(self.landing),
        }

    def postmaster(self) -> int:
        """Return the process id of the database server."""
        return int((self.cluster.data / "postmaster.pid").read_text().splitlines()[0])

    def copy(self, day: dt.date) -> float:
        """Copy a day's file as it is into a table, and index it as the loader does.

        Returns the processor seconds of this process.
        """
        started = time.process_time()
        connection = self.connect()
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS plain")
            cursor.execute("BEGIN")
            cursor.execute(
                "CREATE TABLE plain (call_id text, record_type text, start_time timestamptz, duration numeric, "
                "calling text, called text, imsi text, imei text, cell_id text)"
            )
            with gzip.open(self.file(day)) as file:
                cursor.copy_expert("COPY plain FROM STDIN (FORMAT csv, HEADER, FREEZE)", file, 1 << 20)
            for column in ("calling", "cell_id"):
                cursor.execute(f"CREATE INDEX ON plain ({column})")
            cursor.execute("ANALYZE plain")
            cursor.execute("COMMIT")
        connection.close()
        return time.process_time() - started


def measure(
    say: Callable[[str], None],
    write: Callable[[], list[Path]],
    subscribers: int = SUBSCRIBERS,
    rows: int = ROWS,
) -> list[Path]:
    """Measure plain COPY and the loader: numbers new and known, one day and several.

    Returns the files that were written, those of ``write`` among them.
    """
    operator = Operator(Size(subscribers, len(DAYS), rows))
    found: dict[str, Any] = {}
    with operator.running():
        connection = operator.connect()
        for statement in ("TRUNCATE etl.subscriber_keys", "DROP TABLE IF EXISTS plain"):
            connection.cursor().execute(statement)
        connection.close()
        with _Loader(operator.environment()) as loader:
            steps: dict[str, tuple[int, Callable[[], float]]] = {
                "plain COPY": (1, lambda: operator.copy(START)),
                "all numbers new": (1, lambda: loader.load(START)),
                "the next day": (1, lambda: loader.load(DAYS[1])),
                "all numbers known": (1, lambda: loader.load(DAYS[1])),
                "days at once, numbers known": (len(DAYS), lambda: loader.load_all()),
            }
            for name, (days, step) in steps.items():
                if days > 1:
                    loader.meet_everybody()
                found[name] = _measured(operator, loader, days * rows, step)
                found[name]["loader_megabytes"] = (
                    None if name == "plain COPY" else found[name]["loader_megabytes"]
                )
                say(f"{name}: " + ", ".join(f"{key} {value}" for key, value in found[name].items()))
    report = {
        "date": str(dt.date.today()),
        "processors": os.cpu_count(),
        "subscribers": subscribers,
        "rows": rows,
        "steps": found,
    }
    write_whole(RESULT, json.dumps(report, indent=2) + "\n")
    return [RESULT, *write()]


def _measured(operator: Operator, loader: _Loader, rows: int, step: Callable[[], float]) -> dict[str, Any]:
    busy = load()
    database, started = _processor_seconds(operator.postmaster()), time.monotonic()
    with PeakMemory(loader.processes) as memory:
        client = step()
    seconds = time.monotonic() - started
    database = _processor_seconds(operator.postmaster()) - database
    return {
        "rows": rows,
        "rows_per_second": round(rows / seconds),
        "seconds": round(seconds, 2),
        "loader_processor_seconds": round(client, 2),
        "database_processor_seconds": round(database, 2),
        "loader_megabytes": round(memory.megabytes),
        "load": busy,
    }


class _Loader:
    """Run processes that load, one for each processor.

    They remember numbers from day to day, as those of ``backfill`` do.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pools = [
            ProcessPoolExecutor(1, spawn, _begin, (environment,)) for _ in range(os.cpu_count() or 1)
        ]
        self._ids = [pool.submit(os.getpid).result() for pool in self._pools]

    def __enter__(self) -> _Loader:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools:
            pool.shutdown()

    def processes(self) -> list[int]:
        """Return the processes' ids."""
        return self._ids

    def load(self, day: dt.date) -> float:
        """Load a day with all processors; return the processor seconds."""
        return self._pools[0].submit(_load, day, len(self._pools)).result()

    def load_all(self) -> float:
        """Load all days again, in all processes; return the processor seconds."""
        asked = [pool.submit(_load_each, share) for pool, share in self._shares()]
        return sum(each.result() for each in asked)

    def meet_everybody(self) -> None:
        """Load once, because a process that never loaded knows no number."""
        self.load_all()

    def _shares(self) -> Iterator[tuple[ProcessPoolExecutor, list[dt.date]]]:
        for place, pool in enumerate(self._pools):
            yield pool, DAYS[place :: len(self._pools)]


def _begin(environment: dict[str, str]) -> None:
    os.environ.update(environment)


def _load(day: dt.date, threads: int) -> float:
    """Load a day in this process; return its processor seconds."""
    started = time.process_time()
    deployment = Deployment.from_settings()
    load_day(deployment, deployment.sources()["calls"], day, threads=threads)
    return time.process_time() - started


def _load_each(days: list[dt.date]) -> float:
    return sum(_load(day, 1) for day in days)


def _processor_seconds(postmaster: int) -> float:
    """Return what a database server has used, with its processes that ended."""
    total = 0
    for process in descendants(postmaster):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        # Own time in user and kernel mode; of the server also that of children that ended.
        total += sum(map(int, fields[11:15] if process == postmaster else fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")
