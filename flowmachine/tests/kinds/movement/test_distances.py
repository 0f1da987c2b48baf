"""Check distances from reference location and centre on worlds drawn as tables."""

from __future__ import annotations

import pytest

from flowmachine.queries.catalogue import load_any

from ..activity.test_event_counts import WINDOW
from ..aggregates.test_joined import DAILY
from ..specs import metric
from ..world import Stage, drawn


def test_radius_of_gyration(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        bob        | 1 10:00 | in-b
        bob        | 1 11:00 | in-a1
        cat        | 1 10:00 | -
        """
    )
    query = load_any({"query_kind": "radius_of_gyration", **WINDOW})
    (ann, still), (bob, moved) = stage_in_utc.evaluate(query, world, executor)
    assert (ann, bob) == ("ann", "bob")
    assert still == pytest.approx(0, abs=1e-9)
    # One and a quarter degrees of latitude apart: a meridian degree has 110.8 km there.
    assert moved == pytest.approx(69.25, abs=0.05)


def test_displacement_from_the_last_place(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 2 10:00 | in-a1
        bob        | 2 10:00 | in-b
        """
    )
    home = DAILY | {"aggregation_unit": "lon-lat"}
    query = load_any(metric("displacement", statistic="max", reference_location=home))
    # Bob was nowhere on the first day.
    assert stage_in_utc.evaluate(query, world, executor) == [("ann", pytest.approx(138.5, abs=0.1))]
