"""Hold a run's numbers to the goals of the design."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Any

#: Times faster than the published engine, geometric mean: with nothing stored, and with standing parts.
COLD, WITH_PARTS = 55, 100
#: Times faster than the published engine, of each question.
EACH = 20
#: Milliseconds of a stored result.
STORED = 15
#: Share of the partitions with their indexes that the columnar copy may take.
COPY = 0.1


@dataclass(frozen=True)
class Goal:
    """Hold a goal, what was found, and whether that is enough.

    ``met`` is None if nothing was measured.
    """

    text: str
    found: str
    met: bool | None


def goals(report: dict[str, Any]) -> list[Goal]:
    """Compare a report with all goals, in the order of the page."""
    entries = report["questions"].values()
    stored = max((entry["stored_seconds"] for entry in entries if entry["stored_seconds"]), default=None)
    copy = report["data"]["columnar_to_postgres"]
    return [
        _at_least(
            f"geometric mean against the published engine, with nothing stored: {COLD} times",
            report.get("geometric_mean_ratio"),
            COLD,
        ),
        _at_least(
            f"the same with standing parts of every day: {WITH_PARTS} times",
            report.get("geometric_mean_standing_ratio"),
            WITH_PARTS,
        ),
        _at_least(f"no question under {EACH} times with nothing stored", report.get("smallest_ratio"), EACH),
        _at_least(
            f"no question under {EACH} times with standing parts",
            report.get("smallest_standing_ratio"),
            EACH,
        ),
        Goal(
            f"a stored result in {STORED} ms, the slowest of the questions",
            "–" if stored is None else f"{stored * 1000:.3g} ms",
            None if stored is None else stored * 1000 <= STORED,
        ),
        Goal(f"columnar copy of at most {COPY:.0%} of PostgreSQL's size", f"{copy:.1%}", copy <= COPY),
    ]


def _at_least(text: str, found: float | None, goal: float) -> Goal:
    if found is None:
        return Goal(text, "–", None)
    # Rounded down, because a goal that is just missed must not look met.
    return Goal(text, f"{floor(found * 10) / 10:g} times", found >= goal)


def table(report: dict[str, Any]) -> str:
    """Write the goals as rows."""
    words = {True: "yes", False: "no", None: "not measured"}
    rows = [f"| {goal.text} | {goal.found} | {words[goal.met]} |" for goal in goals(report)]
    return "\n".join(["| Goal | Found | Met |", "|---|---:|---|", *rows]) + "\n"
