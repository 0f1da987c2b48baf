"""Residents who are active, on worlds drawn as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.queries.catalogue import load_any

from ..specs import answer, daily
from ..world import TYPES, Stage, drawn

#: At b live 33, of whom 17 ring at home on day 2 and 16 elsewhere; at B 20, of whom 15 ring on day 3.
RESIDENTS = drawn(
    """
    subscriber | time    | cell
    a1..17     | 1 10:00 | in-b
    a1..17     | 2 10:00 | in-b
    b1..16     | 1 10:00 | in-b
    b1..16     | 2 10:00 | in-é
    c1..20     | 1 10:00 | in-B
    c1..15     | 3 10:00 | unknown
    d1..15     | 1 10:00 | in-é
    d1..15     | 2 10:00 | in-é
    """
)


def residents(**more: Any) -> dict[str, Any]:
    window = {"start_date": "2016-01-01", "end_date": "2016-01-04"}
    return {"query_kind": "active_residents", **window, "reference_location": daily(1), **more}


def test_active_residents(stage_in_utc: Stage, executor: str) -> None:
    assert answer(stage_in_utc, residents(), RESIDENTS, executor) == [
        ("B", date(2016, 1, 1), 20, 20, 1.0),
        # Nobody was active: a number, where fifteen active beside five would be told by few.
        ("B", date(2016, 1, 2), 20, 0, 0.0),
        ("b", date(2016, 1, 1), 33, 33, 1.0),
        ("b", date(2016, 1, 2), 33, 33, 1.0),
        ("b", date(2016, 1, 3), 33, 0, 0.0),
    ]


def test_active_at_home(stage_in_utc: Stage, executor: str) -> None:
    at_home = residents(active="at_home", start_date="2016-01-02", end_date="2016-01-03")
    assert answer(stage_in_utc, at_home, RESIDENTS, executor) == [
        ("B", date(2016, 1, 2), 20, 0, 0.0),
        ("b", date(2016, 1, 2), 33, 17, pytest.approx(17 / 33)),
    ]


def test_a_day_that_is_not_loaded_has_no_row(stage_in_utc: Stage, executor: str) -> None:
    loaded = frozenset((event_type, date(2016, 1, day)) for event_type in TYPES for day in (1, 3))
    rows = answer(stage_in_utc, residents(), replace(RESIDENTS, loaded=loaded), executor)
    assert {row[1].day for row in rows} == {1, 3}


def test_days_are_whole() -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(residents(start_date="2016-01-01 12:00:00"))
    edge = "2016-01-01 12:00:00 must be a multiple of 86400 seconds from midnight"
    text = f"{edge}, as each edge of windows of whole days."
    assert refused.value.normalized_messages() == {"start_date": [text]}
