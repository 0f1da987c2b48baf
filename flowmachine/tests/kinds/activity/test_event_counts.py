"""Events, nights and active periods of subscribers, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.queries.catalogue import load_any
from flowmachine.spec.query import NotBuildable

from ..contacts.test_degree_and_pareto import CONTACTS
from ..specs import metric
from ..world import Stage, drawn

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
