"""The use of a phone by day, on a world drawn as a table."""

from __future__ import annotations

import pytest

from ..specs import near, rows
from ..world import Stage, drawn

#: Ann has four events on day 1 and one on day 2; bob names no cell that is known; cells at é share a point.
USE = drawn(
    """
    subscriber | time     | cell
    ann        | 1 10:00  | in-é
    ann        | 1 10:10  | beside
    ann        | 1 11:10  | in-b
    ann        | 1 11:20  | in-b
    ann        | 2 23:59  | in-b
    bob        | 1 10:00  | unknown
    bob        | 1 12:00  | -
    """
)


@pytest.mark.parametrize(
    ("measure", "statistic", "ann", "bob"),
    [
        ("events", "avg", 2.5, 2.0),
        ("events", "max", 4.0, 2.0),
        ("events", "count", 2.0, 1.0),
        ("cells", "avg", 2.0, 1.0),
        ("locations", "avg", 1.5, 0.0),
        ("hours", "sum", 3.0, 2.0),
        ("mean_gap", "avg", 80 * 60 / 3, 7200.0),
    ],
)
def test_activity_statistic(
    stage_in_utc: Stage, executor: str, measure: str, statistic: str, ann: float, bob: float
) -> None:
    fields = {"start_date": "2016-01-01", "end_date": "2016-01-04"}
    found = rows(
        stage_in_utc, executor, USE, "activity_statistic", measure=measure, statistic=statistic, **fields
    )
    assert found == near(("ann", ann), ("bob", bob))


def test_a_deviation_needs_three_events(stage_in_utc: Stage, executor: str) -> None:
    """Check gaps of ten, sixty and ten minutes, beside days with too few events."""
    fields = {"start_date": "2016-01-01", "end_date": "2016-01-04", "measure": "stddev_gap"}
    found = rows(stage_in_utc, executor, USE, "activity_statistic", **fields)
    assert found == near(("ann", 60 * 50 / 3**0.5))
