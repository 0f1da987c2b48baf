"""Trips between places, on worlds drawn as tables."""

from __future__ import annotations

from ..specs import answer, window
from ..world import Stage, drawn


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
        # Subscribers at two places at once start from the place that sorts first.
        ("B", "é", 16),
        ("B", "b", 16),
        ("b", "b", 16),
        ("b", "B", 16),
    ]


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
