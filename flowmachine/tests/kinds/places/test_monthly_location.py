"""The location of a month, on worlds drawn as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.queries.catalogue import load_any

from ..specs import answer
from ..world import TYPES, Stage, drawn

MONTH = drawn(
    """
    subscriber | time    | cell
    ann        | 1 10:00 | in-b
    ann        | 1 11:00 | in-b
    ann        | 1 12:00 | in-é
    ann        | 2 10:00 | in-b
    ann        | 3 10:00 | in-é
    ann        | 3 11:00 | in-B
    bob        | 1 10:00 | in-b
    bob        | 2 10:00 | in-B
    bob        | 3 10:00 | unknown
    cat        | 2 10:00 | in-b
    """
)


def monthly(**more: Any) -> dict[str, Any]:
    fields = {"month": "2016-01", "method": "last", "aggregation_unit": "admin3", "minimum_days": 2}
    return {"query_kind": "monthly_location", **fields, **more}


def test_monthly_location(stage_in_utc: Stage, executor: str) -> None:
    """Check that the latest of tied days counts, and that a day needs a place."""
    assert answer(stage_in_utc, monthly(), MONTH, executor) == [("ann", "B"), ("bob", "B")]
    common = monthly(method="most-common")
    assert answer(stage_in_utc, common, MONTH, executor) == [("ann", "b"), ("bob", "B")]
    everybody = monthly(minimum_days=1)
    assert answer(stage_in_utc, everybody, MONTH, executor) == [("ann", "B"), ("bob", "B"), ("cat", "b")]
    assert answer(stage_in_utc, monthly(minimum_days=3), MONTH, executor) == [("ann", "B")]


def test_days_that_are_not_loaded_count_for_nobody(stage_in_utc: Stage, executor: str) -> None:
    loaded = frozenset((event_type, date(2016, 1, day)) for event_type in TYPES for day in (1, 2))
    world = replace(MONTH, loaded=loaded)
    assert answer(stage_in_utc, monthly(), world, executor) == [("ann", "b"), ("bob", "B")]


@pytest.mark.parametrize("month", ["2016-13", "2016-1", "2016-01-01", "", "January", "16-01"])
def test_a_month_is_a_month(month: str) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(monthly(month=month))
    assert refused.value.normalized_messages() == {"month": ["Must be a month such as 2016-01."]}
