"""Kinds made of others, of calendars, of networks and of clusters, against their definitions on drawn worlds."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmachine.registry import Aggregate, load_any

from . import oracle_composed  # noqa: F401  (adds its definitions)
from .drawing_composed import COMPOSED_SPECS, events, worlds
from .oracle import Oracle
from .world import EXECUTORS, Stage

#: Few ids, so that calls of two subscribers meet in one interaction.
INTERACTIONS = events(id=st.sampled_from(("x", "y", "z")), outgoing=st.sampled_from((True, False, None)))


def equal(found: Any, expected: Any) -> bool:
    """Equal by value: whole numbers exactly, others to a billionth."""
    if isinstance(found, list | tuple):
        return (
            isinstance(expected, list | tuple)
            and len(found) == len(expected)
            and all(map(equal, found, expected))
        )
    if isinstance(found, Decimal):
        found = float(found)
    if isinstance(found, float) and expected is not None:
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    return bool(found == expected)


@pytest.mark.parametrize("kind", sorted(COMPOSED_SPECS))
@given(data=st.data())
def test_rows_are_as_defined(stage_in_nepal: Stage, kind: str, data: st.DataObject) -> None:
    world = data.draw(worlds(INTERACTIONS), "world")
    spec = data.draw(COMPOSED_SPECS[kind], "spec")
    query = load_any(spec)
    expected = Oracle(stage_in_nepal, world).answer(spec)
    if not isinstance(query, Aggregate):
        expected = sorted(expected, key=repr)
    with stage_in_nepal.loaded(world) as (connection, state):
        for executor in EXECUTORS:
            found = stage_in_nepal.run(query, world, executor, connection, state)
            assert equal(found, expected), f"{executor}: {found}\nexpected: {expected}"
