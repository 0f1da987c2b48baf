"""Entropy of times of day, on worlds drawn as tables."""

from __future__ import annotations

import math

import pytest

from ..contacts.test_contacts import HALF_AND_QUARTERS
from ..specs import WINDOW, rows
from ..world import Stage, drawn


@pytest.mark.parametrize(
    ("phase", "value"),
    [
        ("hour", HALF_AND_QUARTERS),
        ("day", math.log(2)),
        ("minute", 0.75 * math.log(4 / 3) + 0.25 * math.log(4)),
        # Saturday and Friday; one week, one year.
        ("dow", math.log(2)),
        ("week", 0.0),
        ("year", 0.0),
    ],
)
def test_entropy_of_times(stage_in_utc: Stage, executor: str, phase: str, value: float) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | -
        ann        | 2 10:00 | -
        ann        | 1 11:00 | -
        ann        | 2 12:30 | -
        """
    )
    found = rows(stage_in_utc, executor, world, "periodic_entropy", **WINDOW, phase=phase)
    assert found == [("ann", pytest.approx(value, abs=1e-12))]


def test_hours_are_those_of_the_wall_clock(stage_in_nepal: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | -
        ann        | 1 10:59 | -
        """
    )
    # An hour of Kathmandu's clock lies in two hours of UTC.
    assert rows(stage_in_nepal, executor, world, "periodic_entropy", **WINDOW) == [("ann", 0.0)]
