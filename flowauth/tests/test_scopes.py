"""Test scopes and the tree built from them."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowapi.scopes import lacking_scopes
from flowauth import scopes
from flowauth.scopes import EXTREMES, NONSPATIAL, Scope, ScopeTree, State, is_scope, lacking
from flowmachine.spec.published import EXTREMES as ENGINE_EXTREMES

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


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("run", True),
        ("admin3:flows:daily_location", True),
        ("x" * 512, True),
        ("x" * 513, False),
        ("*:*:event_count", True),
        ("*:*:", False),
        ("*:*:a:b", False),
        ("*:flows:event_count", False),
        ("*:*:*:*:event_count", False),
        ("a:b", False),
    ],
)
def test_a_scope_or_what_a_subset_needs(text: str, is_one: bool) -> None:
    assert is_scope(text) is is_one


def test_a_kind_of_a_subset_is_held_with_any_scope_for_it() -> None:
    needed = {"admin3:flows:flows", "*:*:event_count"}
    assert lacking({"admin3:flows:flows", f"{NONSPATIAL}:histogram_aggregate:event_count"}, needed) == set()
    for other in ("event_count", "admin3:event_count:flows", "admin3:flows:uneven_count", "run:event_count"):
        assert lacking({"admin3:flows:flows", other}, needed) == {"*:*:event_count"}
    assert lacking({"admin1:flows:event_count"}, needed) == {"admin3:flows:flows"}
    assert NONSPATIAL == "nonspatial"


words = st.sampled_from(["a", "b", "flows", "*"])
held_or_needed = words | st.tuples(words, words, words).map(":".join) | words.map("*:*:{}".format)


@given(st.sets(held_or_needed), st.sets(held_or_needed))
def test_rights_are_lacking_here_where_an_api_server_finds_them_lacking(
    held: set[str], needed: set[str]
) -> None:
    assert lacking(held, needed) == lacking_scopes(held, needed)


def test_a_scope_keeps_its_text() -> None:
    scope = Scope("admin3:flows:flows")
    assert (str(scope), scope.parts) == ("admin3:flows:flows", ("admin3", "flows", "flows"))
    assert sorted([Scope("b"), Scope("a")]) == [Scope("a"), Scope("b")]
    with pytest.raises(FrozenInstanceError):
        scope.text = "run"  # type: ignore[misc]


def test_branches_say_where_they_are() -> None:
    tree = ScopeTree(["admin3:flows:flows", "run"], {"run"})
    assert (tree.root.label, tree.root.path, list(tree.root.leaves)) == ("", "", ["run"])
    unit = tree.root.branches["admin3"]
    assert (unit.label, unit.path, unit.total, unit.chosen, unit.leaves) == ("admin3", "admin3", 1, 0, {})
    kind = unit.branches["flows"]
    assert (kind.label, kind.path) == ("flows", "admin3:flows")
    other = ScopeTree(["admin3:flows:daily_location"]).root.branches["admin3"].branches["flows"]
    assert other.leaves == {"daily_location": Scope("admin3:flows:daily_location")}
    with pytest.raises(ValueError, match="Scope run is offered twice"):
        ScopeTree(["run", "run"])
    with pytest.raises(ValueError, match="Scope b is chosen but not offered"):
        ScopeTree(["run"], {"c", "b"})


def test_the_app_s_words_are_those_that_others_read() -> None:
    """Check words that the engine and the page's script know, too."""
    assert EXTREMES == ENGINE_EXTREMES
    script = (Path(scopes.__file__).parent / "static" / "app.js").read_text()
    for state in (State.SOME, State.ALL):
        assert f'"{state.value}"' in script
