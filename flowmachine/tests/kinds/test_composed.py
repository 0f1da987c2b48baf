"""Kinds made of others, of calendars, of networks and of clusters, on worlds drawn as tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from flowmachine.queries.catalogue import load_any
from flowmachine.spec.query import NotBuildable

from .drawing_composed import LABELS, WEEKDAYS
from .test_locations import daily, window
from .world import Stage, World, drawn

Spec = dict[str, Any]


def answer(stage: Stage, spec: Spec, world: World, executor: str) -> list[tuple[Any, ...]]:
    return stage.evaluate(load_any(spec), world, executor)


def visits(*days: int) -> Spec:
    return {"query_kind": "location_visits", "locations": [daily(day) for day in days]}


def majority(*days: int, **more: Any) -> Spec:
    return {"query_kind": "majority_location", "subscriber_location_weights": visits(*days), **more}


def coalesced(preferred: Spec, fallback: Spec, weights: Spec, threshold: int = 1) -> Spec:
    return {
        "query_kind": "coalesced_location",
        "preferred_location": preferred,
        "fallback_location": fallback,
        "subscriber_location_weights": weights,
        "weight_threshold": threshold,
    }


def on(*days: int) -> Spec:
    """The one location of the days, or null."""
    there = majority(*days, include_unlocatable=True)
    return coalesced(there, there, visits(*days))


def classified(*locations: Spec, threshold: int = 2) -> Spec:
    return {
        "query_kind": "mobility_classification",
        "locations": list(locations),
        "stay_length_threshold": threshold,
    }


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


#: One subscriber for each class over the three days; ``two`` is in two regions, and so nowhere in a majority.
LIVES = drawn(
    """
    subscriber   | time    | cell
    stable       | 1 10:00 | in-B
    stable       | 2 10:00 | in-b
    stable       | 3 10:00 | in-b
    mobile       | 1 10:00 | in-b
    mobile       | 2 10:00 | in-B
    mobile       | 3 10:00 | in-b
    irregular    | 1 10:00 | in-b
    irregular    | 3 10:00 | in-b
    gone         | 1 10:00 | in-b
    """
)


def test_mobility_classification(stage_in_utc: Stage, executor: str) -> None:
    days = [on(1), on(2), on(3)]
    assert answer(stage_in_utc, classified(*days), LIVES, executor) == [
        ("irregular", "irregular"),
        ("mobile", "mobile"),
        ("stable", "stable"),
    ]
    assert answer(stage_in_utc, classified(*days, threshold=1), LIVES, executor) == [
        ("irregular", "irregular"),
        ("mobile", "stable"),
        ("stable", "stable"),
    ]


def test_those_who_were_nowhere_are_told_apart(stage_in_utc: Stage, executor: str) -> None:
    # Over days 1 and 2 stable and mobile have no majority.
    assert answer(stage_in_utc, classified(on(3), on(1, 2)), LIVES, executor) == [
        ("gone", "irregular"),
        ("irregular", "stable"),
        ("mobile", "unlocated"),
        ("stable", "unlocated"),
    ]
    assert answer(stage_in_utc, classified(on(1, 2), on(3)), LIVES, executor) == [
        ("irregular", "stable"),
        ("mobile", "not_always_locatable"),
        ("stable", "not_always_locatable"),
    ]


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


#: Sixteen who stay and sixteen who go; at é fifteen who go beside sixteen who stay.
MIGRATION = drawn(
    """
    subscriber | time    | cell
    a1..16     | 1 10:00 | in-b
    a1..16     | 2 10:00 | in-b
    b1..17     | 1 10:00 | in-B
    b1..17     | 2 10:00 | in-b
    c1..16     | 1 10:00 | in-é
    c1..16     | 2 10:00 | in-é
    d1..15     | 1 10:00 | in-b
    d1..15     | 2 10:00 | in-é
    e1..18     | 1 10:00 | in-a1
    e1..18     | 2 10:00 | in-a1
    e1..18     | 2 11:00 | in-b
    """
)


def test_one_small_label_withholds_all_of_a_location(stage_in_utc: Stage, executor: str) -> None:
    spec = {
        "query_kind": "labelled_spatial_aggregate",
        "locations": on(2),
        "labels": classified(on(1), on(2)),
    }
    # At é are 16 stable and 15 mobile ones; both rows are gone.
    assert answer(stage_in_utc, spec, MIGRATION, executor) == [("b", "mobile", 35), ("b", "stable", 16)]


def test_labelled_flows(stage_in_utc: Stage, executor: str) -> None:
    spec = {
        "query_kind": "labelled_flows",
        "from_location": on(1),
        "to_location": on(2),
        "labels": classified(on(1), on(2)),
    }
    assert answer(stage_in_utc, spec, MIGRATION, executor) == [
        ("B", "b", "mobile", 17),
        ("a 1", "b", "mobile", 18),
        ("b", "b", "stable", 16),
        ("é", "é", "stable", 16),
    ]


def test_flows_of_coalesced_points_sort_by_latitude_first(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | in-a1
        b1..16     | 1 10:00 | in-b
        c1..16     | 1 10:00 | in-B
        """
    )
    point = daily(1, aggregation_unit="lon-lat")
    visit = {"query_kind": "location_visits", "locations": [point]}
    there = {"query_kind": "majority_location", "subscriber_location_weights": visit}
    spec = {
        "query_kind": "flows",
        "from_location": coalesced(there, there, visit),
        "to_location": coalesced(there, there, visit),
    }
    west, east, north = (84.25, 27.25), (85.5, 27.5), (84.25, 28.5)
    pairs = [(*place, *place, 16) for place in (west, east, north)]
    assert answer(stage_in_utc, spec, world, executor) == pairs
    by_longitude = spec | {"from_location": point, "to_location": point}
    assert answer(stage_in_utc, by_longitude, world, executor) == [pairs[0], pairs[2], pairs[1]]


def test_subscribers_without_a_label_are_under_null(stage_in_utc: Stage, executor: str) -> None:
    spec = {
        "query_kind": "labelled_spatial_aggregate",
        "locations": on(1),
        "labels": classified(on(3)),
    }
    assert answer(stage_in_utc, spec, MIGRATION, executor) == [
        ("B", None, 17),
        ("a 1", None, 18),
        ("b", None, 31),
        ("é", None, 16),
    ]


def test_consecutive_trips(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | in-b
        a1..16     | 1 11:00 | in-B
        a1..16     | 1 12:00 | in-b
        a1..16     | 1 13:00 | in-b
        b1..15     | 1 10:00 | in-b
        b1..15     | 1 11:00 | in-é
        c1..16     | 1 10:00 | in-é
        c1..16     | 1 10:00 | in-B
        """
    )
    assert answer(stage_in_utc, window("consecutive_trips_od_matrix"), world, executor) == [
        # Those at two places at once go from the one that sorts first.
        ("B", "é", 16),
        ("B", "b", 16),
        ("b", "b", 16),
        ("b", "B", 16),
    ]


def test_introversion(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell  | id | outgoing
        a1..16     | 1 10:00 | in-b  | x  | out
        b          | 1 10:00 | in-b  | x  | in
        c          | 1 10:00 | in-B  | x  | in
        d1..15     | 1 10:00 | in-é  | y  | out
        e1..15     | 1 10:00 | in-é  | y  | in
        f1..16     | 1 10:00 | in-a1 | z  | out
        """
    )
    both = window("location_introversion")
    # Of the 32 calls from b half end there; the one that ends there began there 16 times.
    expected = [("é", 1.0), ("b", pytest.approx(32 / 48))]
    assert answer(stage_in_utc, both, world, executor) == expected
    assert answer(stage_in_utc, both | {"direction": "out"}, world, executor) == [("b", 0.5)]
    # é has 15 on each side, b one receiver.
    assert answer(stage_in_utc, both | {"direction": "in"}, world, executor) == []


def test_events_without_direction_have_no_introversion(stage_in_utc: Stage) -> None:
    query = load_any(window("location_introversion", event_types=["mds"]))
    with stage_in_utc.loaded(World([])) as (_, state), pytest.raises(NotBuildable, match="'outgoing'"):
        state.check(query)


def test_network_statistics_rest_on_published_counts(stage_in_nepal: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 00:30 | in-é
        a1..16     | 1 00:40 | beside
        a1..16     | 1 01:30 | in-é
        b1..15     | 1 02:30 | in-é
        """
    )
    hours = window("total_network_objects", total_by="hour")

    def statistic(name: str, by: str) -> Any:
        spec = {
            "query_kind": "aggregate_network_objects",
            "total_network_objects": hours,
            "statistic": name,
            "aggregate_by": by,
        }
        return answer(stage_in_nepal, spec, world, executor)

    zone = ZoneInfo("Asia/Kathmandu")
    midnight = datetime(2016, 1, 1, tzinfo=zone)
    # The third hour, with fifteen people, does not count.
    assert statistic("avg", "day") == [("é", 1.5, midnight)]
    assert statistic("count", "day") == [("é", 2, midnight)]
    assert statistic("sum", "century") == [("é", 3, datetime(2001, 1, 1, tzinfo=zone))]
    assert statistic("max", "hour") == [("é", 2, midnight), ("é", 1, midnight.replace(hour=1))]


DAYS_SEEN = drawn(
    """
    subscriber | time       | cell
    a1..16     | 1 23:59:59 | in-b
    a1..16     | 3 00:00    | -
    b1..15     | 2 10:00    | in-b
    c1..17     | 2 10:00    | in-B
    c1..17     | 2 11:00    | unknown
    """
)
CALENDAR = {"query_kind": "calendar_activity", "start_date": "2016-01-01", "total_periods": 3}


def test_calendar_activity(stage_in_nepal: Stage, executor: str) -> None:
    assert answer(stage_in_nepal, CALENDAR, DAYS_SEEN, executor) == [
        ([datetime(2016, 1, 1), datetime(2016, 1, 3)], 16),
        ([datetime(2016, 1, 2)], 32),
    ]
    hours = CALENDAR | {"start_date": "2016-01-02 10:00", "total_periods": 2, "period_unit": "hours"}
    assert answer(stage_in_nepal, hours, DAYS_SEEN, executor) == [
        ([datetime(2016, 1, 2, 10), datetime(2016, 1, 2, 11)], 17),
    ]


def test_a_sample_of_calendars_is_one_of_the_released_rows(stage_in_utc: Stage) -> None:
    sampling = {"sampling_method": "random_ids", "seed": 0.5, "size": 1}
    duckdb, postgres = (
        answer(stage_in_utc, CALENDAR | {"sampling": sampling}, DAYS_SEEN, executor)
        for executor in ("duckdb", "postgres")
    )
    assert duckdb == postgres
    assert len(duckdb) == 1
    assert duckdb[0] in answer(stage_in_utc, CALENDAR, DAYS_SEEN, "duckdb")


def test_localised_calendar_activity(stage_in_utc: Stage, executor: str) -> None:
    spec = CALENDAR | {
        "query_kind": "localised_calendar_activity",
        "reference_location": window("most_frequent_location"),
        "hours": {"start_hour": 11, "end_hour": 24},
    }
    # At b 16 were seen late and 15 were not, so neither row leaves.
    assert answer(stage_in_utc, spec, DAYS_SEEN, executor) == [("B", [datetime(2016, 1, 2)], 17)]
    spec |= {"hours": {"start_hour": 12, "end_hour": 23}}
    assert answer(stage_in_utc, spec, DAYS_SEEN, executor) == [("B", None, 17), ("b", None, 31)]


def meaningful(kind: str, **more: Any) -> Spec:
    return {
        "query_kind": kind,
        "aggregation_unit": "admin3",
        "labels": LABELS,
        # At night in the one area, by day in the other.
        "tower_hour_of_day_scores": [1.0] * 8 + [-1.0] * 12 + [1.0] * 4,
        "tower_day_of_week_scores": dict.fromkeys(WEEKDAYS, 0.5),
        **more,
    }


WINDOW = {"start_date": "2016-01-01", "end_date": "2016-01-04"}

#: Nights at sites p and, 500 m off, beside p; days at é; some have two places to spend the night.
COMMUTERS = drawn(
    """
    subscriber | time    | cell
    a1..16     | 1 22:00 | in-b
    a1..16     | 2 22:00 | in-B
    a1..16     | 1 10:00 | in-é
    b1..4      | 1 22:00 | in-b
    b1..4      | 2 22:00 | in-two-regions
    b1..4      | 1 12:00 | in-é
    """
)


def test_meaningful_locations_count_in_shares(stage_in_utc: Stage, executor: str) -> None:
    spec = meaningful("meaningful_locations_aggregate", **WINDOW)
    # The two sites of group a are one cluster, so each has one place; those of b count half at b.
    assert answer(stage_in_utc, spec | {"label": "evening"}, COMMUTERS, executor) == [("evening", "b", 18.0)]
    assert answer(stage_in_utc, spec | {"label": "day"}, COMMUTERS, executor) == [("day", "é", 20.0)]
    assert answer(stage_in_utc, spec | {"label": "unknown"}, COMMUTERS, executor) == []
    # Only the cluster of group a was used on two days.
    often = spec | {"label": "evening", "tower_cluster_call_threshold": 2}
    assert answer(stage_in_utc, often, COMMUTERS, executor) == [("evening", "b", 16.0)]
    # Apart, its two sites were used on one day each.
    assert answer(stage_in_utc, often | {"tower_cluster_radius": 0.4}, COMMUTERS, executor) == []


def test_meaningful_locations_between_labels(stage_in_utc: Stage, executor: str) -> None:
    spec = meaningful("meaningful_locations_between_label_od_matrix", **WINDOW)
    spec |= {"label_a": "evening", "label_b": "day"}
    assert answer(stage_in_utc, spec, COMMUTERS, executor) == [("evening", "day", "b", "é", 18.0)]
    away = spec | {"label_a": "day", "label_b": "day"}
    assert answer(stage_in_utc, away, COMMUTERS, executor) == [("day", "day", "é", "é", 20.0)]


def test_meaningful_locations_between_dates(stage_in_utc: Stage, executor: str) -> None:
    spec = meaningful(
        "meaningful_locations_between_dates_od_matrix",
        start_date_a="2016-01-01",
        end_date_a="2016-01-02",
        start_date_b="2016-01-02",
        end_date_b="2016-01-03",
        label="evening",
    )
    # The four of group b, who went elsewhere, are too few.
    assert answer(stage_in_utc, spec, COMMUTERS, executor) == [("evening", "evening", "b", "b", 16.0)]
    whole = spec | {"end_date_a": "2016-01-03"}
    assert answer(stage_in_utc, whole, COMMUTERS, executor) == [("evening", "evening", "b", "b", 16.0)]


def test_a_cluster_moves_with_its_members(stage_in_utc: Stage, executor: str) -> None:
    """The three sites lie 500 m apart in a row: the third is in reach of the mean of the others, not of the first."""
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 22:00 | in-b
        a1..16     | 2 22:00 | in-b
        a1..16     | 3 22:00 | in-b
        a1..16     | 1 23:00 | in-B
        a1..16     | 2 23:00 | in-B
        a1..16     | 1 21:00 | in-a1
        """
    )
    spec = meaningful("meaningful_locations_aggregate", **WINDOW, label="evening")
    # The first two, seen on three and on two days, have their centre 396 m east of the one and 594 m west of the third,
    # which is 990 m from the first. A cluster of all three weighs six days.
    for radius, rows in ((0.9, [("evening", "b", 16.0)]), (0.55, [])):
        reach = spec | {"tower_cluster_radius": radius, "tower_cluster_call_threshold": 6}
        assert answer(stage_in_utc, reach, world, executor) == rows
