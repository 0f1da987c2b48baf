"""Load many days at once, in as many processes as there are cores."""

import datetime as dt
import logging
import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from typing import NamedTuple

from flowetl import records
from flowetl.deployment import Deployment, available_cores
from flowetl.errors import LoadError
from flowetl.events import CdrType
from flowetl.grown import grown
from flowetl.loading import Loaded, load_day
from flowetl.logs import configure_logging
from flowetl.partitions import analyse_parent
from flowetl.retention import first_kept
from flowetl.source import Source, days


@dataclass(frozen=True)
class Outcome:
    """Hold one day's outcome: ``loaded``, or the cause of its failure."""

    source: str
    date: dt.date
    loaded: Loaded | None
    cause: str = ""


@dataclass
class Summary:
    """Summarise a backfill."""

    days: int = 0
    rows: int = 0
    rejects: int = 0
    skipped: int = 0
    dropped: int = 0
    seconds: float = 0.0
    failures: list[Outcome] = field(default_factory=list)


class Missing(NamedTuple):
    """Hold missing days, newest first: those to load, and dropped days."""

    days: list[dt.date]
    dropped: list[dt.date]


def missing_days(deployment: Deployment, source: Source, start: dt.date, end: dt.date) -> Missing:
    """Return the source's missing days in a period, except days without a file.

    A visible day of which another file has come since is missing, too.
    Somebody wanted a dropped day to be gone, while its file may lie in the landing folder for long: it is loaded
    only when asked for by name.
    """
    first = max(start, source.start)
    if deployment.retain_months is not None:
        # A dropped day is not loaded, because the day was withdrawn on purpose.
        first = max(first, first_kept(dt.datetime.now(deployment.zone).date(), deployment.retain_months))
    last = min(end, source.end) if source.end else end
    with deployment.connect() as connection, connection.cursor() as cursor:
        there = records.available_days(cursor, source.cdr_type)
        dropped = records.dropped_days(cursor, source.cdr_type)
        there |= records.absent_days(cursor, source.cdr_type)
        if source.late.action == "merge":
            there -= grown(cursor, deployment, source, there & set(days(first, last)), last)
    absent = [date for date in days(first, last) if date not in there][::-1]
    return Missing(
        [date for date in absent if date not in dropped], [date for date in absent if date in dropped]
    )


def backfill(
    deployment: Deployment,
    sources: Iterable[Source],
    start: dt.date,
    end: dt.date,
    *,
    max_parallel: int | None = None,
    force: bool = False,
) -> Summary:
    """Load every day from start to end, inclusive, newest first.

    A day that fails does not stop the others.

    Parameters
    ----------
    max_parallel: how many days to load at once, by default one for each core.
    force: whether to load days again that are visible already, or were dropped.
    """
    started = time.monotonic()
    wanted: list[tuple[Source, dt.date]] = []
    summary = Summary()
    for source in sources:
        last = min(end, source.end) if source.end else end
        all_days = list(days(max(start, source.start), last))[::-1]
        chosen, dropped = (all_days, []) if force else missing_days(deployment, source, start, end)
        summary.dropped += len(dropped)
        summary.skipped += len(all_days) - len(chosen) - len(dropped)
        wanted += [(source, date) for date in chosen]
    # Mix the sources' days, so that large sources do not queue up at the end.
    wanted.sort(key=lambda item: item[1], reverse=True)

    progress = Progress(len(wanted))
    for outcome in _load_all(deployment, wanted, max_parallel or available_cores()):
        if outcome.loaded:
            summary.days += 1
            summary.rows += outcome.loaded.rows
            summary.rejects += outcome.loaded.rejects
        else:
            summary.failures.append(outcome)
        progress.show(outcome)
    progress.close()
    _analyse_parents(deployment, {source.cdr_type for source, _ in wanted})
    summary.seconds = time.monotonic() - started
    return summary


def _load_all(
    deployment: Deployment, wanted: Sequence[tuple[Source, dt.date]], parallel: int
) -> Iterator[Outcome]:
    parallel = min(parallel, len(wanted))
    if parallel <= 1:
        for source, date in wanted:
            yield _load_one(deployment, source, date, available_cores())
        return
    threads = max(1, available_cores() // parallel)
    waiting = deque(wanted)
    while waiting:
        lost: list[tuple[Source, dt.date]] = []
        yield from _load_side_by_side(deployment, waiting, lost, parallel, threads)
        # A killed process, for example when memory runs out, takes all days in progress along. Retry each
        # lost day alone.
        for source, date in lost:
            again: list[tuple[Source, dt.date]] = []
            yield from _load_side_by_side(deployment, deque([(source, date)]), again, 1, threads)
            if again:
                yield Outcome(
                    source.name, date, None, "its process was killed twice, as when memory runs out"
                )


def _load_side_by_side(
    deployment: Deployment,
    waiting: deque[tuple[Source, dt.date]],
    lost: list[tuple[Source, dt.date]],
    parallel: int,
    threads: int,
) -> Iterator[Outcome]:
    """Load waiting days in parallel until none is left or a process is killed.

    ``lost`` then takes the days in progress.
    """
    at_work: dict[Future[Outcome], tuple[Source, dt.date]] = {}
    # Spawn instead of fork, because a forked copy of DuckDB's and Arrow's threads may hang.
    with ProcessPoolExecutor(
        parallel,
        multiprocessing.get_context("spawn"),
        initializer=_prepare_process,
    ) as pool:
        try:
            while waiting or at_work:
                # Submit only as many days as run, so that no other day is lost with them.
                while waiting and len(at_work) < parallel:
                    source, date = waiting[0]
                    at_work[pool.submit(_load_one, deployment, source, date, threads)] = (source, date)
                    waiting.popleft()
                for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                    outcome = future.result()
                    del at_work[future]
                    yield outcome
        except BrokenProcessPool:
            lost += at_work.values()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _WithoutPandas(MetaPathFinder):
    """Make pandas look absent.

    Arrow and DuckDB import pandas when they first get an array, only to find that the array is not from
    pandas. That import takes longer than all others together.
    """

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _prepare_process() -> None:
    sys.meta_path.insert(0, _WithoutPandas())
    configure_logging(logging.WARNING)


def _load_one(deployment: Deployment, source: Source, date: dt.date, threads: int) -> Outcome:
    try:
        return Outcome(source.name, date, load_day(deployment, source, date, threads=threads))
    except LoadError as error:
        return Outcome(source.name, date, None, str(error))


def _analyse_parents(deployment: Deployment, cdr_types: Iterable[CdrType]) -> None:
    """Analyse every event type, one in each connection, so that no core is idle."""

    def analyse(cdr_type: CdrType) -> None:
        with deployment.connect() as connection, connection.cursor() as cursor:
            analyse_parent(cursor, cdr_type)

    with ThreadPoolExecutor(available_cores()) as pool:
        # Reading the results raises the failures.
        list(pool.map(analyse, cdr_types))


class Progress:
    """Show a progress bar on a terminal, else one line a day, on standard error."""

    WIDTH = 30

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._rows = 0
        self._started = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def show(self, outcome: Outcome) -> None:
        """Count one finished day."""
        self._done += 1
        self._rows += outcome.loaded.rows if outcome.loaded else 0
        rate = self._rows / max(time.monotonic() - self._started, 1e-9)
        counted = f"{self._done}/{self._total} days"
        if outcome.loaded:
            told = f"{outcome.loaded.rows:,} rows, {outcome.loaded.rejects:,} rejected, {outcome.loaded.seconds:.1f} s"
        else:
            told = f"FAILED: {outcome.cause}"
        line = f"{outcome.source} {outcome.date}: {told}"
        if self._terminal:
            filled = self.WIDTH * self._done // max(self._total, 1)
            if not outcome.loaded:
                sys.stderr.write(f"\r\x1b[K{line}\n")
            sys.stderr.write(
                f"\r\x1b[K[{'█' * filled}{'·' * (self.WIDTH - filled)}] {counted}  {rate:,.0f} rows/s"
            )
        else:
            sys.stderr.write(f"{counted}  {rate:,.0f} rows/s  {line}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """End the bar's line."""
        if self._terminal and self._done:
            sys.stderr.write("\n")
