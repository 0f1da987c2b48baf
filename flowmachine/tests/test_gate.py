"""Check every rule of the release gate at 15 and at 16 subscribers, both ways."""

from __future__ import annotations

from typing import get_args

import pytest
import sqlalchemy as sa

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import AllOrNothing, KeepGroups, KeepOver, KeepShares, Published, Rule, Value
from flowmachine.spec.query import query_kind, registered

from .told import COUNT, Told, cut, rows

Rows = list[tuple[str | None, int | None]]

#: A rule, and tables of (group, subscribers) with the rows of each that are published.
CASES: list[tuple[Rule, Rows, Rows]] = [
    (KeepOver("n"), [("a", 15), ("b", 16)], [("b", 16)]),
    (KeepOver("n"), [("a", 0), ("b", None)], []),
    (KeepGroups(("g",), "n"), [("a", 16), ("a", 15), ("b", 16), ("b", 17)], [("b", 16), ("b", 17)]),
    (KeepGroups(("g",), "n"), [(None, 16), ("b", 16)], [("b", 16)]),
    (KeepShares(("g",), "n"), [("a", 16), ("a", 15)], []),
    (KeepShares(("g",), "n"), [("a", 16), ("a", 15), ("a", 1)], [("a", 16)]),
    (KeepShares(("g",), "n"), [("a", 16), ("a", 0), ("b", 16), ("b", 1)], [("a", 16)]),
    (AllOrNothing("n"), [("a", 16), ("b", 15)], [(None, None)]),
    (AllOrNothing("n"), [("a", 16), ("b", 16)], [("a", 16), ("b", 16)]),
    (AllOrNothing("n"), [("a", 16), ("b", None)], [(None, None)]),
    (AllOrNothing("n"), [], [(None, None)]),
]


@pytest.mark.parametrize(("rule", "table", "left"), CASES, ids=lambda value: type(value).__name__)
def test_a_rule_at_the_floor(rule: Rule, table: Rows, left: Rows) -> None:
    query = Told(Published((Value("g", sa.Text()), COUNT), rule))
    assert rows(cut(query), [(0, 0, group, count, 0.0) for group, count in table]) == left


def test_every_rule_that_judges_has_its_pair() -> None:
    judging = {rule for rule in get_args(Rule) if "count" in rule.__dataclass_fields__}
    for rule in judging:
        tables = [table for case, table, _ in CASES if type(case) is rule]
        counts = {count for table in tables for _, count in table}
        assert {15, 16} <= counts or {0, 16} <= counts, rule


@pytest.mark.parametrize("base", [Aggregate, type("Shared", (Aggregate,), {})])
def test_a_kind_without_a_release_rule_cannot_be_registered(base: type[Aggregate]) -> None:
    before = dict(registered)
    with pytest.raises(TypeError, match=r"^without_a_rule declares no release rule$"):
        query_kind("without_a_rule")(type("WithoutARule", (base,), {}))
    assert registered == before
