"""Subscribers at points of time, on worlds drawn as tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.queries.catalogue import load_any

from ..specs import answer
from ..world import Stage, drawn

NOON = datetime(2016, 1, 1, 12)


def present(start: str, end: str, **more: Any) -> dict[str, Any]:
    fields = {"start_date": start, "end_date": end, "aggregation_unit": "admin3"}
    return {"query_kind": "present_population", **fields, **more}


def test_the_nearest_event_says_where_somebody_is(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..17     | 1 11:30 | in-b
        a1..17     | 1 12:30 | in-B
        b1..20     | 1 12:10 | in-B
        c1..40     | 1 10:59 | in-b
        d1..16     | 1 12:20 | in-b
        d1..16     | 1 11:50 | in-B
        e1..15     | 1 12:00 | in-é
        """
    )
    # Half an hour before goes before half an hour after; 61 minutes are too long ago; ten minutes before are nearer
    # than twenty after; fifteen are too few.
    spec = present("2016-01-01 12:00:00", "2016-01-01 12:00:00")
    assert answer(stage_in_utc, spec, world, executor) == [("B", NOON, 36), ("b", NOON, 17)]
    longer = present("2016-01-01 12:00:00", "2016-01-01 12:00:00", tolerance_minutes=61)
    assert answer(stage_in_utc, longer, world, executor) == [("B", NOON, 36), ("b", NOON, 57)]


def test_one_event_may_be_near_several_points(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 23:00 | in-b
        b1..17     | 2 00:30 | in-B
        """
    )
    spec = present("2016-01-01 22:00:00", "2016-01-02 01:00:00", interval_minutes=60)
    hours = [datetime(2016, 1, 1, 22), datetime(2016, 1, 1, 23), datetime(2016, 1, 2, 0)]
    last = datetime(2016, 1, 2, 1)
    assert answer(stage_in_utc, spec, world, executor) == [
        ("B", hours[2], 17),
        # The last point is the end.
        ("B", last, 17),
        ("b", hours[0], 16),
        ("b", hours[1], 16),
        ("b", hours[2], 16),
    ]


def test_points_lie_on_the_wall_clock(stage_in_nepal: Stage, executor: str) -> None:
    world = drawn("subscriber | time | cell\na1..16 | 1 00:45 | in-b")
    spec = present("2016-01-01", "2016-01-02")
    assert answer(stage_in_nepal, spec, world, executor) == [("b", datetime(2016, 1, 1), 16)]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"interval_minutes": 14}, {"interval_minutes": ["Must be greater than or equal to 15 and less"]}),
        (
            {"end_date": "2016-01-12", "interval_minutes": 15},
            {"interval_minutes": ["Must give at most 1000 points of time; these are 1057."]},
        ),
        ({"tolerance_minutes": 721}, {"tolerance_minutes": ["Must be greater than or equal to 1 and less"]}),
        ({"end_date": "2015-12-31"}, {"end_date": ["Must not be before start_date."]}),
    ],
)
def test_what_is_refused(fields: dict[str, Any], told: dict[str, list[str]]) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(present("2016-01-01", "2016-01-02") | fields)
    [(name, [text])] = told.items()
    assert list(refused.value.normalized_messages()) == [name]
    assert refused.value.normalized_messages()[name][0].startswith(text)
