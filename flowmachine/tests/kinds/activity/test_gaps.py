"""Gaps between events, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest

from ..specs import WINDOW, near, rows
from ..world import Stage, drawn

GAPS = drawn(
    """
    subscriber | time    | outgoing
    ann        | 1 10:00 | out
    ann        | 1 11:30 | out
    ann        | 1 12:00 | in
    ann        | 1 11:30 | out
    ann        | 3 11:30 | out
    bob        | 1 10:00 | out
    cat        | 1 10:00 | in
    """
)


@pytest.mark.parametrize(
    ("statistic", "seconds", "hours", "alone"),
    [
        ("avg", 59400.0, 16, None),
        ("count", 3, 3, 0),
        ("sum", 178200.0, 49, None),
        ("min", 0.0, 0, None),
        ("max", 172800.0, 48, None),
        ("median", 5400.0, 1, None),
        ("mode", 0.0, 0, None),
        ("stddev", (5400**2 + 172800**2 - 178200**2 / 3) ** 0.5 / 2**0.5, 27, None),
        ("variance", (5400**2 + 172800**2 - 178200**2 / 3) / 2, 744, None),
    ],
)
def test_gaps(
    stage_in_utc: Stage, executor: str, statistic: str, seconds: Any, hours: int, alone: Any
) -> None:
    """Gaps of 5400, 0 and 172800 seconds; who had one event had no gap."""
    found = rows(stage_in_utc, executor, GAPS, "interevent_interval", **WINDOW, statistic=statistic)
    assert found == near(("ann", seconds), ("bob", alone))
    whole = rows(stage_in_utc, executor, GAPS, "interevent_period", **WINDOW, statistic=statistic)
    assert whole == [("ann", hours), ("bob", alone)]


def test_gaps_between_events_of_both_directions(stage_in_utc: Stage, executor: str) -> None:
    days = rows(
        stage_in_utc,
        executor,
        GAPS,
        "interevent_period",
        **WINDOW,
        direction="both",
        statistic="max",
        time_resolution="day",
    )
    # Half an hour less than two days, since the incoming event lies between.
    assert days == [("ann", 1), ("bob", None), ("cat", None)]
