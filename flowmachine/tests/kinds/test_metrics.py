"""Metrics of subscribers, and their statistics at places, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.queries.catalogue import load_any
from flowmachine.spec.query import NotBuildable

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
        degree = spec | {"query_kind": "subscriber_degree", "direction": "both"}
        with pytest.raises(NotBuildable, match=r"^\{'msisdn_counterpart'\} are not columns of events.mds$"):
            data.check(load_any(degree))


def test_unique_location_counts(stage_in_utc: Stage, executor: str) -> None:
    """A place counts once however often it is visited; an event in two regions counts both, one in none nothing."""
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 1 11:00 | in-B
        ann        | 2 10:00 | in-b
        bob        | 1 10:00 | in-two-regions
        bob        | 1 11:00 | outside
        cat        | 1 10:00 | outside
        dan        | 3 00:00 | in-b
        """
    )
    spec = {"query_kind": "unique_location_counts", **WINDOW, "aggregation_unit": "admin3"}
    assert stage_in_utc.evaluate(load_any(spec), world, executor) == [("ann", 2), ("bob", 2)]


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


def metric(kind: str, **fields: Any) -> dict[str, Any]:
    return {"query_kind": kind, "start_date": "2016-01-01", "end_date": "2016-01-04", **fields}


CONTACTS = drawn(
    """
    subscriber | time    | counterpart | outgoing
    ann        | 1 10:00 | bob         | out
    ann        | 1 11:00 | bob         | in
    ann        | 1 12:00 | bob         | in
    ann        | 2 21:00 | cat         | out
    ann        | 2 22:00 | ann         | out
    ann        | 3 03:00 | -           | out
    bob        | 1 10:00 | bob         | in
    """
)


def test_degree_leaves_out_oneself_and_the_unknown(stage_in_utc: Stage, executor: str) -> None:
    spec = metric("subscriber_degree")
    assert stage_in_utc.evaluate(load_any(spec), CONTACTS, executor) == [("ann", 2)]
    incoming = load_any(spec | {"direction": "in"})
    assert stage_in_utc.evaluate(incoming, CONTACTS, executor) == [("ann", 1)]


@pytest.mark.parametrize(("proportion", "share"), [(0.5, 0.25), (0.6, 0.5), (0.99, 1.0)])
def test_pareto_counts_oneself_and_the_unknown(
    stage_in_utc: Stage, executor: str, proportion: float, share: float
) -> None:
    query = load_any(metric("pareto_interactions", proportion=proportion))
    # Ann's six events: three with Bob, one each with Cat, herself and nobody known.
    assert stage_in_utc.evaluate(query, CONTACTS, executor) == [("ann", share), ("bob", 1.0)]


@pytest.mark.parametrize(
    ("night", "share"),
    [
        ((20, 4), 50.0),
        ((0, 4), 100 / 6),
        ((21, 24), 100 / 3),
        ((24, 4), 100 / 6),
        # The whole day.
        ((5, 5), 100.0),
        ((24, 24), 100.0),
    ],
)
def test_nights_may_lie_on_one_side_of_midnight(
    stage_in_utc: Stage, executor: str, night: tuple[int, int], share: float
) -> None:
    hours = {"start_hour": night[0], "end_hour": night[1]}
    query = load_any(metric("nocturnal_events", night_hours=hours))
    (_, ann), _ = stage_in_utc.evaluate(query, CONTACTS, executor)
    assert ann == pytest.approx(share)


TOPUPS = drawn(
    """
    subscriber | time    | type   | recharge_amount | pre_event_balance | post_event_balance
    ann        | 1 06:00 | topups | 10              | 2                 | 12
    ann        | 3 06:00 | topups | 20              | 4                 | 24
    """
)

#: Six hours at 2, forty-eight at the mean of 12 and 4, eighteen at 24.
HOURS_AT = [(6, 2.0), (48, 8.0), (18, 24.0)]
MEAN = sum(hours * level for hours, level in HOURS_AT) / 72
SQUARES = sum(3600 * hours * (level - MEAN) ** 2 for hours, level in HOURS_AT)


@pytest.mark.parametrize(
    ("statistic", "value"),
    [
        ("count", 2),
        ("max", 24),
        ("min", 2),
        ("sum", MEAN * 72 * 3600),
        ("avg", MEAN),
        ("variance", SQUARES / (72 * 3600 - 1)),
        ("stddev", (SQUARES / (72 * 3600 - 1)) ** 0.5),
        ("median", 8.0),
        ("mode", 8.0),
    ],
)
def test_topup_balance(stage_in_utc: Stage, executor: str, statistic: str, value: float) -> None:
    query = load_any(metric("topup_balance", statistic=statistic))
    assert stage_in_utc.evaluate(query, TOPUPS, executor) == [("ann", pytest.approx(value, rel=1e-9))]


@pytest.mark.parametrize(("statistic", "value"), [("sum", 30), ("count", 2), ("avg", 15), ("mode", 10)])
def test_topup_amount(stage_in_utc: Stage, executor: str, statistic: str, value: float) -> None:
    query = load_any(metric("topup_amount", statistic=statistic))
    assert stage_in_utc.evaluate(query, TOPUPS, executor) == [("ann", value)]


def test_displacement_from_the_last_place(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 2 10:00 | in-a1
        bob        | 2 10:00 | in-b
        """
    )
    home = DAILY | {"aggregation_unit": "lon-lat"}
    query = load_any(metric("displacement", statistic="max", reference_location=home))
    # Bob was nowhere on the first day.
    assert stage_in_utc.evaluate(query, world, executor) == [("ann", pytest.approx(138.5, abs=0.1))]


DEVICES_USED = drawn(
    """
    subscriber | time    | tac
    ann        | 1 10:00 | 11111111
    ann        | 1 11:00 | 11111111
    ann        | 1 12:00 | 33333333
    ann        | 1 13:00 | -
    bob        | 1 10:00 | 22222222
    bob        | 1 10:00 | 33333333
    cat        | 1 10:00 | 99999999
    dan        | 1 10:00 | -
    """
)


@pytest.mark.parametrize(
    ("method", "rows"),
    [
        ("last", [("ann", "Zed"), ("bob", "acme"), ("cat", None)]),
        # Of equally common brands the one that sorts first by bytes: capitals come before small letters.
        ("most-common", [("ann", "Acme"), ("bob", "Zed"), ("cat", None)]),
    ],
)
def test_handset(stage_in_utc: Stage, executor: str, method: str, rows: list[Any]) -> None:
    query = load_any(metric("handset", characteristic="brand", method=method))
    assert stage_in_utc.evaluate(query, DEVICES_USED, executor) == rows


HANDSETS_AT_HOME = {
    "query_kind": "joined_spatial_aggregate",
    "locations": DAILY,
    "metric": metric("handset", characteristic="brand", method="last"),
    "method": "distr",
}


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [
        # All are told, so nothing is left to work out.
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
    # What is left out at one place has no bearing on another.
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


def test_active_periods(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time       | cell
        ann        | 1 00:00    | -
        ann        | 1 07:59:59 | -
        ann        | 1 08:00    | -
        ann        | 3 23:59:59 | -
        bob        | 1 00:00    | -
        """
    )
    spec = {
        "query_kind": "total_active_periods",
        "start_date": "2016-01-01",
        "total_periods": 9,
        "period_length": 8,
        "period_unit": "hours",
    }
    assert stage_in_utc.evaluate(load_any(spec), world, executor) == [("ann", 3), ("bob", 1)]
