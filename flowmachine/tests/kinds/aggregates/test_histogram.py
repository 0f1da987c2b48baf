"""Check a metric's distribution on worlds drawn as tables."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowmachine.queries.catalogue import load_any

from ..world import Stage, World, drawn

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


AMOUNT = {
    "query_kind": "topup_amount",
    "start_date": "2016-01-01",
    "end_date": "2016-01-02",
    "statistic": "sum",
}


def topped_up(*amounts: Decimal, people: int = 16) -> World:
    """So many people topped up each of the amounts."""
    lines = [
        f"s{number}-1..{people} | 1 10:00 | - | topups | {amount}" for number, amount in enumerate(amounts)
    ]
    return drawn("\n".join(["subscriber | time | cell | type | recharge_amount", *lines]))


def test_a_value_on_an_edge_belongs_to_the_bin_above(stage_in_utc: Stage, executor: str) -> None:
    world = topped_up(*map(Decimal, ("0.10", "0.15", "0.20")), people=20)
    query = load_any({"query_kind": "histogram_aggregate", "metric": AMOUNT, "bins": {"n_bins": 2}})
    assert stage_in_utc.evaluate(query, world, executor) == [(20, 0.1, 0.15), (40, 0.15, 0.2)]


@settings(max_examples=max(settings.default.max_examples // 5, 1))
@example(low=Decimal(0), step=Decimal("0.01"), count=100, ranged=True)
@given(
    low=st.sampled_from(tuple(map(Decimal, ("-0.3", "0", "0.1", "0.57", "3.3", "1234.56", "99999.9")))),
    step=st.sampled_from(tuple(map(Decimal, ("0.01", "0.07", "0.1", "0.3", "1.1")))),
    count=st.integers(1, 40),
    ranged=st.booleans(),
)
def test_decimals_are_on_the_edges_that_they_equal(
    stage_in_utc: Stage, executor: str, low: Decimal, step: Decimal, count: int, ranged: bool
) -> None:
    """Check that the people at the last two edges share a bin, for any doubles."""
    edges = [low + number * step for number in range(count + 1)]
    spec = {"query_kind": "histogram_aggregate", "metric": AMOUNT, "bins": {"n_bins": count}}
    if ranged:
        spec["range"] = [float(edges[0]), float(edges[-1])]
    found = stage_in_utc.evaluate(load_any(spec), topped_up(*edges), executor)
    sizes = [16] * (count - 1) + [32]
    # Exactly the doubles that print as these decimals.
    assert found == [
        (size, float(lower), float(upper))
        for size, (lower, upper) in zip(sizes, pairwise(edges), strict=True)
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
