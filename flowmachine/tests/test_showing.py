"""Check what completion and printing show of queries."""

from __future__ import annotations

import pytest

import flowmachine
import flowmachine.queries
from flowmachine.queries.catalogue import all_kinds, kinds, load_any
from flowmachine.queries.examples import full_example
from flowmachine.spec.nested import NestedList


def test_completion_shows_the_class_of_every_kind_and_no_helper() -> None:
    shown = dir(flowmachine.queries)
    assert sorted(shown) == sorted(cls.__name__ for cls in all_kinds().values())
    assert all(getattr(flowmachine.queries, name).__name__ == name for name in shown)
    assert set(dir(flowmachine)) == {"__doc__", "__version__", "connect", "queries"}


@pytest.mark.parametrize("kind", kinds())
def test_a_query_prints_as_the_call_that_makes_it(kind: str) -> None:
    made = load_any(full_example(kind))
    lists = (getattr(made, name) for name, field in made.fields.items() if isinstance(field, NestedList))
    if any(len(queries) > 3 for queries in lists):
        assert "in all]" in repr(made)  # A long list is cut short; see below.
        return
    again = eval(repr(made), {cls.__name__: cls for cls in all_kinds().values()})  # noqa: S307
    assert again == made


def test_long_lists_are_cut_short() -> None:
    from flowmachine.queries import DailyLocation, ModalLocation

    days = [
        DailyLocation(date=f"2016-01-{day:02}", method="last", aggregation_unit="admin3")
        for day in range(1, 31)
    ]
    text = repr(ModalLocation(locations=days))
    assert text.endswith(", ... 30 in all])")
    assert text.count("DailyLocation(") == 3
