"""Test scopes and the tree built from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowauth.scopes import Scope, ScopeTree, State

part = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
scope = st.one_of(part, st.tuples(part, part, part).map(":".join))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:b",
        "a:b:c:d",
        "admin3:flows:",
        ":a:b",
        "run&get_result",
        "a.b",
        "a,b",
        "a b",
        "é",
        "run\n",
        "x" * 513,
    ],
)
def test_a_malformed_scope_cannot_exist(text: str) -> None:
    with pytest.raises(ValueError, match="is not a scope"):
        Scope(text)


@given(st.sets(scope, max_size=40), st.data())
def test_the_tree_holds_exactly_what_it_was_given(offered: set[str], data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(sorted(offered)))) if offered else set()
    tree = ScopeTree(offered, chosen)
    assert {leaf.text for leaf in tree} == offered
    assert len(tree) == len(offered)
    assert tree.root.chosen == len(chosen)
    for unit, branch in tree.root.branches.items():
        below = {text for text in offered if text.startswith(f"{unit}:")}
        assert (branch.total, branch.chosen) == (len(below), len(below & chosen))


def test_a_part_that_begins_another_does_not_swallow_it() -> None:
    unit = ScopeTree(["admin3:flows:flows", "admin3:flows_of_all:flows"]).root.branches["admin3"]
    assert {part: branch.total for part, branch in unit.branches.items()} == {"flows": 1, "flows_of_all": 1}


def test_a_branch_is_ticked_wholly_partly_or_not() -> None:
    offered = ["a:x:x", "a:x:y", "b:x:x", "c:x:x"]
    branches = ScopeTree(offered, {"a:x:x", "b:x:x"}).root.branches
    assert [branches[unit].state for unit in "abc"] == [State.SOME, State.ALL, State.NONE]


@pytest.mark.parametrize(("offered", "chosen"), [(["run", "run"], []), (["run"], ["get_result"])])
def test_a_tree_refuses_what_does_not_add_up(offered: list[str], chosen: list[str]) -> None:
    with pytest.raises(ValueError):
        ScopeTree(offered, chosen)
