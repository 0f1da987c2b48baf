"""Clusters of sites, by means and by density."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowmachine.queries import LocationCluster

from ..land import CELLS, SITES
from ..oracle import metres
from ..specs import rows_of
from ..world import Stage

NEAR_P = {("p", 0), ("beside p", 0), ("near p", 0), ("moved", 1)}


def clusters(stage: Stage, **fields: Any) -> dict[tuple[str, int], int | None]:
    query = LocationCluster(date="2016-01-02", **fields)
    return {place[:2]: number for place, number in rows_of(stage, query, "postgres")}


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
    ((number, members, hull, points),) = rows_of(stage_in_utc, query, "postgres")
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
    """Check density clusters: places of many neighbours join, others go along."""
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
