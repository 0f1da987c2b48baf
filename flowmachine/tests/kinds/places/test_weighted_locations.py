"""Visits, majorities, fallbacks and days visited, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.queries.catalogue import load_any
from flowmachine.spec.query import NotBuildable

from ..specs import Spec, answer, coalesced, majority, visits, window
from ..world import Stage, drawn

#: Where people sleep: home and away; ann is mostly at home, bob half and half, cat once, dan unseen on the last day.
NIGHTS = drawn(
    """
    subscriber | time    | cell
    ann        | 1 10:00 | in-b
    ann        | 2 10:00 | in-b
    ann        | 3 10:00 | in-B
    bob        | 1 10:00 | in-b
    bob        | 2 10:00 | in-B
    cat        | 3 10:00 | in-é
    dan        | 1 10:00 | in-é
    """
)


def test_location_visits(stage_in_utc: Stage, executor: str) -> None:
    assert answer(stage_in_utc, visits(1, 2, 3, 3), NIGHTS, executor) == [
        ("ann", "B", 2),
        ("ann", "b", 2),
        ("bob", "B", 1),
        ("bob", "b", 1),
        ("cat", "é", 2),
        ("dan", "é", 1),
    ]


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({}, [("ann", "b"), ("cat", "é"), ("dan", "é")]),
        # One visit is not more than half of two.
        ({"minimum_total_weight": 2}, [("ann", "b")]),
        ({"minimum_total_weight": 1.9}, [("ann", "b"), ("cat", "é"), ("dan", "é")]),
        ({"minimum_total_weight": 4}, []),
        ({"include_unlocatable": True}, [("ann", "b"), ("bob", None), ("cat", "é"), ("dan", "é")]),
    ],
)
def test_majority_location(
    stage_in_utc: Stage, executor: str, fields: Spec, rows: list[tuple[Any, ...]]
) -> None:
    assert answer(stage_in_utc, majority(1, 2, 3, **fields), NIGHTS, executor) == rows


def test_a_negative_weight_cannot_be_demanded(stage_in_utc: Stage) -> None:
    query = load_any(majority(1, minimum_total_weight=-0.5))
    with stage_in_utc.loaded(NIGHTS) as (_, state), pytest.raises(NotBuildable, match="it must be 0 or more"):
        state.check(query)


def test_the_fallback_needs_weight(stage_in_utc: Stage, executor: str) -> None:
    preferred = majority(1, 2, include_unlocatable=True)
    # ann has a preferred location; the fallback of bob weighs 1, as does cat's, who has no preferred one at all.
    spec = coalesced(preferred, majority(2, 3), visits(2, 3), threshold=1)
    assert answer(stage_in_utc, spec, NIGHTS, executor) == [
        ("ann", "b"),
        ("bob", "B"),
        ("cat", "é"),
        ("dan", "é"),
    ]
    spec = coalesced(preferred, majority(2, 3), visits(2, 3), threshold=2)
    assert answer(stage_in_utc, spec, NIGHTS, executor) == [("ann", "b"), ("bob", None), ("dan", "é")]


def test_visited_most_days(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        days       | 1 10:00 | in-b
        days       | 2 10:00 | in-b
        days       | 1 11:00 | in-B
        days       | 1 12:00 | in-B
        days       | 1 13:00 | in-B
        events     | 1 10:00 | in-b
        events     | 1 11:00 | in-b
        events     | 1 12:00 | in-B
        latest     | 1 10:00 | in-é
        latest     | 1 11:00 | in-b
        tied       | 1 10:00 | in-b
        tied       | 1 10:00 | in-B
        """
    )
    rows = [("days", "b"), ("events", "b"), ("latest", "b"), ("tied", "B")]
    assert answer(stage_in_utc, window("visited_most_days"), world, executor) == rows
