"""Displacement by periods, on a world drawn as a table."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.queries.catalogue import load_any

from ..specs import answer, daily
from ..world import Stage, drawn

#: A is in-b, B is in-B; the first day says who lives where, and the halves of the others are four periods.
FOUR_PERIODS = """
    subscriber | time    | cell
    {s1}       | 1 10:00 | in-b
    {s1}       | 2 10:00 | in-b
    {s1}       | 2 20:00 | in-B
    {s1}       | 3 10:00 | in-B
    {s1}       | 3 20:00 | in-b
    {s2}       | 1 10:00 | in-b
    {s2}       | 2 10:00 | in-b
    {s2}       | 2 20:00 | in-B
    {s2}       | 3 20:00 | in-b
    {s3}       | 1 10:00 | in-b
    {s3}       | 2 10:00 | in-B
    {s3}       | 3 10:00 | in-B
    {s3}       | 3 20:00 | in-B
    {s4}       | 1 10:00 | in-b
    {s4}       | 2 20:00 | in-b
    {s4}       | 3 10:00 | in-b
    {s4}       | 3 20:00 | in-b
    """


def half(day: int, start: int, **more: Any) -> dict[str, Any]:
    return daily(day, hours={"start_hour": start, "end_hour": start + 12}, **more)


def status(minimum_periods: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "query_kind": "displacement_status",
        "reference_location": daily(1),
        "locations": [half(2, 0), half(2, 12), half(3, 0), half(3, 12)],
        "minimum_periods": minimum_periods,
        **more,
    }


def test_displacement_status(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(FOUR_PERIODS.format(s1="s1", s2="s2", s3="s3", s4="s4"))
    expected = {
        "s1": ["at_home", "displaced", "displaced", "returned"],
        "s2": ["at_home", "away", "not_seen", "at_home"],
        "s3": ["displaced", "not_seen", "displaced", "displaced"],
        "s4": ["not_seen", "at_home", "at_home", "at_home"],
    }
    assert answer(stage_in_utc, status(), world, executor) == [
        (who, "b", number, word) for who, words in expected.items() for number, word in enumerate(words, 1)
    ]


def test_who_has_no_reference_location_has_no_status(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        "subscriber | time | cell\ns1 | 1 10:00 | nowhere\ns1 | 2 10:00 | in-b\ns1 | 3 10:00 | in-b"
    )
    assert answer(stage_in_utc, status(), world, executor) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"locations": [daily(2), daily(3, aggregation_unit="admin2")], "minimum_periods": 1},
            {"locations": ["All locations must have the same aggregation unit as reference_location"]},
        ),
        (
            {"minimum_periods": 5},
            {"minimum_periods": ["Must be greater than or equal to 1 and less than or equal to 4."]},
        ),
        ({"minimum_periods": 0}, {"minimum_periods": ["Must be greater than or equal to 1."]}),
        ({"locations": []}, {"locations": ["Length must be between 1 and 366."]}),
        ({"locations": [daily(2)] * 367}, {"locations": ["Length must be between 1 and 366."]}),
    ],
)
def test_refusals(changed: dict[str, Any], message: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(status() | changed)
    assert refused.value.normalized_messages() == message
