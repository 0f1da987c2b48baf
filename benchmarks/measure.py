"""One run: each question on each engine, the answers compared."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from layout import CHECKOUT

from benchmarks.compare import Comparison, compare
from benchmarks.country import Country, Size
from benchmarks.engine import Answer, EngineFailed, Ours
from benchmarks.hand_written import HandWritten
from benchmarks.published import Published
from benchmarks.questions import STANDING, UNIT, Question, Spec, questions
from benchmarks.record import Ask, Outcome, Record, ask_all

Say = Callable[[str], None]

#: A question that the published engine does not finish in so long counts with this time.
LIMIT = 120.0
#: The steps of a run in their order. Ours and the statements written by hand are measured before and after the
#: published engine, which takes minutes: a shared machine may be busier or calmer by then.
STEPS = ("ours", "hand_written", "published", "ours_again", "hand_written_again", "standing", "postgres")
#: The steps that are no question: accepting a specification, and making the standing parts.
ACCEPT = "accept_5000_parts"
PARTS = "standing_parts"

#: Where an answer may lack rows of the published engine's, and why.
_RELEASED_BY_OTHER_RULES = {
    "network_objects": "the published engine publishes them however few subscribers stand behind a row",
}


class Measured:
    """Hold one question's answers and their comparison."""

    def __init__(self, question: Question, record: Record) -> None:
        self.question = question
        found = {step: record.outcome(step, question.name) for step in STEPS}
        self.ours = _quicker(found["ours"], found["ours_again"])
        self.hand_written = _quicker(found["hand_written"], found["hand_written_again"])
        self.published, self.postgres = found["published"], found["postgres"]
        self.standing = found["standing"]
        self._by_engine = {
            "hand_written": self.hand_written,
            "standing": self.standing,
            "published": self.published,
            "postgres": self.postgres,
        }
        ours = _answer(self.ours)
        self.comparisons: dict[str, Comparison] = {
            engine: compare(ours.rows, answer.rows)
            for engine, outcome in self._by_engine.items()
            if ours and (answer := _answer(outcome))
        }

    def disagreement(self) -> str | None:
        """Return an engine whose answer differs unexplained, or ours if it is missing."""
        if self.ours and not self.ours.answer:
            return f"{self.question.title}: ours: {self.ours.failed or self.ours.gave_up}"
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
        ours, published = _answer(self.ours), _answer(self.published)
        postgres, hand_written = _answer(self.postgres), _answer(self.hand_written)
        standing = _answer(self.standing)
        gave_up = self.published.gave_up if self.published else None
        published_seconds = published.seconds if published else LIMIT if gave_up else None
        outcomes = {"ours": self.ours, **self._by_engine}
        return {
            "title": self.question.title,
            "ours_seconds": rounded(_seconds(ours)),
            "published_seconds": rounded(published_seconds),
            "hand_written_seconds": rounded(_seconds(hand_written)),
            "ratio": rounded(published_seconds / ours.seconds if ours and published_seconds else None),
            "standing_seconds": rounded(_seconds(standing)),
            "standing_ratio": rounded(
                published_seconds / standing.seconds if standing and published_seconds else None
            ),
            "to_hand_written": rounded(
                ours.seconds / hand_written.seconds if ours and hand_written else None
            ),
            "postgres_seconds": rounded(_seconds(postgres)),
            "stored_seconds": rounded(ours.stored_seconds if ours else None),
            "peak_megabytes": ours and round(ours.megabytes),
            "postgres_peak_megabytes": postgres and round(postgres.megabytes),
            "published_peak_megabytes": published and round(published.megabytes),
            "published_gave_up": gave_up,
            "rows": ours and len(ours.rows),
            "answers": {engine: str(comparison) for engine, comparison in self.comparisons.items()},
            "failed": {name: one.failed for name, one in outcomes.items() if one and one.failed},
            "load": {name: one.load for name, one in outcomes.items() if one},
        }


def _answer(outcome: Outcome | None) -> Answer | None:
    return None if outcome is None else outcome.answer


def _seconds(answer: Answer | None) -> float | None:
    return None if answer is None else answer.seconds


def _quicker(first: Outcome | None, second: Outcome | None) -> Outcome | None:
    """The outcome with the better time; without any time, the first."""
    answered = [(one.answer.seconds, one) for one in (first, second) if one and one.answer]
    return min(answered, key=itemgetter(0))[1] if answered else first


def measure(
    size: Size,
    *,
    published: bool,
    workers: int,
    repeats: int,
    say: Say,
    keep: Callable[[dict[str, Any]], None],
    only: list[str] | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Build the country if necessary, ask everything, compare.

    Each of our times is the best of ``repeats`` cold ones, before and again after the published engine, which is asked
    once, because it takes minutes. ``only`` names the questions to ask, all by default. ``keep`` gets what there is
    after each step. ``resume`` goes on with the record that an interrupted run left in the country's folder.
    """
    country = Country(size)
    settings = {"workers": workers, "repeats": repeats, "published": published, "code": _code()}
    record = Record(country.folder / "run.json", settings, resume=resume)
    with country.running():
        say(f"{country.facts['events']:,} events in both stores")
        everything = {question.name: question for question in questions(size)}
        asked = [name for name in everything if only is None or name in only]

        def report() -> dict[str, Any]:
            measured = [Measured(everything[name], record) for name in asked]
            return _report(
                country,
                measured,
                workers,
                repeats,
                record.outcome("ours", ACCEPT),
                published,
                record.outcome("standing", PARTS),
            )

        hand_written = HandWritten(country)

        @contextmanager
        def ours(executor: str, repeats: int) -> Iterator[Ask]:
            with Ours(country, executor, workers) as engine:
                warm_up(engine, list(everything.values()))

                def ask(name: str) -> Answer:
                    if name == ACCEPT:
                        return _accepting_5000_parts(engine)
                    return _best(engine.cold, everything[name], repeats)

                yield ask

        @contextmanager
        def with_parts() -> Iterator[Ask]:
            listed = {"FLOWMACHINE_STANDING": json.dumps(STANDING)}
            with Ours(country, "duckdb", workers, **listed) as engine:
                made = engine.keep_standing(len(STANDING) * size.days)
                warm_up(engine, list(everything.values()))

                def ask(name: str) -> Answer:
                    if name == PARTS:
                        return made
                    return _best(engine.cold, everything[name], repeats)

                yield ask

        @contextmanager
        def by_hand() -> Iterator[Ask]:
            yield lambda name: hand_written.cold(everything[name])

        @contextmanager
        def theirs() -> Iterator[Ask]:
            with Published(country) as engine:
                try:
                    engine.cold(everything[asked[0]].spec, LIMIT)
                except EngineFailed as error:
                    say(f"published: warming up: {error}")
                yield lambda name: engine.cold(everything[name].spec, LIMIT)

        starts = {
            "ours": lambda: ours("duckdb", repeats),
            "hand_written": by_hand,
            "published": theirs,
            "ours_again": lambda: ours("duckdb", repeats),
            "hand_written_again": by_hand,
            "standing": with_parts,
            "postgres": lambda: ours("postgres", 1),
        }
        without = () if published else ("published", "ours_again", "hand_written_again")
        for step in STEPS:
            if step in without:
                continue

            def kept(name: str, outcome: Outcome, step: str = step) -> None:
                say(f"{step}: {name}: {_told(outcome)}")
                # Half of our own answers are no report yet.
                if step not in ("ours", "hand_written"):
                    keep(report())

            more = {"ours": [ACCEPT], "standing": [PARTS]}.get(step, [])
            ask_all(record, step, starts[step], [*asked, *more], kept)
        return report()


def _told(outcome: Outcome) -> str:
    said = (
        f"{outcome.answer.seconds:.3g} s"
        if outcome.answer
        else outcome.gave_up or f"failed: {outcome.failed}"
    )
    return f"{said}, load {outcome.load}"


def _code() -> str:
    """The commit that is measured, marked if files differ from it."""
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def warm_up(engine: Ours, asked: list[Question]) -> None:
    """Start processes, import libraries and make cell maps before timing."""
    for name in ("daily_last", "radius_of_gyration"):
        engine.cold(next(question.spec for question in asked if question.name == name))


def _best(ask: Callable[[Spec], Answer], question: Question, repeats: int) -> Answer:
    return min((ask(question.spec) for _ in range(repeats)), key=lambda answer: answer.seconds)


def _accepting_5000_parts(engine: Ours) -> Answer:
    """Time until a modal location over 5,000 distinct parts is accepted.

    The query is cancelled at once.
    """
    spec = spec_of_parts(5000)
    query_id, seconds = engine.client.accept(spec)
    engine.client.ask("cancel_query", {"query_id": query_id})
    return Answer(pd.DataFrame(), seconds, 0.0)


def spec_of_parts(parts: int) -> Spec:
    """Return a modal location of a number of daily locations.

    Hours make more distinct parts than the data have days.
    """
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


def _report(
    country: Country,
    measured: list[Measured],
    workers: int,
    repeats: int,
    accepted: Outcome | None,
    published: bool,
    parts: Outcome | None = None,
) -> dict[str, Any]:
    entries = {one.question.name: one.numbers() for one in measured}
    failures = {one.published.failed for one in measured if one.published}
    # One reason for all questions is a reason of the engine, not of the questions.
    [skipped] = failures if len(failures) == 1 and len(measured) > 1 else [None]
    accepting, stored_parts = _answer(accepted), _answer(parts)
    return with_means(
        {
            "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
            "data": country.facts,
            "standing_bytes": stored_parts and round(float(stored_parts.rows["bytes"][0])),
            "standing_seconds": rounded(_seconds(stored_parts)),
            "machine": {**machine(), "workers": workers},
            "repeats": repeats,
            "published_skipped": skipped if published else "left out as asked",
            "accept_5000_parts_seconds": rounded(_seconds(accepting)),
            "accept_5000_parts_load": accepted and accepted.load,
            "disagreements": [text for one in measured if (text := one.disagreement())],
            "questions": entries,
        }
    )


def with_means(report: dict[str, Any]) -> dict[str, Any]:
    """The report with the means over its questions."""
    entries = report["questions"].values()
    return report | {
        "geometric_mean_ratio": rounded(_mean([entry["ratio"] for entry in entries])),
        "smallest_ratio": _least([entry["ratio"] for entry in entries]),
        "geometric_mean_standing_ratio": rounded(_mean([entry.get("standing_ratio") for entry in entries])),
        "smallest_standing_ratio": _least([entry.get("standing_ratio") for entry in entries]),
        "geometric_mean_to_hand_written": rounded(_mean([entry["to_hand_written"] for entry in entries])),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else None


def _least(values: list[float | None]) -> float | None:
    return min((value for value in values if value), default=None)


def rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """Describe the machine and its load."""
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
