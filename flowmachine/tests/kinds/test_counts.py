"""Counts of subscribers and events as they are released, on worlds drawn as tables."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from flowdb.keys import subscriber_key
from flowmachine.queries.catalogue import load_any

from .world import Stage, World, drawn

DAILY = {
    "query_kind": "daily_location",
    "date": "2016-01-01",
    "method": "last",
    "aggregation_unit": "admin3",
}
NEXT_DAY = DAILY | {"date": "2016-01-02"}


def window(kind: str, start: str = "2016-01-01", end: str = "2016-01-04", **more: Any) -> dict[str, Any]:
    return {
        "query_kind": kind,
        "start_date": start,
        "end_date": end,
        "aggregation_unit": "admin3",
        **more,
    }


CROWDS = drawn(
    """
    subscriber | time    | cell  | outgoing
    a1..16     | 1 10:00 | in-b  | out
    b1..15     | 1 10:00 | in-B  | in
    c1..17     | 1 10:00 | in-é  | out
    c1..17     | 1 11:00 | in-a1 | in
    a1..16     | 2 10:00 | in-B  | in
    c1..17     | 2 10:00 | in-a1 | out
    """
)


def answer(stage: Stage, spec: dict[str, Any], world: World, executor: str) -> list[tuple[Any, ...]]:
    return stage.evaluate(load_any(spec), world, executor)


def test_sixteen_are_released_and_fifteen_are_not(stage_in_utc: Stage, executor: str) -> None:
    spec = {"query_kind": "spatial_aggregate", "locations": DAILY}
    assert answer(stage_in_utc, spec, CROWDS, executor) == [("a 1", 17), ("b", 16)]


def test_unique_subscriber_counts(stage_in_utc: Stage, executor: str) -> None:
    spec = window("unique_subscriber_counts")
    assert answer(stage_in_utc, spec, CROWDS, executor) == [("B", 31), ("a 1", 17), ("b", 16), ("é", 17)]


def test_flows(stage_in_utc: Stage, executor: str) -> None:
    spec = {"query_kind": "flows", "from_location": DAILY, "to_location": NEXT_DAY}
    assert answer(stage_in_utc, spec, CROWDS, executor) == [("a 1", "a 1", 17), ("b", "B", 16)]


LEAVERS = drawn(
    """
    subscriber | time    | cell
    a1..16     | 1 10:00 | in-b
    b1..16     | 2 10:00 | in-B
    c1..16     | 1 10:00 | in-b
    c1..16     | 2 10:00 | in-é
    d1..16     | 1 10:00 | in-b
    d1..16     | 2 10:00 | in-B
    """
)


@pytest.mark.parametrize(
    ("join", "rows"),
    [
        ("inner", [("b", "é", 16), ("b", "B", 16)]),
        ("left", [("b", "é", 16), ("b", "B", 16), ("b", None, 16)]),
        ("right outer", [("b", "é", 16), ("b", "B", 16), (None, "B", 16)]),
        ("full outer", [("b", "é", 16), ("b", "B", 16), ("b", None, 16), (None, "B", 16)]),
    ],
)
def test_joins_of_flows(stage_in_utc: Stage, executor: str, join: str, rows: list[Any]) -> None:
    spec = {"query_kind": "flows", "from_location": DAILY, "to_location": NEXT_DAY, "join_type": join}
    assert answer(stage_in_utc, spec, LEAVERS, executor) == rows


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("inflows", [("é", 16), ("B", 32), (None, 16)]), ("outflows", [("b", 48), (None, 16)])],
)
def test_ends_of_flows(stage_in_utc: Stage, executor: str, kind: str, rows: list[Any]) -> None:
    spec = {
        "query_kind": kind,
        "from_location": DAILY,
        "to_location": NEXT_DAY,
        "join_type": "full outer",
    }
    assert answer(stage_in_utc, spec, LEAVERS, executor) == rows


def test_inflows_are_judged_by_people_not_by_movements(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..8      | 1 10:00 | in-b
        a1..8      | 1 11:00 | in-B
        """
    )
    everywhere = window("unique_locations")
    spec = {"query_kind": "inflows", "from_location": everywhere, "to_location": everywhere}
    # Sixteen movements to each place, but only eight people.
    assert answer(stage_in_utc, spec, world, executor) == []


def test_trips_need_not_be_consecutive_but_go_forward_in_time(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | in-b
        a1..16     | 1 11:00 | in-B
        a1..16     | 1 12:00 | in-é
        b1..16     | 1 10:00 | in-é
        b1..16     | 1 10:00 | in-b
        """
    )
    spec = window("trips_od_matrix")
    assert answer(stage_in_utc, spec, world, executor) == [
        ("B", "é", 16),
        ("b", "é", 16),
        ("b", "B", 16),
    ]


def test_trips_between_points_that_share_a_longitude(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | in-b
        a1..16     | 1 11:00 | in-a1
        """
    )
    spec = window("trips_od_matrix", aggregation_unit="lon-lat")
    assert answer(stage_in_utc, spec, world, executor) == [(84.25, 27.25, 84.25, 28.5, 16)]


HOURLY = drawn(
    """
    subscriber | time       | cell | outgoing
    a1..16     | 1 10:00    | in-b | out
    a1..16     | 1 10:59:59 | in-b | in
    a1..16     | 1 11:00    | in-b | in
    b1..16     | 2 10:00    | in-b | out
    c1..15     | 2 11:00    | in-b | out
    """
)


@pytest.mark.parametrize(
    ("interval", "rows"),
    [
        ("day", [("b", "2016-01-01", 48), ("b", "2016-01-02", 31)]),
        (
            "hour",
            [("b", "2016-01-01", 10, 32), ("b", "2016-01-01", 11, 16), ("b", "2016-01-02", 10, 16)],
        ),
        (
            "min",
            [
                ("b", "2016-01-01", 10, 0, 16),
                ("b", "2016-01-01", 10, 59, 16),
                ("b", "2016-01-01", 11, 0, 16),
                ("b", "2016-01-02", 10, 0, 16),
            ],
        ),
    ],
)
def test_location_event_counts(stage_in_utc: Stage, executor: str, interval: str, rows: list[Any]) -> None:
    spec = window("location_event_counts", interval=interval)
    assert answer(stage_in_utc, spec, HOURLY, executor) == rows


def test_event_counts_are_judged_by_the_direction_they_count(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell | outgoing
        a1         | 1 10:00 | in-b | in
        a1..40     | 1 10:00 | in-b | out
        """
    )
    spec = window("location_event_counts", interval="day", direction="in")
    assert answer(stage_in_utc, spec, world, executor) == []


def test_a_window_from_noon_loses_the_second_date(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 11:00 | in-b
        a1..16     | 1 12:00 | in-b
        a1..16     | 2 11:00 | in-b
        """
    )
    spec = window("location_event_counts", "2016-01-01 12:00", "2016-01-02 12:00", interval="day")
    assert answer(stage_in_utc, spec, world, executor) == [("b", "2016-01-01", 16)]


def test_network_objects_in_use(stage_in_nepal: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time       | cell
        a1..16     | 1 00:30    | in-b
        a1..16     | 1 23:30    | moves
        a1..16     | 1 23:30    | in-b
        a1..16     | 2 00:30    | in-b
        b1..15     | 2 00:30    | in-B
        """
    )
    zone = ZoneInfo("Asia/Kathmandu")
    assert answer(stage_in_nepal, window("total_network_objects"), world, executor) == [
        ("b", 2, datetime(2016, 1, 1, tzinfo=zone)),
        ("b", 1, datetime(2016, 1, 2, tzinfo=zone)),
    ]
    by_hour = window("total_network_objects", total_by="hour")
    assert answer(stage_in_nepal, by_hour, world, executor) == [
        ("b", 1, datetime(2016, 1, 1, 0, tzinfo=zone)),
        ("b", 2, datetime(2016, 1, 1, 23, tzinfo=zone)),
        ("b", 1, datetime(2016, 1, 2, 0, tzinfo=zone)),
    ]


def crowd(number: int, time: str, cell: str, *, bits: int) -> str:
    """Lines of a drawn world: so many subscribers, whose keys end in just so many different groups of six bits."""
    endings: set[int] = set()
    chosen: list[str] = []
    for name in map("p{}".format, itertools.count()):
        ending = subscriber_key(name) & 63
        spare = number - len(chosen) > bits - len(endings)
        if spare if ending in endings else len(endings) < bits:
            endings.add(ending)
            chosen.append(name)
        if len(chosen) == number:
            return "\n".join(f"{name} | {time} | {cell}" for name in chosen)
    raise AssertionError("names do not end")


@pytest.mark.parametrize(
    "spec",
    [window("total_network_objects", total_by="hour"), window("location_event_counts", interval="hour")],
)
@pytest.mark.parametrize(
    ("floor", "number", "bits", "passes"),
    [
        (15, 15, 15, False),
        (15, 16, 16, True),
        (15, 16, 1, True),
        (15, 17, 15, True),
        (15, 65, 2, True),
        (15, 70, 64, True),
        (30, 30, 30, False),
        (30, 31, 9, True),
        (64, 64, 40, False),
        (64, 65, 64, True),
        (70, 71, 5, True),
    ],
)
def test_rows_by_the_hour_pass_by_people_however_their_keys_fall(
    stage_in_utc: Stage,
    executor: str,
    monkeypatch: pytest.MonkeyPatch,
    spec: dict[str, Any],
    floor: int,
    number: int,
    bits: int,
    passes: bool,
) -> None:
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", str(floor))
    people = crowd(number, "1 10:00", "in-b", bits=bits)
    # All of them twice more, once from another cell of the place: neither events nor cells are people.
    again = people.replace("10:00", "10:30")
    elsewhere = people.replace("10:00", "10:45").replace("in-b", "moves")
    world = drawn(f"subscriber | time | cell\n{people}\n{again}\n{elsewhere}")
    rows = answer(stage_in_utc, spec, world, executor)
    assert [row[0] for row in rows] == (["b"] if passes else [])
    if passes:
        expected = 2 if spec["query_kind"] == "total_network_objects" else 3 * number
        assert expected in rows[0]


def test_cells_of_a_month_are_counted_where_they_stood(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | moves
        a1..15     | 3 10:00 | moves
        b1         | 3 11:00 | moves
        a1..8      | 1 10:00 | meets
        b1..8      | 3 10:00 | in-é
        """
    )
    spec = window("total_network_objects", total_by="month")
    rows = answer(stage_in_utc, spec, world, executor)
    assert [row[:2] for row in rows] == [("b", 2), ("é", 2)]
