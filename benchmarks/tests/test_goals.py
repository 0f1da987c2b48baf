"""Check what a report says of the goals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from benchmarks import goals
from benchmarks.measure import with_means
from benchmarks.report import LATEST, page, summary


def report(cold: float, with_parts: float | None, stored: float = 0.01) -> dict[str, Any]:
    """The latest report with these numbers in all questions."""
    latest = json.loads(LATEST.read_text())
    numbers = {"ratio": cold, "standing_ratio": with_parts, "stored_seconds": stored}
    entries = {name: entry | numbers for name, entry in latest["questions"].items()}
    return with_means(latest | {"questions": entries})


def met(found: dict[str, Any]) -> list[bool | None]:
    return [goal.met for goal in goals.goals(found)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (report(55, 100, 0.015), [True, True, True, True, True, True]),
        (report(54.9, 99.9, 0.0151), [False, False, True, True, False, True]),
        (report(19.99, 20), [False, False, False, True, True, True]),
        (report(60, None), [True, None, True, None, True, True]),
    ],
)
def test_a_goal_is_met_from_its_number_on(found: dict[str, Any], expected: list[bool | None]) -> None:
    assert met(found) == expected


def test_a_goal_that_is_just_missed_does_not_look_met() -> None:
    assert goals.goals(report(54.99, 99.99))[1].found == "99.9 times"


def test_one_slow_stored_result_misses_the_goal() -> None:
    found = report(60, 120)
    next(iter(found["questions"].values()))["stored_seconds"] = 0.02
    assert met(found)[4] is False


def test_standing_parts_are_told_apart() -> None:
    data = {"columnar_bytes": 100 * 2**20, "tally_bytes": 2**21, "postgres_bytes": 1000 * 2**20, "days": 14}
    found = report(60, 120)
    found |= {"data": found["data"] | data, "standing_bytes": 5 * 2**20, "standing_seconds": 3.0}
    text = summary(found)
    assert "take 2 MB, 2.0% of the columnar copy, which is counted without them" in text
    assert "take 5 MB, 5.0% of the columnar copy, and with it and the tallies 10.7% of the size" in text
    assert "60 times faster" in text
    assert "120 times faster, 120.0 times at the least" in text


def test_a_run_without_standing_parts_has_a_page() -> None:
    assert "| not measured |" in page(report(60, None))
