"""Silent cells, on worlds of Fridays."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.queries.catalogue import load_any

from ..specs import answer, crowd, near
from ..world import FRIDAYS, Event, Stage, World, drawn

LAST = FRIDAYS[-1]
LOADED = frozenset(("calls", day) for day in FRIDAYS)


def silence(**more: Any) -> dict[str, Any]:
    fields = {"start_date": "2016-01-29", "end_date": "2016-01-30", "aggregation_unit": "admin3"}
    return {"query_kind": "network_silence", **fields, **more}


def used(cell: str, numbers: list[int], people: int = 16) -> list[Event]:
    """Let each of some people have so many events at a cell each Friday."""
    return [
        Event(f"{cell}{person}", datetime.combine(day, datetime.min.time()) + timedelta(hours=hour), cell)
        for day, number in zip(FRIDAYS, numbers, strict=True)
        for hour in range(number)
        for person in range(people)
    ]


def test_a_cell_with_a_baseline_and_no_event_is_silent(stage_in_utc: Stage, executor: str) -> None:
    """Sixteen people at two cells of é; the second has too few events to expect any."""
    world = World([*used("in-é", [10, 12, 10, 8, 0]), *used("beside", [1, 0, 1, 0, 2])], LOADED)
    assert answer(stage_in_utc, silence(), world, executor) == near(("é", LAST, 1, 1, 168.0, 32 / 168))
    # Two weeks before: nine events of each of sixteen people, and half an event.
    two = silence(lookback_weeks=2, minimum_baseline=8)
    assert answer(stage_in_utc, two, world, executor) == near(("é", LAST, 2, 1, 152.0, 32 / 152))


def test_days_that_are_not_loaded_are_no_days_of_silence(stage_in_utc: Stage, executor: str) -> None:
    events = used("in-é", [10, 10, 0, 0, 0])
    missing = World(events, frozenset(("calls", day) for day in (FRIDAYS[0], FRIDAYS[1], LAST)))
    assert answer(stage_in_utc, silence(), missing, executor) == [("é", LAST, 1, 1, 160.0, 0.0)]
    assert answer(stage_in_utc, silence(), World(events, LOADED), executor) == [("é", LAST, 1, 1, 80.0, 0.0)]
    # One day before is too little to expect anything.
    one = World(events, frozenset(("calls", day) for day in (FRIDAYS[1], LAST)))
    assert answer(stage_in_utc, silence(), one, executor) == []
    # Nothing is said of a day without data.
    whole = silence(start_date="2016-01-22")
    found = answer(stage_in_utc, whole, World(events, LOADED), executor)
    assert [row[1] for row in found] == [date(2016, 1, 22), LAST]


def test_few_people_are_not_told(stage_in_utc: Stage, executor: str) -> None:
    """Neither those before nor those on the day are fifteen."""
    before = World(used("in-é", [20, 20, 20, 20, 0], people=15), LOADED)
    assert answer(stage_in_utc, silence(), before, executor) == []
    on_the_day = World(
        [*used("in-é", [20, 20, 20, 20, 0]), *used("beside", [0, 0, 0, 0, 9], people=15)], LOADED
    )
    assert answer(stage_in_utc, silence(), on_the_day, executor) == []
    # Twenty people of whom too few bits tell are counted one by one.
    header = "subscriber | time | cell"
    weeks = "\n".join(crowd(20, f"{day.day} 10:00", "in-é", bits=10) for day in FRIDAYS)
    many = World(drawn(f"{header}\n{weeks}").events, LOADED)
    assert answer(stage_in_utc, silence(), many, executor) == [("é", LAST, 1, 0, 20.0, 1.0)]


def test_versions_of_a_cell_are_one_at_the_place_of_the_day(stage_in_utc: Stage, executor: str) -> None:
    """The cell was in b until 2 January, and is in é since."""
    moved = World(used("moves", [4, 4, 4, 4, 0]), LOADED)
    assert answer(stage_in_utc, silence(), moved, executor) == [("é", LAST, 1, 1, 64.0, 0.0)]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"lookback_weeks": 1}, "Must be greater than or equal to 2 and less than or equal to 26."),
        ({"minimum_baseline": 0.5}, "Must be greater than or equal to 1.0."),
        ({"subscriber_subset": None}, "Unknown field."),
    ],
)
def test_what_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(silence(**fields))
    assert refused.value.normalized_messages() == {next(iter(fields)): [told]}
