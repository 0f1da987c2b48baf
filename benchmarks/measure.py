"""One run: each question on each engine, the answers compared."""

from __future__ import annotations

import datetime as dt
import math
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.compare import Comparison, compare
from benchmarks.country import Country, Size
from benchmarks.engine import Answer, Ours, TookTooLong
from benchmarks.hand_written import HandWritten
from benchmarks.published import NotAvailable, Published
from benchmarks.questions import UNIT, Question, Spec, questions

Say = Callable[[str], None]

#: A question that the published engine does not finish in so long counts with this time.
LIMIT = 120.0

#: Where an answer may lack rows of the published engine's, and why.
_RELEASED_BY_OTHER_RULES = {
    "network_objects": "the published engine publishes them however few subscribers stand behind a row",
}


@dataclass
class Measured:
    """The answers to one question by engine, and what they are compared with."""

    question: Question
    ours: Answer
    postgres: Answer | None = None
    hand_written: Answer | None = None
    published: Answer | None = None
    published_gave_up: str | None = None
    comparisons: dict[str, Comparison] = field(default_factory=dict)

    def disagreement(self) -> str | None:
        """The engine whose answer differs in a way that no known rule explains."""
        for engine, comparison in self.comparisons.items():
            explained = (
                engine == "published"
                and self.question.name in _RELEASED_BY_OTHER_RULES
                and not comparison.different
                and not comparison.only_first
            )
            if not comparison.same and not explained:
                return f"{self.question.title}: {engine}: {comparison}"
        return None

    def numbers(self) -> dict[str, Any]:
        """The question's entry in ``latest.json``."""
        published = self.published.seconds if self.published else LIMIT if self.published_gave_up else None
        return {
            "title": self.question.title,
            "ours_seconds": rounded(self.ours.seconds),
            "published_seconds": rounded(published),
            "hand_written_seconds": rounded(self.hand_written.seconds if self.hand_written else None),
            "ratio": rounded(published / self.ours.seconds if published else None),
            "to_hand_written": rounded(
                self.ours.seconds / self.hand_written.seconds if self.hand_written else None
            ),
            "postgres_seconds": rounded(self.postgres.seconds if self.postgres else None),
            "stored_seconds": rounded(self.ours.stored_seconds),
            "peak_megabytes": round(self.ours.megabytes),
            "postgres_peak_megabytes": self.postgres and round(self.postgres.megabytes),
            "published_peak_megabytes": self.published and round(self.published.megabytes),
            "published_gave_up": self.published_gave_up,
            "rows": len(self.ours.rows),
            "answers": {engine: str(comparison) for engine, comparison in self.comparisons.items()},
        }


def measure(
    size: Size,
    *,
    published: bool,
    workers: int,
    repeats: int,
    say: Say,
    keep: Callable[[dict[str, Any]], None],
    only: list[str] | None = None,
) -> dict[str, Any]:
    """Build the country if need be, ask everything, compare; the content of ``latest.json``.

    Each of our times is the best of ``repeats`` cold ones, before and again after the published engine, which is asked
    once, for it takes minutes.
    ``only`` names the questions to ask, all by default. ``keep`` gets what there is after each long step, so that an interrupted run leaves its part.
    """
    country = Country(size)
    with country.running():
        say(f"{country.facts['events']:,} events in both stores")
        everything = questions(size)
        asked = [question for question in everything if only is None or question.name in only]
        with Ours(country, "duckdb", workers) as engine:
            warm_up(engine, everything)
            accepted = _seconds_to_accept_5000_parts(engine)
            measured = [Measured(question, _best(engine.cold, question, repeats)) for question in asked]
            _tell(say, "ours", [one.ours for one in measured])
        hand_written = HandWritten(country)
        for one in measured:
            one.hand_written = hand_written.cold(one.question)
            one.comparisons["hand_written"] = compare(one.ours.rows, one.hand_written.rows)
        _tell(say, "hand-written", [one.hand_written for one in measured])

        def report(skipped: str | None = None) -> dict[str, Any]:
            return _report(country, measured, workers, repeats, accepted, skipped)

        skipped = None if published else "left out as asked"
        try:
            if published:
                for one in _ask_published(country, measured):
                    _tell(say, f"published: {one.question.title}", [one.published])
                    keep(report())
        except NotAvailable as error:
            skipped = str(error)
            say(f"published: not asked: {skipped}")
        if published:
            # Minutes have passed, and a shared machine may be busier or calmer now: the best of both times counts.
            with Ours(country, "duckdb", workers) as engine:
                warm_up(engine, everything)
                for one in measured:
                    one.ours = _quicker(one.ours, _best(engine.cold, one.question, repeats))
            for one in measured:
                assert one.hand_written is not None
                one.hand_written = _quicker(one.hand_written, hand_written.cold(one.question))
            _tell(say, "ours, before and after", [one.ours for one in measured])
            _tell(say, "hand-written, before and after", [one.hand_written for one in measured])
            keep(report(skipped))
        with Ours(country, "postgres", workers) as engine:
            warm_up(engine, everything)
            for one in measured:
                one.postgres = engine.cold(one.question.spec)
                one.comparisons["postgres"] = compare(one.ours.rows, one.postgres.rows)
                keep(report(skipped))
        _tell(say, "ours on PostgreSQL", [one.postgres for one in measured])
        return report(skipped)


def warm_up(engine: Ours, asked: list[Question]) -> None:
    """Have the processes started, the libraries imported and the maps of the cells made before anything is timed."""
    for name in ("daily_last", "radius_of_gyration"):
        engine.cold(next(question.spec for question in asked if question.name == name))


def _best(ask: Callable[[Spec], Answer], question: Question, repeats: int) -> Answer:
    return min((ask(question.spec) for _ in range(repeats)), key=lambda answer: answer.seconds)


def _quicker(first: Answer, second: Answer) -> Answer:
    return min(first, second, key=lambda answer: answer.seconds)


def _seconds_to_accept_5000_parts(engine: Ours) -> float:
    """Seconds until a modal location over 5,000 distinct parts is accepted; it is cancelled at once."""
    spec = spec_of_parts(5000)
    query_id, seconds = engine.client.accept(spec)
    engine.client.ask("cancel_query", {"query_id": query_id})
    return seconds


def spec_of_parts(parts: int) -> Spec:
    """A modal location of so many daily locations; hours make more distinct ones than the data have days."""
    hours = [(first, last) for first in range(24) for last in range(25) if first != last]
    variants = [
        {
            "query_kind": "daily_location",
            "date": (dt.date(2016, 1, 1) + dt.timedelta(day)).isoformat(),
            "method": method,
            "aggregation_unit": UNIT,
            "hours": {"start_hour": first, "end_hour": last},
        }
        for day in range(7)
        for method in ("last", "most-common")
        for first, last in hours
    ]
    return {
        "query_kind": "spatial_aggregate",
        "locations": {"query_kind": "modal_location", "locations": variants[:parts]},
    }


def _ask_published(country: Country, measured: list[Measured]) -> Iterator[Measured]:
    """Ask the published engine; each question when it is answered or given up. Raises NotAvailable."""
    with Published(country) as engine:
        engine.cold(measured[0].question.spec)
        for one in measured:
            try:
                one.published = engine.cold(one.question.spec, LIMIT)
                one.comparisons["published"] = compare(one.ours.rows, one.published.rows)
            except TookTooLong as error:
                one.published_gave_up = str(error)
            yield one


def _report(
    country: Country,
    measured: list[Measured],
    workers: int,
    repeats: int,
    accepted: float,
    skipped: str | None,
) -> dict[str, Any]:
    entries = {one.question.name: one.numbers() for one in measured}
    return with_means(
        {
            "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
            "data": country.facts,
            "machine": {**machine(), "workers": workers},
            "repeats": repeats,
            "published_skipped": skipped,
            "accept_5000_parts_seconds": rounded(accepted),
            "disagreements": [text for one in measured if (text := one.disagreement())],
            "questions": entries,
        }
    )


def with_means(report: dict[str, Any]) -> dict[str, Any]:
    """The report with the means over its questions."""
    entries = report["questions"].values()
    return report | {
        "geometric_mean_ratio": rounded(_mean([entry["ratio"] for entry in entries])),
        "smallest_ratio": min((entry["ratio"] for entry in entries if entry["ratio"]), default=None),
        "geometric_mean_to_hand_written": rounded(_mean([entry["to_hand_written"] for entry in entries])),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else None


def rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """What it was measured on, and how busy that was."""
    return {
        "processors": os.cpu_count(),
        "model": _processor(),
        "memory_gigabytes": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "duckdb": duckdb.__version__,
        "load_average": round(os.getloadavg()[2], 1),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _tell(say: Say, engine: str, answers: list[Answer | None]) -> None:
    say(f"{engine}: " + ", ".join(f"{answer.seconds:.3g} s" for answer in answers if answer))
