"""Clusters of sites with a label, counted in shares, on worlds drawn as tables."""

from __future__ import annotations

from ..specs import WINDOW, answer, meaningful
from ..world import Stage, drawn

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
