"""Share specs and worlds among themes, and functions that return rows."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from flowdb.keys import subscriber_key
from flowmachine.queries.catalogue import load_any
from flowmachine.spec.query import Query

from .aggregates.drawing import LABELS, WEEKDAYS
from .world import Stage, World, drawn

Spec = dict[str, Any]


def answer(stage: Stage, spec: Spec, world: World, executor: str) -> list[tuple[Any, ...]]:
    return stage.evaluate(load_any(spec), world, executor)


def visits(*days: int) -> Spec:
    return {"query_kind": "location_visits", "locations": [daily(day) for day in days]}


def majority(*days: int, **more: Any) -> Spec:
    return {"query_kind": "majority_location", "subscriber_location_weights": visits(*days), **more}


def coalesced(preferred: Spec, fallback: Spec, weights: Spec, threshold: int = 1) -> Spec:
    return {
        "query_kind": "coalesced_location",
        "preferred_location": preferred,
        "fallback_location": fallback,
        "subscriber_location_weights": weights,
        "weight_threshold": threshold,
    }


def on(*days: int) -> Spec:
    """The one location of the days, or null."""
    there = majority(*days, include_unlocatable=True)
    return coalesced(there, there, visits(*days))


def classified(*locations: Spec, threshold: int = 2) -> Spec:
    return {
        "query_kind": "mobility_classification",
        "locations": list(locations),
        "stay_length_threshold": threshold,
    }


CALENDAR = {"query_kind": "calendar_activity", "start_date": "2016-01-01", "total_periods": 3}


def meaningful(kind: str, **more: Any) -> Spec:
    return {
        "query_kind": kind,
        "aggregation_unit": "admin3",
        "labels": LABELS,
        # At night in the one area, by day in the other.
        "tower_hour_of_day_scores": [1.0] * 8 + [-1.0] * 12 + [1.0] * 4,
        "tower_day_of_week_scores": dict.fromkeys(WEEKDAYS, 0.5),
        **more,
    }


def rows(stage: Stage, executor: str, world: World, kind: str, **fields: Any) -> list[Any]:
    spec = {"query_kind": kind, **fields}
    return stage.evaluate(load_any(spec), world, executor)


def near(*expected: Any) -> list[Any]:
    """Rows whose numbers are floating."""
    return [
        tuple(pytest.approx(value) if isinstance(value, float) else value for value in row)
        for row in expected
    ]


def crowd(number: int, time: str, cell: str, *, bits: int) -> str:
    """Draw lines of subscribers whose keys end in distinct groups of six bits."""
    endings: set[int] = set()
    chosen: list[str] = []
    for name in map("p{}".format, itertools.count()):
        ending = subscriber_key(name) & 63
        spare = number - len(chosen) > bits - len(endings)
        if spare if ending in endings else len(endings) < bits:
            endings.add(ending)
            chosen.append(name)
        if len(chosen) == number:
            return "\n".join(f"{name} | {time} | {cell}" for name in chosen)
    raise AssertionError("names do not end")


def daily(day: int, method: str = "last", **more: Any) -> dict[str, Any]:
    return {
        "query_kind": "daily_location",
        "date": f"2016-01-{day:02}",
        "method": method,
        "aggregation_unit": "admin3",
        **more,
    }


def window(kind: str, start: str = "2016-01-01", end: str = "2016-01-04", **more: Any) -> dict[str, Any]:
    return {
        "query_kind": kind,
        "start_date": start,
        "end_date": end,
        "aggregation_unit": "admin3",
        **more,
    }


def metric(kind: str, **fields: Any) -> dict[str, Any]:
    return {"query_kind": kind, "start_date": "2016-01-01", "end_date": "2016-01-04", **fields}


WINDOW: dict[str, Any] = {"start_date": "2016-01-01", "end_date": "2016-01-04"}

SEEN = drawn(
    """
    subscriber | time    | cell    | outgoing
    ann        | 1 10:00 | in-b    | out
    ann        | 2 00:30 | in-b    | in
    ann        | 2 10:00 | moves   | out
    ann        | 3 10:00 | moves   | out
    bob        | 1 10:00 | unknown | out
    bob        | 1 11:00 | -       | out
    bob        | 1 11:00 | ""      | out
    cat        | 2 23:00 | nowhere | in
    """
)


def rows_of(stage: Stage, query: Query, executor: str, world: World = SEEN) -> list[tuple[Any, ...]]:
    assert load_any(query.spec()) == query
    return stage.evaluate(query, world, executor)
