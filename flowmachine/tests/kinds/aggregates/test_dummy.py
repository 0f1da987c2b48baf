"""The kind for tests, which says its parameter."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmachine.queries.catalogue import load_any
from flowmachine.spec.query import NotBuildable

from ..network.test_geography import evaluate
from ..world import Stage, drawn


def test_the_dummy_is_refused_unless_tests_are_allowed(
    stage_in_utc: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = drawn("subscriber | time | cell\nann | 1 10:00 | in-b")
    query = load_any({"query_kind": "dummy_query", "dummy_param": "x", "aggregation_unit": "admin3"})
    with pytest.raises(NotBuildable, match="FLOWMACHINE_TEST_KINDS"):
        stage_in_utc.evaluate(query, world, "postgres")
    monkeypatch.setenv("FLOWMACHINE_TEST_KINDS", "on")
    assert stage_in_utc.evaluate(query, world, "postgres") == [("x",)]


def defined_dummy(parameter: str) -> list[Any]:
    """``dummy_query``: one row of its parameter, whatever it is."""
    return [(parameter,)]


@given(parameter=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
def test_the_dummy_is_as_defined(stage_in_utc: Stage, parameter: str) -> None:
    spec = {"query_kind": "dummy_query", "dummy_param": parameter, "aggregation_unit": "admin1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWMACHINE_TEST_KINDS", "on")
        assert evaluate(stage_in_utc, spec, {}, []) == defined_dummy(parameter)
