"""Check days with a clock change: wall-clock and real time on both executors."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from flowdb.testing import TestCluster
from flowmachine.queries.catalogue import load_any

from .oracle import Oracle
from .world import TYPES, Event, Stage, World, stage

#: In London the hour from one is left out on the first, and shown twice on the second.
SPRING, AUTUMN = date(2016, 3, 27), date(2016, 10, 30)
#: In Havana the hour after midnight is shown twice, and so belongs twice to this day.
MIDNIGHT_TWICE = date(2016, 11, 6)


@pytest.fixture(scope="module")
def london(cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        cluster.database("Europe/London") as database,
        stage(database, tmp_path_factory.mktemp("london"), days=(SPRING, AUTUMN)) as set_up,
    ):
        yield set_up


@pytest.fixture(scope="module")
def havana(cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    days = (MIDNIGHT_TWICE - timedelta(1), MIDNIGHT_TWICE)
    with (
        cluster.database("America/Havana") as database,
        stage(database, tmp_path_factory.mktemp("havana"), days=days) as set_up,
    ):
        yield set_up


def world(*events: Event) -> World:
    days = {event.time.date() for event in events}
    return World(events, frozenset((event_type, day) for event_type in TYPES for day in days))


def at(clock: str, day: date, *, again: bool = False, **values: Any) -> Event:
    """An event of Ann's when the clock shows a time, or shows it again."""
    moment = datetime.fromisoformat(f"{day} {clock}").replace(fold=int(again))
    return Event("ann", moment, **values)


def answers(stage: Stage, spec: dict[str, Any], world: World, executor: str) -> list[tuple[Any, ...]]:
    """Return the executor's rows after comparing them with the plain definition's."""
    found = stage.evaluate(load_any(spec), world, executor)
    assert dict(Oracle(stage, world).answer(spec)) == pytest.approx(dict(found))
    return found


@pytest.mark.parametrize(("day", "before", "after"), [(SPRING, 11, 12), (AUTUMN, 13, 12)])
def test_a_balance_is_weighted_by_the_hours_that_passed(
    london: Stage, executor: str, day: date, before: int, after: int
) -> None:
    spec = {
        "query_kind": "topup_balance",
        "start_date": f"{day}",
        "end_date": f"{day + timedelta(1)}",
        "statistic": "sum",
    }
    topup = at("12:00", day, type="topups", pre_event_balance=10.0, post_event_balance=20.0)
    level_hours = before * 10 + after * 20
    assert answers(london, spec, world(topup), executor) == [("ann", pytest.approx(level_hours * 3600))]


def test_gaps_between_events_are_the_hours_that_passed(london: Stage, executor: str) -> None:
    spec = {
        "query_kind": "interevent_interval",
        "start_date": f"{AUTUMN}",
        "end_date": f"{AUTUMN + timedelta(1)}",
    }
    night = world(at("00:30", AUTUMN), at("02:30", AUTUMN))
    assert answers(london, spec, night, executor) == [("ann", 3 * 3600)]


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        # The window's edge is when the clock first shows it; from then on everything is later.
        (f"{AUTUMN} 01:30", f"{AUTUMN} 03:00", 3),
        (f"{AUTUMN} 00:00", f"{AUTUMN} 01:30", 2),
        (f"{AUTUMN} 01:00", f"{AUTUMN} 02:00", 4),
        (f"{AUTUMN}", f"{AUTUMN + timedelta(1)}", 5),
    ],
)
def test_a_window_may_begin_or_end_in_the_hour_shown_twice(
    london: Stage, executor: str, start: str, end: str, count: int
) -> None:
    night = world(
        at("00:50", AUTUMN),
        at("01:10", AUTUMN),
        at("01:40", AUTUMN),
        at("01:10", AUTUMN, again=True),
        at("01:40", AUTUMN, again=True),
    )
    spec = {"query_kind": "event_count", "start_date": start, "end_date": end}
    assert answers(london, spec, night, executor) == [("ann", count)]


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        (f"{MIDNIGHT_TWICE}", f"{MIDNIGHT_TWICE + timedelta(1)}", 3),
        (f"{MIDNIGHT_TWICE - timedelta(1)}", f"{MIDNIGHT_TWICE}", 1),
        (f"{MIDNIGHT_TWICE - timedelta(1)} 12:00", f"{MIDNIGHT_TWICE} 00:30", 2),
    ],
)
def test_a_day_may_begin_with_an_hour_shown_twice(
    havana: Stage, executor: str, start: str, end: str, count: int
) -> None:
    nights = world(
        at("23:50", MIDNIGHT_TWICE - timedelta(1)),
        at("00:10", MIDNIGHT_TWICE),
        at("00:10", MIDNIGHT_TWICE, again=True),
        at("00:50", MIDNIGHT_TWICE, again=True),
    )
    spec = {"query_kind": "event_count", "start_date": start, "end_date": end}
    assert answers(havana, spec, nights, executor) == [("ann", count)]


def test_periods_that_begin_in_the_hour_shown_twice(london: Stage, executor: str) -> None:
    """Check that an hour repeated before the first period is in no period."""
    spec = {
        "query_kind": "total_active_periods",
        "start_date": f"{AUTUMN} 01:30",
        "total_periods": 3,
        "period_length": 10,
        "period_unit": "minutes",
    }
    night = world(
        at("01:45", AUTUMN),
        at("01:10", AUTUMN, again=True),
        at("01:35", AUTUMN, again=True),
        at("01:55", AUTUMN, again=True),
        at("02:00", AUTUMN),
    )
    assert answers(london, spec, night, executor) == [("ann", 3)]


@pytest.mark.parametrize(("day", "slots"), [(SPRING, {0, 2, 3}), (AUTUMN, {0, 1, 2, 3})])
def test_a_repeated_hour_is_one_slot_and_a_skipped_one_none(
    london: Stage, executor: str, day: date, slots: set[int]
) -> None:
    """Ann is seen at one place from half past midnight to half past three."""
    events = (at("00:30:00", day, cell="in-b"), at("03:30:00", day, cell="in-b"))
    spec = {"query_kind": "permanence_of_day", "date": day.isoformat(), "aggregation_unit": "admin3"}
    spec |= {"max_gap_other": 0, "max_gap_night": 5 * 3600}
    ((_, _, _, morning, afternoon),) = london.evaluate(load_any(spec), world(*events), executor)
    assert (morning, afternoon) == (sum(2**slot for slot in slots), 0)
    # Half of the two hours from one is needed where it is shown twice: here half an hour is not.
    spec["max_gap_night"], spec["max_gap_other"] = 0, 3600
    if day == AUTUMN:
        lone = world(at("01:00:00", day, cell="in-b"))
        assert [row[3] for row in london.evaluate(load_any(spec), lone, executor)] == [1]
