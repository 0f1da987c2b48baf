"""Check where subscribers are located on worlds drawn as tables."""

from __future__ import annotations

import pytest

from flowmachine.queries.catalogue import load_any
from flowmachine.sql import packed

from ..specs import daily, window
from ..world import Stage, drawn

TRAVELLER = drawn(
    """
    subscriber | time       | cell    | type
    ann        | 1 00:00    | in-b    | calls
    ann        | 1 09:00    | in-b    | sms
    ann        | 1 20:00    | in-B    | calls
    ann        | 1 23:59:59 | outside | calls
    ann        | 2 00:00    | in-é    | calls
    ann        | 2 01:00    | in-a1   | mds
    bob        | 1 10:00    | unknown | calls
    bob        | 1 11:00    | ""      | calls
    bob        | 1 12:00    | -       | calls
    bob        | 3 12:00    | in-é    | calls
    """
)


def test_last_location_is_that_of_the_latest_located_event(stage_in_utc: Stage, executor: str) -> None:
    assert stage_in_utc.evaluate(load_any(daily(1)), TRAVELLER, executor) == [("ann", "B")]


def test_a_day_ends_before_midnight(stage_in_utc: Stage, executor: str) -> None:
    assert stage_in_utc.evaluate(load_any(daily(2)), TRAVELLER, executor) == [("ann", "é")]


def test_most_common_location(stage_in_utc: Stage, executor: str) -> None:
    query = load_any(daily(1, "most-common"))
    assert stage_in_utc.evaluate(query, TRAVELLER, executor) == [("ann", "b")]


def test_no_event_types_means_calls_and_messages(stage_in_utc: Stage, executor: str) -> None:
    everything = daily(2, event_types=["calls", "sms", "mds", "topups"])
    assert stage_in_utc.evaluate(load_any(everything), TRAVELLER, executor) == [("ann", "a 1")]


@pytest.mark.parametrize(
    ("hours", "place"), [((0, 20), "b"), ((20, 24), "B"), ((20, 1), "B"), ((9, 20), "b"), ((5, 5), None)]
)
def test_hours_are_half_open_and_wrap_within_their_day(
    stage_in_utc: Stage, executor: str, hours: tuple[int, int], place: str | None
) -> None:
    query = load_any(daily(1, hours={"start_hour": hours[0], "end_hour": hours[1]}))
    expected = [] if place is None else [("ann", place)]
    assert stage_in_utc.evaluate(query, TRAVELLER, executor) == expected


@pytest.mark.parametrize("method", ["last", "most-common"])
def test_ties_go_to_the_place_that_sorts_first_by_bytes(
    stage_in_utc: Stage, executor: str, method: str
) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 1 10:00 | in-B
        ann        | 1 10:00 | in-é
        bob        | 1 10:00 | in-two-regions
        """
    )
    # Capitals come before small letters, and "a" before "a 1".
    assert stage_in_utc.evaluate(load_any(daily(1, method)), world, executor) == [("ann", "B"), ("bob", "a")]


def test_of_equally_common_places_the_one_seen_later(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-B
        ann        | 2 10:00 | in-b
        """
    )
    query = load_any(window("most_frequent_location"))
    assert stage_in_utc.evaluate(query, world, executor) == [("ann", "b")]


@pytest.mark.parametrize("most", [0, 1, 2, 3, 4])
def test_any_number_of_events_is_compared(
    stage_in_utc: Stage, executor: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place with ``most`` events fits into no number, and rows are compared."""
    monkeypatch.setattr(packed, "_most_events", lambda span, regions: most)
    monkeypatch.setattr(packed, "_FEWEST_EVENTS", 1)
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 08:00 | in-b
        ann        | 1 08:00 | in-b
        ann        | 1 08:00 | in-b
        ann        | 1 10:00 | in-é
        ann        | 1 11:00 | in-é
        ann        | 1 12:00 | in-B
        bob        | 1 08:00 | in-é
        bob        | 1 10:00 | in-b
        bob        | 1 10:00 | in-é
        bob        | 1 10:00 | in-b
        """
    )
    query = load_any(daily(1, "most-common"))
    assert stage_in_utc.evaluate(query, world, executor) == [("ann", "b"), ("bob", "b")]


def test_an_event_is_where_its_cell_was_that_day(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time       | cell
        ann        | 2 23:59:59 | moves
        bob        | 3 00:00    | moves
        cat        | 1 10:00    | meets
        dan        | 2 10:00    | meets
        eve        | 3 10:00    | meets
        fay        | 1 10:00    | closed
        guy        | 1 10:00    | nowhere
        """
    )
    assert stage_in_utc.evaluate(load_any(window("unique_locations")), world, executor) == [
        ("ann", "b"),
        ("bob", "é"),
        ("cat", "b"),
        ("dan", "B"),
        ("dan", "b"),
        ("eve", "B"),
    ]


def test_days_and_hours_are_those_of_the_wall_clock(stage_in_nepal: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time       | cell
        ann        | 1 00:00    | in-b
        ann        | 1 23:59:59 | in-B
        ann        | 2 00:00    | in-é
        """
    )
    assert stage_in_nepal.evaluate(load_any(daily(1)), world, executor) == [("ann", "B")]
    night = load_any(daily(1, hours={"start_hour": 0, "end_hour": 1}))
    assert stage_in_nepal.evaluate(night, world, executor) == [("ann", "b")]


def test_modal_location(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 2 10:00 | in-b
        ann        | 3 10:00 | in-B
        bob        | 1 10:00 | in-b
        bob        | 3 10:00 | in-B
        cat        | 2 10:00 | in-é
        """
    )
    query = load_any({"query_kind": "modal_location", "locations": [daily(3), daily(1), daily(2)]})
    # Bob's tie goes to the later day, whatever the order in which the days are given.
    assert stage_in_utc.evaluate(query, world, executor) == [("ann", "b"), ("bob", "B"), ("cat", "é")]


def test_equally_dated_ties_of_a_modal_location_go_by_name(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 09:00 | in-b
        ann        | 1 10:00 | in-b
        ann        | 1 11:00 | in-B
        """
    )
    query = load_any({"query_kind": "modal_location", "locations": [daily(1), daily(1, "most-common")]})
    assert stage_in_utc.evaluate(query, world, executor) == [("ann", "B")]


def test_a_subset_repeats_nobody(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 1 11:00 | in-B
        ann        | 1 12:00 | in-B
        bob        | 2 10:00 | in-b
        """
    )
    everywhere = window("unique_locations", end="2016-01-02")
    count = {
        "query_kind": "event_count",
        "start_date": "2016-01-01",
        "end_date": "2016-01-04",
        "subscriber_subset": everywhere,
    }
    assert stage_in_utc.evaluate(load_any(count), world, executor) == [("ann", 3)]


def test_lon_lat_names_a_place_by_its_point(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-é
        bob        | 1 10:00 | beside
        cat        | 1 10:00 | outside
        """
    )
    query = load_any(daily(1, aggregation_unit="lon-lat"))
    assert stage_in_utc.evaluate(query, world, executor) == [
        ("ann", (85.75, 28.125)),
        ("bob", (85.75, 28.125)),
        ("cat", (90.0, 10.0)),
    ]
