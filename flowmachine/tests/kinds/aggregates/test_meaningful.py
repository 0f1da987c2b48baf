"""Clusters of sites with a label, counted in shares, on worlds drawn as tables."""

from __future__ import annotations

import pytest

from flowmachine.queries import EventScore

from ..specs import WINDOW, answer, meaningful
from ..world import Stage, drawn
from .drawing import WEEKDAYS

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
    """Check that a cluster moves with its members.

    The three sites lie 500 m apart in a row: the third is in reach of the mean of the others, not of the
    first.
    """
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


def test_sites_are_scored_by_the_hours_and_days_of_events(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 1 22:00 | in-b
        ann        | 2 23:00 | in-b
        ann        | 1 08:00 | in-B
        """
    )
    # The first of 2016 is a Friday, of which the score is 1.
    weekdays = dict.fromkeys(WEEKDAYS, 0.0) | {"friday": 1.0, "saturday": -1.0}
    found = stage_in_utc.evaluate(EventScore(**WINDOW, tower_day_of_week_scores=weekdays), world, executor)
    # At one site one event in working hours and two by night, one of these on Saturday; at the other one between.
    assert sorted(row[-3:] for row in found) == [
        (1, 0.0, 1.0),
        (2, pytest.approx(-1 / 3), pytest.approx(1 / 3)),
    ]
    flat = EventScore(**WINDOW, tower_day_of_week_scores=dict.fromkeys(WEEKDAYS, 0.5))
    assert {row[-1] for row in stage_in_utc.evaluate(flat, world, executor)} == {0.5}


def test_clusters_have_a_centre_scores_and_a_label(stage_in_utc: Stage, executor: str) -> None:
    spec = meaningful("meaningful_locations", **WINDOW)
    del spec["aggregation_unit"]
    found = answer(stage_in_utc, spec, COMMUTERS, executor)
    of_a, of_b = ([row for row in found if row[0] == name] for name in ("a1", "b1"))
    # The sites of the nights are one cluster of a, between both; those of b are two.
    assert sorted(row[3] for row in of_a) == ["day", "evening"]
    assert sorted(row[3] for row in of_b) == ["day", "evening", "evening"]
    assert {row[3:] for row in of_a} == {("evening", 1.0, 0.5), ("day", -1.0, 0.5)}
    often = answer(stage_in_utc, spec | {"tower_cluster_call_threshold": 2}, COMMUTERS, executor)
    assert {(row[0][0], row[3]) for row in often} == {("a", "evening")}
