"""Permanence and the locations that it labels, on worlds drawn as tables."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.queries.catalogue import load_any
from flowmachine.settings import Defaults
from flowsettings import SettingError

from ..specs import answer, rows
from ..world import Stage, World, drawn

DAILY: dict[str, Any] = {
    "query_kind": "daily_permanence",
    "start_date": "2016-01-01",
    "end_date": "2016-01-02",
    "aggregation_unit": "admin3",
}

FIRST = date(2016, 1, 1)

#: Eight hours at b, two at B: some at work where they live, who go out in the evening.
AT_HOME = "08 09 10 11 12 13 14 15 | 20 21"
#: Seven hours at b, three at B.
LESS_AT_HOME = "08 09 10 11 12 13 14 | 19 20 21"


def hourly(*people: tuple[str, str]) -> World:
    """Draw people with an event in the middle of hours at b, and then of hours at B."""
    lines = ["subscriber | time | cell"]
    for names, day in people:
        for cell, hours in zip(("in-b", "in-B"), day.split("|"), strict=True):
            lines += [f"{names} | 1 {hour}:30 | {cell}" for hour in hours.split()]
    return drawn("\n".join(lines))


def daily(stage: Stage, executor: str, world: World, **more: Any) -> list[Any]:
    return answer(stage, DAILY | more, world, executor)


def test_time_around_events_fills_slots(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        s1         | 1 08:00 | in-b
        s1         | 1 09:30 | in-b
        s1         | 1 10:00 | unknown
        s1         | 1 12:00 | in-B
        """
    )
    # b from 07:52:30 to 09:37:30, B from 11:52:30 to 12:07:30.
    assert daily(stage_in_utc, executor, world) == [("s1", "b", FIRST, 8), ("s1", "b", FIRST, 9)]
    # Each quarter of an hour that is half full.
    assert daily(stage_in_utc, executor, world, slots=96) == [
        ("s1", "B", FIRST, 47),
        ("s1", "B", FIRST, 48),
        *(("s1", "b", FIRST, slot) for slot in range(31, 39)),
    ]
    # The two events at b are too far apart, so that only 7.5 minutes around each are known.
    assert daily(stage_in_utc, executor, world, max_gap_day=5399) == []


def test_days_reach_into_each_other_and_nights_are_long(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        s1         | 1 23:00 | in-b
        s1         | 2 06:00 | in-b
        s1         | 2 22:00 | in-b
        s1         | 3 05:00 | in-b
        """
    )
    rows = daily(stage_in_utc, executor, world, end_date="2016-01-04")
    # The second pair of events lies not wholly in a night.
    assert rows == [("s1", "b", FIRST, 23), *(("s1", "b", date(2016, 1, 2), slot) for slot in range(6))]
    # A day's rows are the same whatever the window.
    alone = daily(stage_in_utc, executor, world, start_date="2016-01-02", end_date="2016-01-03")
    assert alone == rows[1:]


def test_what_is_passed_fast_is_a_move(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        s1         | 1 08:00 | in-b
        s1         | 1 09:00 | in-B
        s1         | 1 10:00 | in-b
        """
    )
    # There and back are some 254 km in two hours: 35 metres a second.
    at_b = [("s1", "b", FIRST, slot) for slot in (10, 7, 8, 9)]
    held = daily(stage_in_utc, executor, world, max_gap_other=3600, max_speed=36)
    assert held == [("s1", "B", FIRST, 8), ("s1", "B", FIRST, 9), *at_b]
    # Of a move no time is known, and its neighbours' sides towards it stay as they are.
    held = daily(stage_in_utc, executor, world, max_gap_other=3600, max_speed=34)
    assert held == at_b


def test_a_day_that_is_not_loaded_has_no_rows(stage_in_utc: Stage, executor: str) -> None:
    events = drawn(
        """
        subscriber | time    | cell
        s1         | 1 23:45 | in-b
        s1         | 3 00:15 | in-b
        """
    ).events
    loaded = frozenset({("calls", FIRST), ("calls", date(2016, 1, 3))})
    wide = {"end_date": "2016-01-04", "max_gap_other": 3600, "max_gap_day": 100_000}
    rows = daily(stage_in_utc, executor, World(events, loaded), **wide)
    assert rows == [("s1", "b", FIRST, 23), ("s1", "b", date(2016, 1, 3), 0)]
    # On a silent day that is loaded, the time between the two events belongs to them.
    rows = daily(stage_in_utc, executor, World(events), **wide)
    assert len([row for row in rows if row[2] == date(2016, 1, 2)]) == 24


def test_slots_are_counted_by_day_and_interval(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        s1         | 1 02:30 | in-b
        s1         | 1 03:30 | in-b
        s1         | 1 19:30 | in-B
        s1         | 1 20:30 | in-B
        s1         | 2 02:30 | in-B
        s1         | 2 03:30 | in-B
        s1         | 2 08:30 | in-b
        s1         | 2 09:30 | in-b
        """
    )

    def scored(**more: Any) -> list[Any]:
        spec = DAILY | {"end_date": "2016-01-03"}
        return rows(stage_in_utc, executor, world, "permanence", daily_permanence=spec, **more)

    # The first two slots are of the day before the window; those of the second night belong to Friday.
    assert scored() == [("s1", "B", 4, 1, 6, 2), ("s1", "b", 2, 1, 6, 2)]
    assert scored(day_start_hour=0) == [("s1", "B", 4, 2, 8, 2), ("s1", "b", 4, 2, 8, 2)]
    assert scored(interval="night") == [("s1", "B", 4, 1, 4, 1)]
    night = {"start_hour": 2, "end_hour": 7}
    # A night that begins after midnight is that of the day before.
    assert scored(interval="night", night=night) == [("s1", "B", 2, 1, 2, 1)]
    assert scored(interval="night", night=night, day_start_hour=0) == [
        ("s1", "B", 2, 1, 4, 2),
        ("s1", "b", 2, 1, 4, 2),
    ]
    assert scored(interval="working_hours") == [("s1", "b", 2, 1, 2, 1)]
    assert scored(interval="working_hours", day_type="workdays") == []
    assert scored(day_type="saturdays") == [("s1", "b", 2, 1, 2, 1)]
    assert scored(day_type="weekends") == [("s1", "b", 2, 1, 2, 1)]
    assert scored(day_type="fridays") == scored(day_type="workdays") == [("s1", "B", 4, 1, 4, 1)]
    assert scored(day_type="workdays", holidays=["2016-01-01"]) == []
    assert scored(day_type="holidays", holidays=["2016-01-01"]) == [("s1", "B", 4, 1, 4, 1)]


LABELS: dict[str, Any] = {"daily_permanence": DAILY, "min_score": 10, "min_days": 1}


def test_homes_and_workplaces_have_most_of_the_time(stage_in_utc: Stage, executor: str) -> None:
    world = hourly(("s1", AT_HOME), ("s2", LESS_AT_HOME))

    def located(**more: Any) -> list[Any]:
        return rows(stage_in_utc, executor, world, "permanence_location", **{**LABELS, **more})

    # Of ten slots s1 has eight at b, and s2 seven: usual, but no home. In working hours both are at b only.
    assert located(label="home") == [("s1", "b")]
    assert located(label="work") == [("s1", "b"), ("s2", "b")]
    assert located(label="home", label_share=70) == [("s1", "b"), ("s2", "b")]
    # With B usual, too, a smaller fall keeps it among homes, where the night decides.
    assert located(label="home", gap_share=100, ue_share=20, gap_score=7) == [("s1", "b"), ("s2", "B")]
    # The first rule that a location passes decides, and without one there is no home.
    assert located(label="home", gap_share=100, ue_share=20, label_share=81, gap_score=7) == [
        ("s1", "B"),
        ("s2", "B"),
    ]
    assert located(label="home", min_score=11) == located(label="home", min_days=2) == []


def test_a_deployment_sets_the_thresholds_of_specs_without(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {"query_kind": "permanence_location", "daily_permanence": DAILY, "label": "home", "ue_share": 40}
    usual = load_any(spec)
    monkeypatch.setenv("FLOWMACHINE_PERMANENCE", '{"min_score": 200, "ue_share": 50}')
    ours = load_any(spec)
    assert [ours.spec()[name] for name in ("min_score", "min_days", "ue_share")] == [200, 50, 40]
    # A spec is stored with its numbers: they, and the id, outlive a change of the setting.
    monkeypatch.delenv("FLOWMACHINE_PERMANENCE")
    assert load_any(ours.spec()).query_id == ours.query_id
    assert load_any(spec | {"min_score": 1500}).query_id == load_any(spec).query_id == usual.query_id
    with pytest.raises(ValidationError, match="may not be null"):
        load_any(spec | {"min_days": None})


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ('{"gap_share": 0}', "a JSON object with a gap_share from 1 to 100"),
        ('{"min_days": 2.5}', "a JSON object with a min_days from 0 to 1000000"),
        ('{"days": 3}', "a JSON object of whole numbers by min_score, min_days, gap_share,"),
        ("[300]", "a JSON object of whole numbers by"),
        ("many", "a JSON object of whole numbers by"),
    ],
)
def test_thresholds_that_no_spec_may_have_are_refused(given: str, allowed: str) -> None:
    unusable = f"FLOWMACHINE_PERMANENCE is '{given}'; it must be {allowed}"
    with pytest.raises(SettingError, match=re.escape(unusable)):
        Defaults.load({"FLOWKIT_SECRETS": "/no/such/folder", "FLOWMACHINE_PERMANENCE": given})


def counted(stage: Stage, executor: str, world: World, **more: Any) -> list[Any]:
    return answer(stage, {"query_kind": "usual_environment_counts", **LABELS, **more}, world, executor)


def test_each_label_counts_and_those_left_over_are_nobody_or_many(stage_in_utc: Stage, executor: str) -> None:
    few = hourly(("s1..16", AT_HOME), ("t1..15", LESS_AT_HOME))
    # For 15 b is usual and no home: the number of homes would tell of them.
    assert counted(stage_in_utc, executor, few) == [("b", "usual", 31.0, 31), ("b", "work", 31.0, 31)]
    assert counted(stage_in_utc, executor, few, labels=["home"]) == []
    many = hourly(("s1..16", AT_HOME), ("t1..16", LESS_AT_HOME))
    assert counted(stage_in_utc, executor, many, labels=["home", "usual"]) == [
        ("b", "home", 16.0, 16),
        ("b", "usual", 32.0, 32),
    ]


def test_of_two_locations_each_counts_half(stage_in_utc: Stage, executor: str) -> None:
    both = {"gap_share": 100, "ue_share": 20, "labels": ["usual"]}
    world = hourly(("s1..31", AT_HOME))
    assert counted(stage_in_utc, executor, world, **both) == [
        ("B", "usual", 15.5, 31),
        ("b", "usual", 15.5, 31),
    ]
    assert counted(stage_in_utc, executor, hourly(("s1..30", AT_HOME)), **both) == []


@pytest.mark.parametrize(
    ("spec", "field", "text"),
    [
        (DAILY | {"slots": 12}, "slots", "Must be one of: 24, 48, 96."),
        (DAILY | {"end_date": "2018-01-02"}, "end_date", "Must be at most 731 days after start_date."),
        (DAILY | {"start_date": "2016-01-01 01:00:00"}, "start_date", "multiple of 86400 seconds"),
        (DAILY | {"max_speed": 0}, "max_speed", "Must be greater than 0"),
        (DAILY | {"max_gap_day": -1}, "max_gap_day", "Must be greater than or equal to 0"),
    ],
)
def test_what_is_refused(spec: dict[str, Any], field: str, text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(spec)
    assert text in str(refused.value.messages[field])
