"""Reference locations by the number of visits, on a world drawn as a table."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import pytest

from flowmachine.queries import FilteredReferenceLocation, SpatialAggregate

from ..specs import daily, on, visits
from ..world import Stage, drawn

#: Ann is at b on three days, Bob on two and Cat on one; Dan is at another place on the last day.
WORLD = drawn(
    """
    subscriber | time    | cell
    ann        | 1 10:00 | in-b
    ann        | 2 10:00 | in-b
    ann        | 3 10:00 | in-b
    bob        | 1 10:00 | in-b
    bob        | 2 10:00 | in-B
    bob        | 3 10:00 | in-b
    cat        | 3 10:00 | in-b
    dan        | 1 10:00 | in-b
    dan        | 3 10:00 | in-B
    """
)


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [
        ({"lower_bound": 2}, ["ann", "bob"]),
        ({"upper_bound": 2}, ["bob", "cat"]),
        ({"lower_bound": 2, "upper_bound": 2}, ["bob"]),
        ({"lower_bound": 4}, []),
    ],
)
def test_bounds_are_included(
    stage_in_utc: Stage, executor: str, bounds: dict[str, int], kept: list[str]
) -> None:
    filtered = FilteredReferenceLocation(reference_location=daily(3), visits=visits(1, 2, 3), **bounds)
    found = [row for row in stage_in_utc.evaluate(filtered, WORLD, executor) if row[0] != "dan"]
    assert found == [(name, "b") for name in kept]
    assert SpatialAggregate(locations=filtered).unit == filtered.unit


def test_a_place_without_visits_is_dropped(stage_in_utc: Stage, executor: str) -> None:
    last = FilteredReferenceLocation(
        reference_location=daily(3), visits=visits(1, 2), lower_bound=0, upper_bound=9
    )
    # Cat was seen on no day before, and Dan at another place.
    assert stage_in_utc.evaluate(last, WORLD, executor) == [("ann", "b"), ("bob", "b")]
    nowhere = FilteredReferenceLocation(reference_location=on(1, 2), visits=visits(1, 2), lower_bound=1)
    # Bob was at two places equally often, and has none.
    assert stage_in_utc.evaluate(nowhere, WORLD, executor) == [("ann", "b"), ("dan", "b")]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "One of lower_bound and upper_bound must be given."),
        (
            {"lower_bound": 1, "reference_location": daily(3, aggregation_unit="admin2")},
            "visits must have the same aggregation unit",
        ),
    ],
)
def test_what_is_refused(changes: dict[str, Any], told: str) -> None:
    given = {"reference_location": daily(3), "visits": visits(1, 2), **changes}
    with pytest.raises(ma.ValidationError, match=told):
        FilteredReferenceLocation(**given)
