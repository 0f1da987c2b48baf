"""Places counted once for each subscriber, on worlds drawn as tables."""

from __future__ import annotations

from flowmachine.queries.catalogue import load_any

from ..activity.test_event_counts import WINDOW
from ..world import Stage, drawn


def test_unique_location_counts(stage_in_utc: Stage, executor: str) -> None:
    """Check that a place counts once, two regions count both, and no region nothing."""
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 1 11:00 | in-B
        ann        | 2 10:00 | in-b
        bob        | 1 10:00 | in-two-regions
        bob        | 1 11:00 | outside
        cat        | 1 10:00 | outside
        dan        | 3 00:00 | in-b
        """
    )
    spec = {"query_kind": "unique_location_counts", **WINDOW, "aggregation_unit": "admin3"}
    assert stage_in_utc.evaluate(load_any(spec), world, executor) == [("ann", 2), ("bob", 2)]
