"""Check what rows are judged by, and what leaves of the judged rows."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import FromClause, Select

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import (
    AllOrNothing,
    KeepGroups,
    KeepOver,
    KeepShares,
    NothingPersonal,
    Published,
    Region,
    Rule,
    Value,
)
from flowmachine.sql.contributors import COUNTED_COLUMNS, JUDGED_BY, rows_of
from flowmachine.sql.release import judged, leaving
from flowmachine.sql.sketches import SKETCH, VALUE_SKETCH

from .kinds.sketching import defined
from .told import ADMIN3, COUNT, SOURCES, Told, cut, rows

#: Keys with bits in all parts of a sketch; 16 subscribers at the first place, 15 of them at the second.
KEYS = [0x100000 * number + 67 * number + (1 << 40) for number in range(16)]
PRESENT = [(1, key, 2) for key in KEYS] + [(2, key, 2) for key in KEYS[1:]]


class Counted(Aggregate):
    """A kind that counts the subscribers at each place."""

    kind: ClassVar[str] = "counted"
    fields: ClassVar[dict[str, Any]] = {}

    def contributors(self, sources: Any) -> FromClause:
        people = present()
        return sa.select(people.c.location, people.c.subscriber).subquery("people")

    @property
    def published(self) -> Published:
        return Published((Region(ADMIN3), Value("value", sa.BigInteger())), KeepOver("subscribers"))


class Added(Counted):
    """A kind that adds up a number of each subscriber."""

    kind: ClassVar[str] = "added"

    def contributors(self, sources: Any) -> FromClause:
        return present()

    def value(self, contributors: FromClause) -> sa.ColumnElement[Any]:
        return sa.func.sum(contributors.c.number)


class Given(Counted):
    """A kind whose rows come with their sketches."""

    kind: ClassVar[str] = "given"
    sketches_itself: ClassVar[bool] = True

    def select(self, sources: Any) -> Select[Any]:
        names = ("value", "subscribers", *SKETCH)
        return sa.select(sa.literal(1).label("location"), *(sa.literal(16).label(name) for name in names))


def present() -> FromClause:
    names = ("location", "subscriber", "number")
    columns = [sa.column(name, sa.BigInteger()) for name in names]
    told = sa.values(*columns, name="told").data(PRESENT)
    return sa.select(*(sa.cast(told.c[name], sa.BigInteger()).label(name) for name in names)).subquery(
        "people"
    )


def verdicts(rule: Rule, *told: tuple[str | None, int | None]) -> list[tuple[Any, ...]]:
    """Return group and verdict of each told row, in the order of groups."""
    form = Published((Value("g", sa.Text()), COUNT), rule)
    found = judged(Told(form), SOURCES, sketched=True).subquery("found")
    in_order = sa.select(found.c.g, found.c.kept).order_by(found.c.g.nulls_last(), found.c.n)
    return rows(in_order, [(0, 0, group, count, 0.0) for group, count in told])


@pytest.mark.parametrize("rule", [KeepOver("n"), KeepGroups(("g",), "n"), KeepShares(("g",), "n")])
def test_each_row_has_its_verdict(rule: Rule) -> None:
    told = ("a", 15), ("b", 16), ("c", None)
    assert verdicts(rule, *told) == [("a", False), ("b", True), ("c", False)]


def test_where_all_or_none_leave_each_row_is_judged_alone() -> None:
    told = ("a", 15), ("b", 16), ("c", None)
    assert verdicts(AllOrNothing("n"), *told) == [("a", False), ("b", True), ("c", False)]


def test_what_is_not_of_subscribers_is_kept() -> None:
    assert verdicts(NothingPersonal("a test"), ("a", 0), (None, None)) == [("a", True), (None, True)]


def test_a_row_must_be_somewhere_where_a_region_must_be_known() -> None:
    form = Published((Region(ADMIN3, known=True), COUNT), KeepOver("n"))
    statement = judged(Told(form), SOURCES, sketched=True)
    assert statement.selected_columns.keys() == ["pcod", "n", "kept"]
    assert sorted(rows(statement), key=lambda row: row[1]) == [
        ("P0", 15, False),
        ("P1", 16, True),
        ("P2", 17, True),
        (None, 30, True),
    ]


@pytest.mark.parametrize(
    ("order", "left"),
    [
        ((), [("a", "P2", 16), ("b", "P0", 17), ("d", "P1", 20), ("e", "P2", 30)]),
        (("pcod_to", "-n"), [("b", "P0", 17), ("d", "P1", 20), ("e", "P2", 30), ("a", "P2", 16)]),
    ],
)
def test_what_leaves_is_named_and_in_order(order: tuple[str, ...], left: list[Any]) -> None:
    form = Published(
        (Value("g", sa.Text()), Region(ADMIN3, "location_to", "_to"), COUNT), KeepOver("n"), order
    )
    statement = leaving(form, judged(Told(form), SOURCES, sketched=True).subquery("rows"))
    assert statement.selected_columns.keys() == ["g", "pcod_to", "n"]
    assert rows(statement) == left


def test_all_leave_in_their_order_or_one_row_of_nulls() -> None:
    form = Published((Value("g", sa.Text()), COUNT), AllOrNothing("n"), ("-n",))
    statement = leaving(form, judged(Told(form), SOURCES, sketched=True).subquery("rows"))
    over = [(0, 0, "a", 16, 0.0), (0, 0, "b", 18, 0.0), (0, 0, "c", 17, 0.0)]
    assert rows(statement, over) == [("b", 18), ("c", 17), ("a", 16)]
    assert rows(statement, [*over, (0, 0, "d", 15, 0.0)]) == [(None, None)]


def test_rows_are_judged_by_their_subscribers() -> None:
    statement = judged(Counted(), SOURCES, sketched=True)
    assert statement.selected_columns.keys() == ["pcod", "value", "kept", "subscribers", *SKETCH]
    assert sorted(rows(statement)) == [
        ("P1", 16, True, 16, *defined(KEYS).values()),
        ("P2", 15, False, 15, *defined(KEYS[1:]).values()),
    ]


def test_what_subscribers_add_has_a_sketch_of_its_own() -> None:
    statement = judged(Added(), SOURCES, sketched=True)
    assert statement.selected_columns.keys() == ["pcod", "value", "kept", *JUDGED_BY]
    first, second = sorted(rows(statement))
    assert first[:11] == ("P1", 32, True, 16, *defined(KEYS).values())
    assert second[:11] == ("P2", 30, False, 15, *defined(KEYS[1:]).values())
    assert first[11:] not in (first[4:11], second[11:])


def test_sketches_are_made_only_where_rows_are_judged_together() -> None:
    plain = ["location", "value", "subscribers"]
    assert rows_of(Added(), SOURCES, sketched=False).selected_columns.keys() == plain
    assert rows_of(Counted(), SOURCES, sketched=True).selected_columns.keys() == list(COUNTED_COLUMNS)
    assert list(COUNTED_COLUMNS) == [*plain, *SKETCH]
    with_values = rows_of(Added(), SOURCES, sketched=True).selected_columns.keys()
    assert with_values == [*plain, *SKETCH, *VALUE_SKETCH]
    assert rows(cut(Added())) == [("P1", 32)]
    assert "xor" not in in_postgresql(cut(Added()))
    assert "xor" in in_postgresql(judged(Added(), SOURCES, sketched=True))


def test_rows_that_come_with_sketches_stay_as_they_are() -> None:
    assert rows(judged(Given(), SOURCES, sketched=True)) == [("P1", 16, True, *[16] * 8)]


def test_keys_are_computed_once_in_postgresql_and_read_in_duckdb() -> None:
    statement = judged(Counted(), SOURCES, sketched=True)
    assert "WITH numbered AS MATERIALIZED \n(" in in_postgresql(statement)
    in_memory = sa.create_engine("duckdb:///:memory:").dialect
    assert "WITH numbered AS NOT MATERIALIZED \n(" in str(statement.compile(dialect=in_memory))


def in_postgresql(statement: Select[Any]) -> str:
    return str(statement.compile(dialect=postgresql.dialect()))
