"""Distances between the network's places."""

from __future__ import annotations

import pytest

from flowmachine.queries import DistanceMatrix

from ..specs import rows_of
from ..world import Stage


def test_distance_matrix(stage_in_utc: Stage, executor: str) -> None:
    found = rows_of(stage_in_utc, DistanceMatrix(), executor)
    assert len(found) == 12 * 12
    between = {(a, b): km for a, b, km in found}
    moves, moved = ("moves", 0, 84.25, 27.25), ("moves", 1, 85.25, 28.5)
    assert between[moves, moves] == 0
    assert between[moves, moved] == between[moved, moves]
    # 98.6 km to the east on the mean parallel, 138.6 km to the north.
    assert between[moves, moved] == pytest.approx(169.8, abs=0.3)
    assert len(rows_of(stage_in_utc, DistanceMatrix(aggregation_unit="versioned-site"), executor)) == 8 * 8
    assert len(rows_of(stage_in_utc, DistanceMatrix(aggregation_unit="lon-lat"), executor)) == 9 * 9
