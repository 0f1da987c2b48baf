"""Who was seen where they belong, who never left, and how a metric is distributed, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.registry import load_any

from .world import Stage, drawn

HOME = {
    "query_kind": "daily_location",
    "date": "2016-01-01",
    "method": "last",
    "aggregation_unit": "admin3",
}
WINDOW = {"start_date": "2016-01-02", "end_date": "2016-01-04"}
SEEN = {"query_kind": "unique_locations", **WINDOW, "aggregation_unit": "admin3"}

#: Sixteen who stay in b, seventeen of b who also go to B, sixteen of B who move to é, forty visitors without a home.
WORLD = drawn(
    """
    subscriber | time    | cell
    a1..16     | 1 10:00 | in-b
    a1..16     | 2 10:00 | in-b
    b1..17     | 1 10:00 | in-b
    b1..17     | 2 10:00 | in-b
    b1..17     | 3 10:00 | in-B
    c1..16     | 1 10:00 | in-B
    c1..16     | 2 10:00 | in-é
    v1..40     | 3 10:00 | in-b
    """
)

ACTIVE = {
    "query_kind": "active_at_reference_location_counts",
    "unique_locations": SEEN,
    "reference_locations": HOME,
}
EVERYONE = {"query_kind": "unique_subscriber_counts", **WINDOW, "aggregation_unit": "admin3"}


def test_active_at_home(stage_in_utc: Stage, executor: str) -> None:
    assert stage_in_utc.evaluate(load_any(ACTIVE), WORLD, executor) == [("b", 33)]


def test_visitors_are_everyone_less_those_at_home(stage_in_utc: Stage, executor: str) -> None:
    spec = {
        "query_kind": "unique_visitor_counts",
        "active_at_reference_location_counts": ACTIVE,
        "unique_subscriber_counts": EVERYONE,
    }
    assert stage_in_utc.evaluate(load_any(spec), WORLD, executor) == [("b", 40)]


def test_few_visitors_are_not_told(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | in-b
        a1..16     | 2 10:00 | in-b
        v1..15     | 2 10:00 | in-b
        """
    )
    spec = {
        "query_kind": "unique_visitor_counts",
        "active_at_reference_location_counts": ACTIVE,
        "unique_subscriber_counts": EVERYONE,
    }
    assert stage_in_utc.evaluate(load_any(spec), world, executor) == []


def test_unmoving(stage_in_utc: Stage, executor: str) -> None:
    spec = {"query_kind": "unmoving_counts", "locations": SEEN}
    assert stage_in_utc.evaluate(load_any(spec), WORLD, executor) == [("b", 56), ("é", 16)]


def test_unmoving_at_home(stage_in_utc: Stage, executor: str) -> None:
    spec = {
        "query_kind": "unmoving_at_reference_location_counts",
        "locations": SEEN,
        "reference_locations": HOME,
    }
    assert stage_in_utc.evaluate(load_any(spec), WORLD, executor) == [("b", 16)]


#: Sixteen with one event, seventeen with two, eighteen with three.
EVENTS = drawn(
    """
    subscriber | time    | cell
    a1..16     | 1 10:00 | -
    b1..17     | 1 10:00 | -
    b1..17     | 1 11:00 | -
    c1..18     | 1 10:00 | -
    c1..18     | 1 11:00 | -
    c1..18     | 1 12:00 | -
    """
)
COUNT = {"query_kind": "event_count", "start_date": "2016-01-01", "end_date": "2016-01-02"}
NOTHING = [(None, None, None)]


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({"bins": {"n_bins": 1}}, [(51, 1, 3)]),
        ({"bins": {"n_bins": 2}}, [(16, 1, 2), (35, 2, 3)]),
        ({"bins": {"n_bins": 3}}, [(16, 1, 5 / 3), (17, 5 / 3, 7 / 3), (18, 7 / 3, 3)]),
        ({"bins": {"n_bins": 4}}, NOTHING),
        ({"bins": {"n_bins": 1}, "range": {"lower_bound": 2, "upper_bound": 4}}, [(35, 2, 4)]),
        ({"bins": {"n_bins": 1}, "range": [2, 4]}, [(35, 2, 4)]),
        ({"bins": {"n_bins": 2}, "range": [1, 9]}, NOTHING),
        ({"bins": {"bin_list": [1, 2, 3]}}, [(16, 1, 2), (17, 2, 3)]),
        ({"bins": {"bin_list": [1, 2, 3, 4]}}, [(16, 1, 2), (17, 2, 3), (18, 3, 4)]),
        ({"bins": {"bin_list": [0.5, 1, 4]}}, NOTHING),
    ],
)
def test_histogram(stage_in_utc: Stage, executor: str, fields: dict[str, Any], rows: list[Any]) -> None:
    query = load_any({"query_kind": "histogram_aggregate", "metric": COUNT, **fields})
    found = stage_in_utc.evaluate(query, EVENTS, executor)
    assert found == [
        tuple(pytest.approx(value, rel=1e-9) if value else value for value in row) for row in rows
    ]


def test_one_bin_of_fifteen_withholds_all(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..400    | 1 10:00 | -
        b1..15     | 1 10:00 | -
        b1..15     | 1 11:00 | -
        """
    )
    spec = {"query_kind": "histogram_aggregate", "metric": COUNT, "bins": {"n_bins": 2}}
    assert stage_in_utc.evaluate(load_any(spec), world, executor) == NOTHING


def test_a_constant_metric_fills_one_bin(stage_in_utc: Stage, executor: str) -> None:
    world = drawn("subscriber | time | cell\na1..16 | 1 10:00 | -")
    spec = {"query_kind": "histogram_aggregate", "metric": COUNT, "bins": {"n_bins": 5}}
    assert stage_in_utc.evaluate(load_any(spec), world, executor) == [(16, 1.0, 1.0)]


def test_a_histogram_of_nothing_is_withheld(stage_in_utc: Stage, executor: str) -> None:
    world = drawn("subscriber | time | cell\na1 | 3 10:00 | -")
    spec = {"query_kind": "histogram_aggregate", "metric": COUNT, "bins": {"n_bins": 5}}
    assert stage_in_utc.evaluate(load_any(spec), world, executor) == NOTHING
