"""Metrics of subscribers, and their statistics at places, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.registry import load_any
from flowmachine.sql.events import NotBuildable

from .world import Stage, drawn

WINDOW = {"start_date": "2016-01-01", "end_date": "2016-01-03"}

WORLD = drawn(
    """
    subscriber | time    | cell    | type  | outgoing
    ann        | 1 10:00 | in-b    | calls | out
    ann        | 1 11:00 | -       | sms   | in
    ann        | 1 12:00 | in-b    | mds   | out
    bob        | 2 10:00 | unknown | calls | -
    bob        | 3 00:00 | in-b    | calls | out
    """
)


@pytest.mark.parametrize(
    ("direction", "rows"),
    [("both", [("ann", 2), ("bob", 1)]), ("out", [("ann", 1)]), ("in", [("ann", 1)])],
)
def test_event_count(stage_in_utc: Stage, executor: str, direction: str, rows: list[Any]) -> None:
    query = load_any({"query_kind": "event_count", **WINDOW, "direction": direction})
    assert stage_in_utc.evaluate(query, WORLD, executor) == rows


def test_a_direction_needs_types_that_have_one(stage_in_utc: Stage) -> None:
    spec = {"query_kind": "event_count", **WINDOW, "direction": "in", "event_types": ["calls", "mds"]}
    with stage_in_utc.loaded(WORLD) as (_, data):
        with pytest.raises(NotBuildable, match=r"\{'outgoing'\} are not columns of events.mds"):
            data.check(load_any(spec))
        data.check(load_any(spec | {"direction": "both"}))


def test_radius_of_gyration(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        bob        | 1 10:00 | in-b
        bob        | 1 11:00 | in-a1
        cat        | 1 10:00 | -
        """
    )
    query = load_any({"query_kind": "radius_of_gyration", **WINDOW})
    (ann, still), (bob, moved) = stage_in_utc.evaluate(query, world, executor)
    assert (ann, bob) == ("ann", "bob")
    assert still == pytest.approx(0, abs=1e-9)
    # One and a quarter degrees of latitude apart: a meridian degree has 110.8 km there.
    assert moved == pytest.approx(69.25, abs=0.05)


DAILY = {
    "query_kind": "daily_location",
    "date": "2016-01-01",
    "method": "last",
    "aggregation_unit": "admin3",
}


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("count", 16),
        ("sum", 24),
        ("avg", 1.5),
        ("max", 3),
        ("min", 1),
        ("median", 1),
        ("mode", 1),
        ("variance", 0.8),
        ("stddev", 0.8**0.5),
    ],
)
def test_joined_statistics(stage_in_utc: Stage, executor: str, method: str, value: float) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        s1..16     | 1 10:00 | in-b
        s1..4      | 2 10:00 | in-b
        s1..4      | 2 11:00 | in-B
        """
    )
    spec = {
        "query_kind": "joined_spatial_aggregate",
        "locations": DAILY,
        "metric": {"query_kind": "event_count", **WINDOW},
        "method": method,
    }
    assert stage_in_utc.evaluate(load_any(spec), world, executor) == [("b", pytest.approx(value))]


def test_a_statistic_is_judged_by_those_who_have_the_metric(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        s1..40     | 1 10:00 | in-b
        s1..15     | 2 10:00 | in-B
        """
    )
    metric = {"query_kind": "event_count", "start_date": "2016-01-02", "end_date": "2016-01-03"}
    spec = {
        "query_kind": "joined_spatial_aggregate",
        "locations": DAILY,
        "metric": metric,
        "method": "avg",
    }
    assert stage_in_utc.evaluate(load_any(spec), world, executor) == []


def test_geography(stage_in_utc: Stage) -> None:
    world = drawn("subscriber | time | cell\nann | 1 10:00 | in-b")
    query = load_any({"query_kind": "geography", "aggregation_unit": "admin3"})
    rows = stage_in_utc.evaluate(query, world, "postgres")
    assert [name for name, _ in rows] == ["B", "a", "a 1", "b", "é"]
    points = load_any({"query_kind": "geography", "aggregation_unit": "lon-lat"})
    rows = stage_in_utc.evaluate(points, world, "postgres")
    assert [row[:2] for row in rows] == sorted({row[:2] for row in rows})
    assert (85.75, 28.125) in [row[:2] for row in rows]


def test_the_dummy_is_refused_unless_tests_are_allowed(
    stage_in_utc: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = drawn("subscriber | time | cell\nann | 1 10:00 | in-b")
    query = load_any({"query_kind": "dummy_query", "dummy_param": "x", "aggregation_unit": "admin3"})
    with pytest.raises(NotBuildable, match="FLOWMACHINE_TEST_KINDS"):
        stage_in_utc.evaluate(query, world, "postgres")
    monkeypatch.setenv("FLOWMACHINE_TEST_KINDS", "on")
    assert stage_in_utc.evaluate(query, world, "postgres") == [("x",)]
