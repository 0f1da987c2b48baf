"""Statistics of a metric at places, on worlds drawn as tables."""

from __future__ import annotations

import pytest

from flowmachine.queries.catalogue import load_any

from ..activity.test_event_counts import WINDOW
from ..specs import metric
from ..world import Stage, drawn

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


HANDSETS_AT_HOME = {
    "query_kind": "joined_spatial_aggregate",
    "locations": DAILY,
    "metric": metric("handset", characteristic="brand", method="last"),
    "method": "distr",
}


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [
        # All shares are published, so nothing is left to subtract.
        ((16,), {"Acme": 16}),
        ((23, 17, 16), {"Acme": 23, "acme": 17, "Zed": 16}),
        # 17/47 and 23/47 would leave 7/47; one share of 46/47 would leave one person.
        ((23, 17, 7), {}),
        ((46, 1), {}),
        ((30, 15), {}),
        # Two or three that are withheld hide each other, if they are sixteen together.
        ((40, 10, 8), {"Acme": 40}),
        ((40, 8, 8), {"Acme": 40}),
        ((40, 8, 7), {}),
        ((40, 30, 15, 1), {"Acme": 40, "acme": 30}),
        ((15, 15, 15), {}),
    ],
)
def test_shares_of_handsets(
    stage_in_utc: Stage, executor: str, sizes: tuple[int, ...], shares: dict[str, int]
) -> None:
    lines = [
        f"{brand}1..{size} | 1 10:00 | in-b | {tac}"
        for size, brand, tac in zip(sizes, "abcd", (11111111, 22222222, 33333333, 99999999), strict=False)
    ]
    # A place that is left out does not affect other places.
    lines.append("z1..17 | 1 10:00 | in-B | 11111111")
    world = drawn("\n".join(["subscriber | time | cell | tac", *lines]))
    everyone = sum(sizes)
    assert stage_in_utc.evaluate(load_any(HANDSETS_AT_HOME), world, executor) == [
        ("B", "value", "Acme", 1.0),
        *(
            ("b", "value", brand, shares[brand] / everyone)
            for brand in ("Acme", "Zed", "acme")
            if brand in shares
        ),
    ]


def test_a_share_of_those_without_a_value(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell | tac
        a1..16     | 1 10:00 | in-b | 11111111
        b1..33     | 1 10:00 | in-b | 99999999
        """
    )
    assert stage_in_utc.evaluate(load_any(HANDSETS_AT_HOME), world, executor) == [
        ("b", "value", "Acme", 16 / 49),
        ("b", "value", None, 33 / 49),
    ]
