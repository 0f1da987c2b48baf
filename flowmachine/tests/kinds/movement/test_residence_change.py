"""Changes of residence, on worlds of months."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.queries.catalogue import load_any
from flowmachine.queries.movement.residence_change import example_homes

from ..specs import answer
from ..world import MONTHS, Event, Stage, World
from .drawing_residence_change import daily_homes

A, B = "in-b", "in-B"


def lived(**cells: str) -> World:
    """Let sixteen people of each name live each month at a, at b or nowhere."""
    places = {"a": A, "b": B, "-": None}
    events = [
        Event(f"{name}{number}", datetime.combine(day, time(12)), places[letter])
        for name, letters in cells.items()
        for number in range(16)
        for day, letter in zip(MONTHS, letters, strict=True)
    ]
    return World(events, frozenset(("calls", day) for day in MONTHS))


def changes(**more: Any) -> dict[str, Any]:
    return {"query_kind": "residence_change", "homes": daily_homes({"aggregation_unit": "admin3"}), **more}


def test_residence_change(stage_in_utc: Stage, executor: str) -> None:
    """With windows of five months, two stays of seven months are a move in the eighth."""
    moved = ("b", "B", date(2016, 8, 1), 16, 16)
    world = lived(moves="aaaaaaabbbbbbb")
    assert answer(stage_in_utc, changes(window=5, minimum_months=3), world, executor) == [moved]
    # The default window of 13 months sees seven months in the old home before it sees seven in the new one.
    assert answer(stage_in_utc, changes(), world, executor) == [moved]


def test_two_moves_count_twice(stage_in_utc: Stage, executor: str) -> None:
    world = lived(returns="aaaabbbbaaaa--", visits="aaaaabaabaaaaa", vanishes="aaaaaaaa------")
    assert answer(stage_in_utc, changes(window=3, minimum_months=2), world, executor) == [
        ("B", "b", date(2016, 9, 1), 16, 16),
        ("b", "B", date(2016, 5, 1), 16, 16),
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"window": 14, "minimum_months": 7}, {"minimum_months": ["Must be more than half of window."]}),
        ({"window": 3, "minimum_months": 4}, {"minimum_months": ["Must be less than or equal to 3."]}),
        ({"window": 15, "minimum_months": 9}, {"window": ["Must be less than or equal to 14."]}),
        ({"homes": example_homes()[:13]}, {"homes": ["Shorter than minimum length 14."]}),
        (
            {"homes": [*example_homes()[1:], example_homes()[0]]},
            {"homes": ["homes must be of distinct months, in order."]},
        ),
        (
            {"homes": [example_homes()[0], *example_homes()[:13]]},
            {"homes": ["homes must be of distinct months, in order."]},
        ),
    ],
)
def test_refusals(changed: dict[str, Any], message: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(changes() | changed)
    assert refused.value.normalized_messages() == message


def test_a_subset_says_nothing_of_the_month() -> None:
    rang = {"query_kind": "event_count", "start_date": "2015-01-01", "end_date": "2015-02-01"}
    load_any(changes(homes=[home | {"subscriber_subset": rang} for home in example_homes()]))
