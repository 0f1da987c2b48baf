"""Kinds of direct use about places, on worlds drawn as tables."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import marshmallow as ma
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, shape

from flowmachine.queries import (
    CallDays,
    DailyLocation,
    DayTrajectories,
    DistanceMatrix,
    DistanceSeries,
    FirstLocation,
    ImputedDistanceSeries,
    LastLocation,
    LocationArea,
    LocationCluster,
    PopulationWeightedOpportunities,
    SpatialAggregate,
    SubscriberLocations,
    SubscriberLocationSubset,
)
from flowmachine.queries.catalogue import load_any
from flowmachine.queries.movement.imputed_distance_series import _starts
from flowmachine.spec.query import Query

from .oracle import metres
from .world import CELLS, SITES, Stage, World, drawn, moment

WINDOW: dict[str, Any] = {"start_date": "2016-01-01", "end_date": "2016-01-04"}

SEEN = drawn(
    """
    subscriber | time    | cell    | outgoing
    ann        | 1 10:00 | in-b    | out
    ann        | 2 00:30 | in-b    | in
    ann        | 2 10:00 | moves   | out
    ann        | 3 10:00 | moves   | out
    bob        | 1 10:00 | unknown | out
    bob        | 1 11:00 | -       | out
    bob        | 1 11:00 | ""      | out
    cat        | 2 23:00 | nowhere | in
    """
)


def rows(stage: Stage, query: Query, executor: str, world: World = SEEN) -> list[tuple[Any, ...]]:
    assert load_any(query.spec()) == query
    return stage.evaluate(query, world, executor)


def test_subscriber_locations_at_single_cells(stage_in_utc: Stage, executor: str) -> None:
    assert rows(stage_in_utc, SubscriberLocations(**WINDOW), executor) == [
        ("ann", moment("1 10:00"), "in-b"),
        ("ann", moment("2 00:30"), "in-b"),
        ("ann", moment("2 10:00"), "moves"),
        ("ann", moment("3 10:00"), "moves"),
        ("bob", moment("1 10:00"), "unknown"),
        ("cat", moment("2 23:00"), "nowhere"),
    ]


def test_subscriber_locations_at_versions_of_cells(stage_in_utc: Stage, executor: str) -> None:
    query = SubscriberLocations(**WINDOW, aggregation_unit="versioned-cell")
    assert rows(stage_in_utc, query, executor) == [
        ("ann", moment("1 10:00"), ("in-b", 0, 84.25, 27.25)),
        ("ann", moment("2 00:30"), ("in-b", 0, 84.25, 27.25)),
        ("ann", moment("2 10:00"), ("moves", 0, 84.25, 27.25)),
        ("ann", moment("3 10:00"), ("moves", 1, 85.25, 28.5)),
        ("cat", moment("2 23:00"), ("nowhere", 0, None, None)),
    ]


def test_events_are_at_a_site_once_for_each_version_of_their_cell(stage_in_utc: Stage, executor: str) -> None:
    query = SubscriberLocations(
        start_date="2016-01-03", end_date="2016-01-04", aggregation_unit="versioned-site"
    )
    assert rows(stage_in_utc, query, executor) == [
        ("ann", moment("3 10:00"), ("moved", 1, 84.2525, 27.25)),
        ("ann", moment("3 10:00"), ("p", 0, 84.25, 27.25)),
    ]


def test_events_without_a_cell_can_be_kept(stage_in_utc: Stage, executor: str) -> None:
    everywhere = SubscriberLocations(**WINDOW, ignore_nulls=False)
    unplaced = [row for row in rows(stage_in_utc, everywhere, executor) if row[2] is None]
    assert unplaced == [("bob", moment("1 11:00"), None)] * 2
    last = LastLocation(**WINDOW, aggregation_unit="cell", ignore_nulls=False)
    assert rows(stage_in_utc, last, executor) == [("ann", "moves"), ("bob", None), ("cat", "nowhere")]


def test_a_cell_sorts_before_none(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | -
        ann        | 1 10:00 | moves
        ann        | 1 10:00 | meets
        """
    )
    last = LastLocation(**WINDOW, aggregation_unit="cell", ignore_nulls=False)
    assert rows(stage_in_utc, last, executor, world) == [("ann", "meets")]


def test_last_location_of_any_window(stage_in_utc: Stage, executor: str) -> None:
    assert rows(stage_in_utc, LastLocation(**WINDOW), executor) == [("ann", "é")]
    cell = LastLocation(**WINDOW, aggregation_unit="cell")
    assert rows(stage_in_utc, cell, executor) == [("ann", "moves"), ("bob", "unknown"), ("cat", "nowhere")]


def test_a_last_location_can_be_counted(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        s1..16     | 1 10:00 | unknown
        t1..15     | 1 10:00 | in-b
        """
    )
    counts = SpatialAggregate(locations=LastLocation(**WINDOW, aggregation_unit="cell"))
    assert rows(stage_in_utc, counts, executor, world) == [("unknown", 16)]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, [("ann", "1 10:00"), ("bob", "1 10:00"), ("cat", "2 23:00")]),
        ({"location": "any"}, [("ann", "1 10:00"), ("bob", "1 10:00"), ("cat", "2 23:00")]),
        ({"location": "moves"}, [("ann", "2 10:00")]),
        ({"location": ["moves", "unknown"]}, [("ann", "2 10:00"), ("bob", "1 10:00")]),
        ({"location": "é", "aggregation_unit": "admin3"}, [("ann", "3 10:00")]),
        ({"location": "moved", "aggregation_unit": "versioned-site"}, [("ann", "2 10:00")]),
        ({"location": "nobody was there"}, []),
    ],
)
def test_first_location(
    stage_in_utc: Stage, executor: str, place: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    found = rows(stage_in_utc, FirstLocation(**WINDOW, **place), executor)
    assert found == [(who, moment(time)) for who, time in expected]


def test_call_days(stage_in_utc: Stage, executor: str) -> None:
    query = CallDays(subscriber_locations=SubscriberLocations(**WINDOW, ignore_nulls=False))
    assert rows(stage_in_utc, query, executor) == [
        ("ann", "in-b", 2),
        ("ann", "moves", 2),
        ("bob", "unknown", 1),
        ("cat", "nowhere", 1),
    ]


def test_days_of_calls_are_those_of_the_wall_clock(stage_in_nepal: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time       | cell
        ann        | 1 00:00    | in-b
        ann        | 1 23:59:59 | in-b
        """
    )
    query = CallDays(subscriber_locations=SubscriberLocations(**WINDOW))
    assert rows(stage_in_nepal, query, executor, world) == [("ann", "in-b", 1)]


def test_places_of_several_calls(stage_in_utc: Stage, executor: str) -> None:
    def subset(**more: Any) -> Query:
        return SubscriberLocationSubset(**WINDOW, aggregation_unit="admin3", **more)

    assert rows(stage_in_utc, subset(min_calls=2), executor) == [("ann", "b")]
    # Of the three calls at b two go out.
    assert rows(stage_in_utc, subset(min_calls=3), executor) == [("ann", "b")]
    assert rows(stage_in_utc, subset(min_calls=3, direction="out"), executor) == []
    messages = drawn(
        """
        subscriber | time    | cell | type
        ann        | 1 10:00 | in-b | sms
        """
    )
    assert rows(stage_in_utc, subset(min_calls=1), executor, messages) == []


def test_day_trajectories(stage_in_utc: Stage, executor: str) -> None:
    days = [
        DailyLocation(date=date, method="last", aggregation_unit="admin3")
        for date in ("2016-01-03", "2016-01-01", "2016-01-01")
    ]
    assert rows(stage_in_utc, DayTrajectories(locations=days), executor) == [
        ("ann", "b", moment("1")),
        ("ann", "b", moment("1")),
        ("ann", "é", moment("3")),
    ]


def test_distance_matrix(stage_in_utc: Stage, executor: str) -> None:
    found = rows(stage_in_utc, DistanceMatrix(), executor)
    assert len(found) == 12 * 12
    between = {(a, b): km for a, b, km in found}
    moves, moved = ("moves", 0, 84.25, 27.25), ("moves", 1, 85.25, 28.5)
    assert between[moves, moves] == 0
    assert between[moves, moved] == between[moved, moves]
    # 98.6 km to the east on the mean parallel, 138.6 km to the north.
    assert between[moves, moved] == pytest.approx(169.8, abs=0.3)
    assert len(rows(stage_in_utc, DistanceMatrix(aggregation_unit="versioned-site"), executor)) == 8 * 8
    assert len(rows(stage_in_utc, DistanceMatrix(aggregation_unit="lon-lat"), executor)) == 9 * 9


def test_population_weighted_opportunities(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..4      | 1 10:00 | in-b
        b1..3      | 1 10:00 | in-B
        c1..2      | 1 10:00 | in-é
        c1..2      | 2 10:00 | in-é
        b1..3      | 2 10:00 | in-B
        c1..2      | 2 11:00 | in-b
        """
    )
    query = PopulationWeightedOpportunities(
        start_date="2016-01-01", end_date="2016-01-02", aggregation_unit="lon-lat", method="most-common"
    )
    b, big, e = (84.25, 27.25), (85.5, 27.5), (85.75, 28.125)
    # Of c's two days the later one counts, and in it the later event: so 6 live in b, 3 in B, nobody in é.
    found = {row[:2]: row[2:] for row in rows(stage_in_utc, query, executor, world)}
    assert found == {(b, big): (pytest.approx(0.6), 1.0), (big, b): (pytest.approx(0.3), 1.0)}
    first = PopulationWeightedOpportunities(
        start_date="2016-01-01", end_date="2016-01-01", aggregation_unit="lon-lat", departure_rate=0.5
    )
    found = {row[:2]: row[2:] for row in rows(stage_in_utc, first, executor, world)}
    # 4 in b, 3 in B, 2 in é; B and é are near each other, b is nearer to B. From b to B: é is nearer to B than b
    # is, so S = 2 + 3 and the pull is 3 (1/5 - 1/9) = 4/15; to é: S = 3 + 2, 2 (1/5 - 1/9) = 8/45.
    assert found[b, big] == (pytest.approx(4 * 0.5 * 0.6), pytest.approx(0.6))
    assert found[b, e] == (pytest.approx(4 * 0.5 * 0.4), pytest.approx(0.4))
    # From B: to é nobody is between, S = 2, 2 (1/2 - 1/9) = 7/9; to b likewise S = 4, 4 (1/4 - 1/9) = 5/9.
    assert found[big, e] == (pytest.approx(3 * 0.5 * 7 / 12), pytest.approx(7 / 12))
    # From é to b: B is nearer to b, S = 3 + 4, 4 (1/7 - 1/9) = 8/63; to B: S = 3, 3 (1/3 - 1/9) = 2/3.
    assert found[e, b] == (pytest.approx(2 * 0.5 * 4 / 25), pytest.approx(4 / 25))


def test_distances_day_by_day(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 1 11:00 | in-B
        ann        | 3 10:30 | in-B
        ann        | 3 10:45 | nowhere
        bob        | 2 10:00 | in-é
        """
    )
    seen = SubscriberLocations(**WINDOW, aggregation_unit="lon-lat")
    home = DailyLocation(date="2016-01-03", method="last", aggregation_unit="lon-lat")
    apart = metres((84.25, 27.25), (85.5, 27.5))
    from_home = DistanceSeries(subscriber_locations=seen, reference_location=home, statistic="max")
    assert rows(stage_in_utc, from_home, executor, world) == [
        ("ann", datetime(2016, 1, 1).date(), pytest.approx(apart / 1000)),
        ("ann", datetime(2016, 1, 3).date(), 0),
    ]
    from_point = DistanceSeries(
        subscriber_locations=SubscriberLocations(**WINDOW, aggregation_unit="versioned-cell"),
        reference_point=(84.25, 27.25),
        time_bucket="hour",
    )
    assert rows(stage_in_utc, from_point, executor, world) == [
        ("ann", moment("1 10:00"), 0),
        ("ann", moment("1 11:00"), pytest.approx(apart)),
        ("ann", moment("3 10:00"), pytest.approx(apart)),
        ("bob", moment("2 10:00"), pytest.approx(metres((84.25, 27.25), (85.75, 28.125)))),
    ]


def test_gaps_are_filled_by_the_median_around_them(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 1 11:10 | in-b
        ann        | 1 11:20 | in-b
        ann        | 1 13:00 | in-B
        ann        | 1 17:00 | in-B
        bob        | 1 10:00 | in-b
        bob        | 1 11:00 | in-b
        bob        | 1 12:00 | in-b
        """
    )
    seen = SubscriberLocations(
        start_date="2016-01-01 09:30", end_date="2016-01-01 17:30", aggregation_unit="lon-lat"
    )
    series = DistanceSeries(
        subscriber_locations=seen, reference_point=(84.25, 27.25), time_bucket="hour", statistic="count"
    )
    found = rows(stage_in_utc, ImputedDistanceSeries(distance_series=series), executor, world)
    # Bob has only three distances; between Ann's hours of two events and of one lies an hour without.
    values = [1, 1, 2, 1.5, 1, 1, None, 1, 1]
    assert found == sorted(
        (("ann", moment(f"1 {9 + number:02}:00"), value) for number, value in enumerate(values)), key=repr
    )


def test_periods_of_a_series_are_those_of_the_calendar() -> None:
    def starts(first: str, end: str, bucket: str) -> list[str]:
        found = _starts(datetime.fromisoformat(first), datetime.fromisoformat(end), bucket)
        return [start.isoformat(" ", "seconds").removesuffix(" 00:00:00") for start in found]

    assert starts("2016-01-30 12:00", "2016-02-01", "day") == ["2016-01-30", "2016-01-31"]
    assert starts("2016-01-30", "2016-04-01", "month") == ["2016-01-01", "2016-02-01", "2016-03-01"]
    assert starts("2015-12-31", "2017-01-01 00:00:01", "year") == ["2015-01-01", "2016-01-01", "2017-01-01"]
    assert starts("1999-12-31", "2001-01-02", "century") == ["1901-01-01", "2001-01-01"]
    assert starts("2016-01-01 00:00:30", "2016-01-01 00:02", "minute") == [
        "2016-01-01",
        "2016-01-01 00:01:00",
    ]


NEAR_P = {("p", 0), ("beside p", 0), ("near p", 0), ("moved", 1)}


def clusters(stage: Stage, **fields: Any) -> dict[tuple[str, int], int | None]:
    query = LocationCluster(date="2016-01-02", **fields)
    return {place[:2]: number for place, number in rows(stage, query, "postgres")}


def test_near_sites_are_one_cluster(stage_in_utc: Stage) -> None:
    # "moved" was elsewhere until that day; each of the four is 250 to 500 m from the next.
    found = clusters(stage_in_utc, method="dbscan", distance_tolerance=0.6, density_tolerance=3)
    assert found == dict.fromkeys(NEAR_P, 0)
    everywhere = clusters(
        stage_in_utc, method="dbscan", distance_tolerance=0.6, density_tolerance=3, return_no_cluster=True
    )
    assert everywhere == found | {("two", 0): None, ("é", 0): None, ("outside", 0): None}


def test_means_split_what_is_apart(stage_in_utc: Stage) -> None:
    found = clusters(stage_in_utc, number_of_clusters=2)
    assert len(found) == 7
    away = found["outside", 0]
    assert [place for place, number in found.items() if number == away] == [("outside", 0)]
    many = clusters(stage_in_utc, number_of_clusters=50)
    assert sorted(many.values()) == list(range(7))


def test_a_cluster_as_one_row(stage_in_utc: Stage) -> None:
    query = LocationCluster(
        date="2016-01-02", method="dbscan", distance_tolerance=0.6, density_tolerance=3, aggregate=True
    )
    ((number, members, hull, points),) = rows(stage_in_utc, query, "postgres")
    assert (number, members) == (0, ["beside p", "moved", "near p", "p"])
    assert json.loads(hull) == {"type": "LineString", "coordinates": [[84.25, 27.25], [84.26, 27.25]]}
    assert json.loads(points)["coordinates"][3] == [84.25, 27.25]


@given(
    st.sampled_from(("sites", "cells")),
    st.sampled_from((0.1, 0.3, 0.6, 1.2, 60.0, 130.0)),
    st.integers(1, 5),
)
def test_dense_places_and_those_near_them(
    stage_in_utc: Stage, collection: str, km: float, density: int
) -> None:
    """Clusters by density as they are defined: places of many neighbours join, others go with one that is near."""
    day = datetime(2016, 1, 2).date()
    known = [
        place
        for place in (SITES if collection == "sites" else CELLS)
        if place.point and not (place.first and place.first > day) and not (place.last and place.last <= day)
    ]
    points = {(place.id, place.version): place.point for place in known}
    near = {a: {b for b in points if metres(points[a], points[b]) <= km * 1000} for a in points}
    dense = {a for a in points if len(near[a]) >= density}
    found = clusters(
        stage_in_utc,
        point_collection=collection,
        method="dbscan",
        distance_tolerance=km,
        density_tolerance=density,
        return_no_cluster=True,
    )
    assert found.keys() == points.keys()
    for a in points:
        around = {found[b] for b in near[a] & dense}
        assert found[a] in around if around else found[a] is None
        if a in dense:
            reached, edge = set(), {a}
            while edge:
                reached |= edge
                edge = {b for b in dense if near[b] & edge} - reached
            assert {b for b in dense if found[b] == found[a]} == reached


@pytest.fixture
def country(stage_in_utc: Stage) -> Iterator[None]:
    """A boundary around the regions."""
    with stage_in_utc.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO geography.geoms (spatial_resolution, short_name, geom)"
                " VALUES (0, 'country', ST_Multi(ST_MakeEnvelope(84, 27, 86, 29, 4326)))"
            )
        )
    yield
    with stage_in_utc.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM geography.geoms WHERE spatial_resolution = 0"))


def areas(stage: Stage, **fields: Any) -> dict[tuple[str, int], tuple[Any, float]]:
    query = LocationArea(date="2016-01-02", **fields)
    found = {place[:2]: (shape(json.loads(geom)), km) for place, geom, km in rows(stage, query, "postgres")}
    assert found.keys() == {(site.id, site.version) for site in SITES if site.point} - {("moved", 0)}
    return found


@pytest.mark.usefixtures("country")
def test_the_country_is_divided_among_the_nearest_sites(stage_in_utc: Stage) -> None:
    found = areas(stage_in_utc)
    points = {(site.id, site.version): site.point for site in SITES if site.point}
    asked = 0
    for x in range(1, 40, 3):
        for y in range(1, 40, 3):
            here = (84 + x / 20, 27 + y / 20)
            near = sorted((metres(points[place], here), place) for place in found)
            if near[1][0] > near[0][0] * 1.01:
                asked += 1
                assert [place for place in found if found[place][0].contains(Point(here))] == [near[0][1]]
    assert asked > 100
    # One degree by one is 111 km by 98 km in the middle of the square.
    assert sum(km for _, km in found.values()) == pytest.approx(4 * 110.8 * 98.4, rel=0.01)
    assert found["outside", 0][1] == 0


def test_circles(stage_in_utc: Stage) -> None:
    for place, (area, km) in areas(stage_in_utc, method="radius", radius=2).items():
        (lon, lat), *_ = (site.point for site in SITES if (site.id, site.version) == place)
        assert km == pytest.approx(math.pi * 4, rel=0.03 if place[0] == "outside" else 0.003)
        if place[0] != "outside":
            assert {round(metres((lon, lat), corner) / 2000, 2) for corner in area.exterior.coords} == {1.0}


@pytest.mark.usefixtures("country")
def test_circles_end_where_another_site_is_nearer(stage_in_utc: Stage) -> None:
    whole, circles, both = (
        areas(stage_in_utc, method=method, radius=2) for method in ("voronois", "radius", "radius-voronois")
    )
    for place in whole:
        expected = whole[place][0].intersection(circles[place][0])
        assert both[place][0].symmetric_difference(expected).area < 1e-6
    # Half a circle of 2 km, and half of the 247 m to the only near site, which is to the east.
    assert both["p", 0][1] == pytest.approx(math.pi * 4 / 2 + 0.1237 * 4, rel=0.005)


def series(bucket: str = "day") -> DistanceSeries:
    seen = SubscriberLocations(**WINDOW, aggregation_unit="lon-lat")
    return DistanceSeries(subscriber_locations=seen, time_bucket=bucket)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: SubscriberLocations(**WINDOW, aggregation_unit="grid"), "aggregation_unit"),
        (lambda: SubscriberLocations(**WINDOW, mapping_table="geography.districts"), "mapping_table"),
        (
            lambda: SubscriberLocations(**WINDOW, aggregation_unit="admin3", ignore_nulls=False),
            "ignore_nulls",
        ),
        (lambda: FirstLocation(**WINDOW, aggregation_unit="lon-lat", location="x"), "location"),
        (lambda: FirstLocation(**WINDOW, location=[]), "location"),
        (lambda: FirstLocation(**WINDOW, location=7), "location"),
        (lambda: SubscriberLocationSubset(**WINDOW, aggregation_unit="cell", min_calls=0), "min_calls"),
        (lambda: CallDays(subscriber_locations=LastLocation(**WINDOW)), "subscriber_locations"),
        (lambda: DayTrajectories(locations=[]), "locations"),
        (lambda: DayTrajectories(locations=[LastLocation(**WINDOW)]), "locations"),
        (lambda: DistanceMatrix(aggregation_unit="cell"), "aggregation_unit"),
        (lambda: PopulationWeightedOpportunities(**WINDOW, aggregation_unit="admin3"), "aggregation_unit"),
        (
            lambda: PopulationWeightedOpportunities(start_date="2016-01-02", end_date="2016-01-01"),
            "end_date",
        ),
        (lambda: DistanceSeries(subscriber_locations=SubscriberLocations(**WINDOW)), "subscriber_locations"),
        (
            lambda: DistanceSeries(
                subscriber_locations=SubscriberLocations(**WINDOW, aggregation_unit="lon-lat"),
                reference_location=LastLocation(**WINDOW),
            ),
            "reference_location",
        ),
        (
            lambda: DistanceSeries(
                subscriber_locations=SubscriberLocations(**WINDOW, aggregation_unit="lon-lat"),
                reference_point=(0, 91),
            ),
            "reference_point",
        ),
        (
            lambda: LocationCluster(date="2016-01-01", method="dbscan", density_tolerance=0),
            "density_tolerance",
        ),
    ],
)
def test_what_cannot_be_asked_names_its_field(make: Any, field: str) -> None:
    with pytest.raises(ma.ValidationError) as refused:
        make()
    assert list(refused.value.normalized_messages()) == [field]
