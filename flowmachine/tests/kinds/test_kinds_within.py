"""Check which kinds a query is made of, because scopes are judged by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import marshmallow as ma
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmachine.queries import DailyLocation, EventCount, ModalLocation
from flowmachine.queries.catalogue import load, load_any
from flowmachine.spec.nested import direct_kinds_within, finer_within, kinds_within
from flowmachine.spec.query import NotBuildable, Query, registered

from .drawing import SPECS
from .specs import WINDOW, classified, daily, on, visits

EVENTS = {"query_kind": "event_count", **WINDOW}
DEGREES = {"query_kind": "subscriber_degree", **WINDOW}


def test_parts_at_finer_units_are_told_but_not_places_of_which_distances_are_taken() -> None:
    metric = {"query_kind": "unique_location_counts", **WINDOW, "aggregation_unit": "lon-lat"}
    moved = {
        "query_kind": "displacement",
        **WINDOW,
        "statistic": "avg",
        "reference_location": daily(1, aggregation_unit="lon-lat"),
    }

    def finer(unit: str, part: Any) -> list[tuple[str, str]]:
        home = daily(1, aggregation_unit=unit)
        spec = {"query_kind": "joined_spatial_aggregate", "locations": home, "metric": part, "method": "avg"}
        return finer_within(load(spec))

    assert finer("admin2", metric) == [("lon-lat", "unique_location_counts")]
    assert finer("lon-lat", metric) == []
    assert finer("admin2", {**metric, "aggregation_unit": "admin1"}) == []
    assert finer("admin2", {**metric, "subscriber_subset": daily(1, aggregation_unit="admin3")}) == [
        ("lon-lat", "unique_location_counts")
    ]
    assert finer("admin2", moved) == []


#: Subsets that are made of other queries, with subsets of their own.
COMPOSED = [
    EVENTS,
    {"query_kind": "modal_location", "locations": [daily(1, subscriber_subset=EVENTS), daily(2)]},
    classified(on(1, 2), on(3)),
    {
        "query_kind": "unique_subscribers",
        **WINDOW,
        "subscriber_subset": DEGREES | {"subscriber_subset": visits(1)},
    },
]


def with_subsets(value: Any, subsets: Iterator[Any]) -> Any:
    """Put the next subset into each part of a spec that has one, null or not."""
    if isinstance(value, list):
        return [with_subsets(part, subsets) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: next(subsets) if name == "subscriber_subset" else with_subsets(part, subsets)
        for name, part in value.items()
    }


def counted(value: Any, in_subset: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each kind in a spec's JSON, and whether it stands below a subset."""
    if isinstance(value, list):
        for part in value:
            yield from counted(part, in_subset)
    if isinstance(value, dict):
        if "query_kind" in value:
            yield value["query_kind"], in_subset
        for name, part in value.items():
            yield from counted(part, in_subset or name == "subscriber_subset")


@pytest.mark.parametrize("kind", sorted(SPECS))
@given(data=st.data())
def test_kinds_in_subsets_are_counted_at_any_depth(kind: str, data: st.DataObject) -> None:
    drawn = st.sampled_from([None, *COMPOSED])
    spec = with_subsets(data.draw(SPECS[kind]()), iter(lambda: data.draw(drawn), ...))
    query = load_any(spec)
    own, in_subsets = kinds_within(query)
    expected = set(counted(spec))
    assert own == {kind for kind, in_subset in expected if not in_subset}
    assert in_subsets == {kind for kind, in_subset in expected if in_subset}
    assert direct_kinds_within(query) == sorted({kind for kind, _ in expected if registered[kind].direct})


def test_a_subset_that_many_parts_share_is_counted_below_each() -> None:
    """Check that a kind counts for the query and for a subset that both use it."""
    people = load_any(EVENTS)
    found = kinds_within(load_any(EVENTS | {"subscriber_subset": EVENTS | {"subscriber_subset": DEGREES}}))
    assert found == ({"event_count"}, {"event_count", "subscriber_degree"})
    named = load_any(EVENTS | {"subscriber_subset": people.query_id}, find_spec={people.query_id: EVENTS}.get)
    assert kinds_within(named) == ({"event_count"}, {"event_count"})


@pytest.mark.timeout(30)
def test_parts_that_many_others_share_are_looked_at_once() -> None:
    """Check 60 levels of two parts with one subset, where paths number 2 to the 60th."""
    people: Query = EventCount(**WINDOW)
    for _ in range(60):
        days = [
            DailyLocation(date=date, method="last", aggregation_unit="admin3", subscriber_subset=people)
            for date in ("2016-01-01", "2016-01-02")
        ]
        people = ModalLocation(locations=days)
    assert kinds_within(people) == (
        {"modal_location", "daily_location"},
        {"modal_location", "daily_location", "event_count"},
    )


COUNTS = {"query_kind": "unique_subscriber_counts", **WINDOW, "aggregation_unit": "admin3"}
DIRECT = {"query_kind": "unique_subscribers", **WINDOW}


def named(subset: Query) -> tuple[Any, Any]:
    """Return a spec that names a subset by its id, and a search that knows it."""
    return COUNTS | {"subscriber_subset": subset.query_id}, {subset.query_id: subset.spec()}.get


@pytest.mark.parametrize("spec", [DIRECT, EVENTS | {"subscriber_subset": DIRECT}])
def test_a_submitted_spec_names_no_subset_with_a_kind_of_direct_use(spec: dict[str, Any]) -> None:
    subset = load_any(spec)
    text, find_spec = named(subset)
    assert load_any(text, find_spec=find_spec).subscriber_subset == subset  # type: ignore[attr-defined]
    refusal = f"Query {subset.query_id} cannot be a subset here: unique_subscribers is for direct use only."
    with pytest.raises(ma.ValidationError) as refused:
        load(text, find_spec=find_spec)
    assert refused.value.messages == {"subscriber_subset": [refusal]}


def test_a_submitted_spec_names_a_subset_that_is_known_and_has_subscribers() -> None:
    text, find_spec = named(load_any(EVENTS))
    assert load(text, find_spec=find_spec).subscriber_subset == load_any(EVENTS)  # type: ignore[attr-defined]
    for unknown in ("0" * 32, "0" * 31, "0" * 33, EVENTS["query_kind"]):
        with pytest.raises(ma.ValidationError) as refused:
            load(COUNTS | {"subscriber_subset": unknown}, find_spec=find_spec)
        assert refused.value.messages == {"subscriber_subset": ["Must be None or a valid query id."]}
    text, find_spec = named(load_any(COUNTS))
    with pytest.raises(NotBuildable, match=r"^unique_subscriber_counts has no column subscriber\.$"):
        load(text, find_spec=find_spec)


def test_a_subset_may_be_given_as_its_spec() -> None:
    given = EventCount(**WINDOW, subscriber_subset=EVENTS)
    assert given == EventCount(**WINDOW, subscriber_subset=EventCount(**WINDOW))
