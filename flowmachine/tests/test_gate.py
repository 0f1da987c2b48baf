"""Every rule of the release gate at 15 and at 16 subscribers."""

from __future__ import annotations

from typing import get_args

import pytest
import sqlalchemy as sa

from flowmachine.spec.published import AllOrNothing, KeepGroups, KeepOver, KeepShares, Published, Rule, Value
from flowmachine.spec.query import Aggregate, query_kind, registered
from flowmachine.sql.release import _all_or_nothing, kept

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


def published(rule: Rule, rows: Rows) -> Rows:
    """Return what the gate leaves of a table, computed by a database in memory."""
    table = sa.Table("t", sa.MetaData(), sa.Column("g", sa.Text), sa.Column("n", sa.Integer))
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateTable(table))
        if rows:
            connection.execute(table.insert(), [{"g": group, "n": count} for group, count in rows])
        result = sa.select(table).subquery("result")
        keep, judged = kept(rule, result)
        statement = sa.select(judged.c.g, judged.c.n).where(keep).order_by("g", "n")
        if isinstance(rule, AllOrNothing):
            form = Published((Value("g", sa.Text()), Value("n", sa.Integer())), rule)
            statement = _all_or_nothing(sa.select(judged.c.g, judged.c.n), result, form, rule)
        found = [(group, count) for group, count in connection.execute(statement)]
    engine.dispose()
    return found


@pytest.mark.parametrize(("rule", "rows", "left"), CASES, ids=lambda value: type(value).__name__)
def test_a_rule_at_the_floor(rule: Rule, rows: Rows, left: Rows) -> None:
    assert published(rule, rows) == left


def test_every_rule_that_judges_has_its_pair() -> None:
    judging = {rule for rule in get_args(Rule) if "count" in rule.__dataclass_fields__}
    for rule in judging:
        tables = [rows for case, rows, _ in CASES if type(case) is rule]
        counts = {count for rows in tables for _, count in rows}
        assert {15, 16} <= counts or {0, 16} <= counts, rule


@pytest.mark.parametrize("base", [Aggregate, type("Shared", (Aggregate,), {})])
def test_a_kind_without_a_release_rule_cannot_be_registered(base: type[Aggregate]) -> None:
    before = dict(registered)
    with pytest.raises(TypeError, match=r"^without_a_rule declares no release rule$"):
        query_kind("without_a_rule")(type("WithoutARule", (base,), {}))
    assert registered == before
