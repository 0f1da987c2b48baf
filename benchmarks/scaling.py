"""How the engine's cost grows with days and with subscribers."""

from __future__ import annotations

from typing import Any

from benchmarks.country import Country, Size
from benchmarks.engine import Ours
from benchmarks.measure import Say, warm_up
from benchmarks.questions import questions

#: Events for each subscriber and day, as in the full scale.
_RATE = 7.5
SIZES = tuple(
    Size(subscribers, days, int(subscribers * _RATE))
    for subscribers, days in ((50_000, 7), (50_000, 14), (50_000, 28), (200_000, 14), (800_000, 14))
)


def measure(workers: int, say: Say, sizes: tuple[Size, ...] = SIZES) -> list[dict[str, Any]]:
    """Seconds of each question, cold, for each size; sizes whose data do not exist yet are built."""
    rows = []
    for size in sizes:
        country = Country(size)
        with country.running():
            asked = questions(size)
            with Ours(country, "duckdb", workers) as engine:
                warm_up(engine, asked)
                seconds = {
                    question.title: min(engine.cold(question.spec).seconds for _ in range(2))
                    for question in asked
                }
        rows.append(
            {
                "subscribers": size.subscribers,
                "days": size.days,
                "events": country.facts["events"],
                "seconds": {name: round(value, 4) for name, value in seconds.items()},
            }
        )
        say(f"{size.name}: {sum(seconds.values()):.1f} s for all")
    return rows
