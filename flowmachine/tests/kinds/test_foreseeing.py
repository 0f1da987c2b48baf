"""Check that near earlier answers are named before a question is computed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from flowmachine.queries import DailyLocation, ModalLocation, SpatialAggregate
from flowmachine.server.foreseeing import foreseen
from flowmachine.tables import jobs

from .world import Stage, drawn

WORLD = drawn(
    """
    subscriber | time    | cell
    a1..20     | 1 10:00 | in-b
    b1..25     | 2 10:00 | in-B
    """
)


def home(*days: int, unit: str = "admin3", **more: Any) -> SpatialAggregate:
    of_days = [
        DailyLocation(date=f"2016-01-{day:02}", method="last", aggregation_unit=unit, **more) for day in days
    ]
    return SpatialAggregate(locations=ModalLocation(locations=of_days))


def test_near_questions_are_named_with_the_reason(stage_in_utc: Stage, executor: str) -> None:
    """Check that neither days apart nor other questions are named."""
    first, finer = home(1, 2), home(1, 2, unit="lon-lat")
    with stage_in_utc.loaded(WORLD) as (connection, state):

        def near(question: SpatialAggregate) -> list[tuple[str, str]]:
            return [(found["query_id"], found["reason"]) for found in foreseen(connection, question, state)]

        assert near(first) == []
        for asked in (first, finer):
            stage_in_utc.run(asked, WORLD, executor, connection, state)
            made = {"query_id": asked.query_id, "store": "released", "kind": asked.kind, "state": "completed"}
            connection.execute(sa.insert(jobs).values(made | {"spec": asked.spec()}))
        assert near(first) == [(finer.query_id, "part")]
        assert near(finer) == [(first.query_id, "total")]
        assert near(home(1, 2, 3)) == [(first.query_id, "twin")]
        assert near(home(1, 2, event_types=["calls"])) == [(first.query_id, "twin")]
        assert near(home(3)) == []
        assert near(SpatialAggregate(locations=home(1).locations.locations[0])) == []  # type: ignore[attr-defined]
