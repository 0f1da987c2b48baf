"""Check that samples are equal on both executors, stable and independent."""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.queries.catalogue import load_any

from .specs import daily, window
from .world import Stage, World, drawn

SAMPLED = drawn(
    """
    subscriber | time    | cell           | type   | recharge_amount
    s1..40     | 1 10:00 | in-b           | calls  | -
    s1..40     | 2 10:00 | in-B           | calls  | -
    s1..20     | 2 11:00 | in-two-regions | calls  | -
    s1..40     | 1 10:00 | -              | topups | 1
    s1..30     | 1 11:00 | -              | topups | 2
    """
)

THREE_DAYS = {"start_date": "2016-01-01", "end_date": "2016-01-04"}


def sample(size: int = 10, seed: float = 0.5, method: str = "random_ids") -> dict[str, Any]:
    return {"sampling": {"sampling_method": method, "seed": seed, "size": size}}


#: Texts, doubles that databases write in different ways, and several rows for some subscribers.
@pytest.mark.parametrize(
    "spec",
    [
        daily(1),
        window("unique_locations"),
        {"query_kind": "radius_of_gyration", **THREE_DAYS},
        {"query_kind": "topup_amount", **THREE_DAYS, "statistic": "sum"},
        {"query_kind": "topup_amount", **THREE_DAYS, "statistic": "avg"},
    ],
    ids=lambda spec: str(spec["query_kind"]),
)
def test_a_sample_is_the_same_on_both_executors(stage_in_utc: Stage, spec: dict[str, Any]) -> None:
    query = load_any(spec | sample())
    duckdb, postgres = (
        stage_in_utc.evaluate(query, SAMPLED, executor) for executor in ("duckdb", "postgres")
    )
    assert len(duckdb) == 10
    assert duckdb == [(who, pytest.approx(value)) for who, value in postgres]


def people(stage: Stage, executor: str, spec: dict[str, Any]) -> set[str]:
    return {str(row[0]) for row in stage.evaluate(load_any(spec), SAMPLED, executor)}


def test_a_sample_is_of_the_same_subscribers_on_other_days(stage_in_utc: Stage, executor: str) -> None:
    """Check that locations and measured values do not affect a sample."""
    monday, tuesday = (people(stage_in_utc, executor, daily(day, **sample())) for day in (1, 2))
    assert monday == tuesday
    count = {"query_kind": "event_count", **THREE_DAYS}
    assert people(stage_in_utc, executor, count | sample()) == monday


@pytest.mark.parametrize("other", [sample(size=11), sample(seed=0.25), sample(method="bernoulli")])
def test_samples_of_other_settings_are_independent(
    stage_in_utc: Stage, executor: str, other: dict[str, Any]
) -> None:
    """Check that no sample is another with one person added.

    The difference of two counts would reveal that person.
    """
    small, large = (people(stage_in_utc, executor, daily(1, **settings)) for settings in (sample(), other))
    # Of forty, ten independent of ten others share two or three with them.
    assert len(small & large) < 8


def test_a_fraction_is_rounded_down(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        s1..100    | 1 10:00 | in-b
        """
    )

    def size(fraction: float) -> int:
        sampling = {"sampling_method": "bernoulli", "seed": 1, "fraction": fraction}
        return len(stage_in_utc.evaluate(load_any(daily(1, sampling=sampling)), world, executor))

    assert size(0.265) == 26
    # As written: the double next to it is a little less.
    assert size(0.29) == 29
    assert size(1e-300) == 0


def crowd(number: int) -> World:
    return drawn(f"subscriber | time | cell\ns1..{number} | 1 10:00 | in-b")


@pytest.mark.parametrize(
    ("people", "sampling", "rows"),
    [
        # Of 160 a tenth is 16: at most 144 may be drawn, and the limit is rounded to 140.
        (160, {"size": 140}, 140),
        (160, {"size": 141}, 0),
        # Of 400 a tenth are 40.
        (400, {"size": 360}, 360),
        (400, {"size": 361}, 0),
        (46, {"size": 30}, 30),
        (45, {"size": 30}, 0),
        (26, {"size": 10}, 10),
        (25, {"size": 1}, 0),
        (1, {"size": 1}, 0),
        (32, {"fraction": 0.5}, 16),
        (31, {"fraction": 0.5}, 15),
        (30, {"fraction": 0.5}, 0),
        (160, {"fraction": 0.9}, 144),
        (159, {"fraction": 0.9}, 143),
        (150, {"fraction": 0.9}, 0),
    ],
)
def test_a_sample_leaves_out_a_tenth_and_sixteen(
    stage_in_utc: Stage, executor: str, people: int, sampling: dict[str, Any], rows: int
) -> None:
    settings = {"sampling_method": "random_ids", "seed": 0.5, **sampling}
    found = stage_in_utc.evaluate(load_any(daily(1, sampling=settings)), crowd(people), executor)
    assert len(found) == rows
