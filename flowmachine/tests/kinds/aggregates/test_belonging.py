"""Count subscribers seen at home and those who never left, on drawn worlds."""

from __future__ import annotations

from flowmachine.queries.catalogue import load_any

from ..world import Stage, drawn

HOME = {
    "query_kind": "daily_location",
    "date": "2016-01-01",
    "method": "last",
    "aggregation_unit": "admin3",
}
WINDOW = {"start_date": "2016-01-02", "end_date": "2016-01-04"}
SEEN = {"query_kind": "unique_locations", **WINDOW, "aggregation_unit": "admin3"}

#: Sixteen who stay in b, seventeen of b who also go to B, sixteen of B who move to é, forty visitors without a home.
WORLD = drawn(
    """
    subscriber | time    | cell
    a1..16     | 1 10:00 | in-b
    a1..16     | 2 10:00 | in-b
    b1..17     | 1 10:00 | in-b
    b1..17     | 2 10:00 | in-b
    b1..17     | 3 10:00 | in-B
    c1..16     | 1 10:00 | in-B
    c1..16     | 2 10:00 | in-é
    v1..40     | 3 10:00 | in-b
    """
)

ACTIVE = {
    "query_kind": "active_at_reference_location_counts",
    "unique_locations": SEEN,
    "reference_locations": HOME,
}
EVERYONE = {"query_kind": "unique_subscriber_counts", **WINDOW, "aggregation_unit": "admin3"}


def test_active_at_home(stage_in_utc: Stage, executor: str) -> None:
    assert stage_in_utc.evaluate(load_any(ACTIVE), WORLD, executor) == [("b", 33)]


def test_visitors_are_everyone_less_those_at_home(stage_in_utc: Stage, executor: str) -> None:
    spec = {
        "query_kind": "unique_visitor_counts",
        "active_at_reference_location_counts": ACTIVE,
        "unique_subscriber_counts": EVERYONE,
    }
    assert stage_in_utc.evaluate(load_any(spec), WORLD, executor) == [("b", 40)]


def test_few_visitors_are_not_told(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | in-b
        a1..16     | 2 10:00 | in-b
        v1..15     | 2 10:00 | in-b
        """
    )
    spec = {
        "query_kind": "unique_visitor_counts",
        "active_at_reference_location_counts": ACTIVE,
        "unique_subscriber_counts": EVERYONE,
    }
    assert stage_in_utc.evaluate(load_any(spec), world, executor) == []


def test_unmoving(stage_in_utc: Stage, executor: str) -> None:
    spec = {"query_kind": "unmoving_counts", "locations": SEEN}
    assert stage_in_utc.evaluate(load_any(spec), WORLD, executor) == [("b", 56), ("é", 16)]


def test_unmoving_at_home(stage_in_utc: Stage, executor: str) -> None:
    spec = {
        "query_kind": "unmoving_at_reference_location_counts",
        "locations": SEEN,
        "reference_locations": HOME,
    }
    assert stage_in_utc.evaluate(load_any(spec), WORLD, executor) == [("b", 16)]
