"""Check which kinds a query is made of, because scopes are judged by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmachine.queries.catalogue import load_any
from flowmachine.spec.nested import direct_kinds_within, kinds_within
from flowmachine.spec.query import registered

from .drawing import SPECS
from .specs import WINDOW, classified, daily, on, visits

EVENTS = {"query_kind": "event_count", **WINDOW}
DEGREES = {"query_kind": "subscriber_degree", **WINDOW}

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
