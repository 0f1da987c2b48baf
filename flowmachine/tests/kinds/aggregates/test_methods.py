"""Durations of stays by home, and migration, on worlds drawn as tables."""

from __future__ import annotations

import math
from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.queries.catalogue import load_any

from ..specs import answer, near
from ..world import Stage, World, drawn

WINDOW: dict[str, Any] = {"start_date": "2016-01-01", "end_date": "2016-01-02", "aggregation_unit": "admin3"}

DURATIONS: dict[str, Any] = {
    "query_kind": "stay_durations",
    "stays": {"query_kind": "stays", **WINDOW},
    "date": "2016-01-01",
    "home_location": {"query_kind": "most_frequent_location", **WINDOW},
}


def test_hours_of_the_longest_stay_by_home(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 08:00 | in-b
        a1..16     | 1 09:00 | in-b
        b1..16     | 1 08:00 | in-b
        b1..16     | 1 10:00 | in-b
        c1..15     | 1 08:00 | in-B
        c1..15     | 1 10:00 | in-B
        d1..16     | 1 08:00 | in-B
        """
    )
    # Stays begin five minutes before the first event: 65 and 125 minutes. One event is no stay.
    deviation = 0.5 * math.sqrt(32 / 31)
    assert answer(stage_in_utc, DURATIONS, world, executor) == near(("b", "b", 32, 95 / 60, deviation))
    longer = DURATIONS | {"minimum_minutes": 66}
    assert answer(stage_in_utc, longer, world, executor) == near(("b", "b", 16, 125 / 60, 0.0))


def period(day: int) -> dict[str, Any]:
    window = {"start_date": f"2016-01-0{day}", "end_date": f"2016-01-0{day + 1}"}
    return {"query_kind": "daily_permanence", **window, "aggregation_unit": "admin3", "max_speed": 100}


MIGRATION: dict[str, Any] = {
    "query_kind": "internal_migration",
    "previous": period(1),
    "new": period(2),
    "min_score": 1,
    "min_days": 1,
    "ue_share": 50,
    "label_share": 50,
}


def living(*people: tuple[str, str, str]) -> World:
    """Draw people with their homes on two days: one, or two with four hours each."""
    lines = ["subscriber | time | cell"]
    for names, *homes in people:
        for day, cells in enumerate(homes, 1):
            held = cells.split()
            for hour in range(8, 16):
                cell = held[(hour - 8) * len(held) // 8]
                lines.append(f"{names} | {day} {hour:02}:30 | {cell}")
    return drawn("\n".join(lines))


def test_who_has_few_homes_in_common_migrates(stage_in_utc: Stage, executor: str) -> None:
    world = living(
        ("a1..16", "in-b", "in-B"),
        ("b1..32", "in-b in-B", "in-é"),
        # Half of their homes are the same: they stay.
        ("c1..99", "in-b in-B", "in-B in-é"),
        ("d1..30", "in-B in-b", "in-a1"),
        ("e1..16", "in-b", "unknown"),
    )
    assert answer(stage_in_utc, MIGRATION, world, executor) == [
        ("B", "é", 16.0, 32),
        ("b", "B", 16.0, 16),
        ("b", "é", 16.0, 32),
    ]


def test_the_threshold_is_the_overlap_of_those_who_stay(stage_in_utc: Stage, executor: str) -> None:
    world = living(("c1..64", "in-b in-B", "in-B in-é"))
    assert answer(stage_in_utc, MIGRATION, world, executor) == []
    # Of four pairs of homes that of B with itself does not count.
    assert answer(stage_in_utc, MIGRATION | {"migration_threshold": 0.51}, world, executor) == [
        ("B", "é", 16.0, 64),
        ("b", "B", 16.0, 64),
        ("b", "é", 16.0, 64),
    ]


@pytest.mark.parametrize(
    ("spec", "field", "text"),
    [
        (
            MIGRATION | {"new": period(2) | {"aggregation_unit": "admin2"}},
            "new",
            "Must have the same aggregation unit as previous.",
        ),
        (
            DURATIONS | {"home_location": DURATIONS["home_location"] | {"aggregation_unit": "admin2"}},
            "home_location",
            "Must have the same aggregation unit as stays.",
        ),
        (DURATIONS | {"date": "2016-01-02"}, "date", "date must lie in the window of stays."),
        (MIGRATION | {"migration_threshold": 1.5}, "migration_threshold", "less than or equal to 1"),
    ],
)
def test_what_is_refused(spec: dict[str, Any], field: str, text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(spec)
    assert text in str(refused.value.messages[field])  # type: ignore[index]
