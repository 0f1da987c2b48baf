"""Measure how the engine's cost grows with days and with subscribers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.country import Country, Size
from benchmarks.engine import Ours
from benchmarks.measure import Say, warm_up
from benchmarks.questions import questions
from benchmarks.record import load

#: Days are added to one country, of which each question reads the first half of 7, 14 and 28.
DAYS = (7, 14, 28)
FEW = Size(50_000, max(DAYS), 375_000)
#: Subscribers are added by going to the country of the full scale, and to copies of its people.
MANY = Size(200_000, 14, 1_500_000)
COPIES = 4


def measure(workers: int, say: Say, keep: Callable[[list[dict[str, Any]]], list[Path]]) -> list[Path]:
    """Measure each question, cold, for each size; build missing countries.

    ``keep`` gets the numbers of a size as soon as they are there, and returns the files that it wrote.
    """
    written: list[Path] = []
    few, many = Country(FEW), Country(MANY)
    with few.running():
        for days in DAYS:
            written = keep([_asked(few, replace(FEW, days=days), workers, say)])
    with many.running():
        written = keep([_asked(many, MANY, workers, say)])
        written = keep([_asked(many, replace(MANY, subscribers=COPIES * MANY.subscribers), workers, say)])
    return written


def _asked(country: Country, size: Size, workers: int, say: Say) -> dict[str, Any]:
    """Ask the questions on a number of days and people.

    Copies of the country's people are used where necessary.
    """
    asked = questions(size, longest=size.days)
    copies = size.subscribers // country.size.subscribers
    with ExitStack() as stack:
        settings = {}
        if copies > 1:
            settings["FLOWDB_COLUMNAR_PATH"] = str(stack.enter_context(country.copied(copies)))
        engine = stack.enter_context(Ours(country, "duckdb", workers, **settings))
        warm_up(engine, asked)
        seconds = {
            question.name.replace("_", " "): min(engine.cold(question.spec).seconds for _ in range(2))
            for question in asked
        }
    say(f"{size.subscribers:,} subscribers, {size.days} days: {sum(seconds.values()):.1f} s for all")
    return {
        "subscribers": size.subscribers,
        "days": size.days,
        "events": round(country.facts["events"] * copies * size.days / country.size.days),
        "load_average": load(),
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
    }
