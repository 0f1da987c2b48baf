"""Check a whole release on tables in memory: names, types, order, withholding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import FrozenInstanceError, replace
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa

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
    full_order,
)
from flowmachine.sql.release import kept, releasable

from .told import ADMIN3, COUNT, RESULT, ROWS, SOURCES, Told, cut, rows


def answer(
    rule: Rule, *parts: Region | Value, order: tuple[str, ...] = (), table: Sequence[tuple[Any, ...]] = ROWS
) -> list[tuple[Any, ...]]:
    return rows(cut(Told(Published(parts, rule, order))), table)


def test_rows_over_the_floor_leave_by_the_names_of_their_regions() -> None:
    found = answer(KeepOver("n"), Region(ADMIN3), COUNT)
    # Rows without a region have no name; nulls come last.
    assert found == [("P1", 16), ("P2", 17), (None, 20), (None, 30)]
    assert all(type(count) is int for _, count in found)


def test_a_region_is_published_by_its_own_names() -> None:
    assert list(Published((Region(ADMIN3), COUNT), KeepOver("n")).columns) == ["pcod", "n"]


def test_only_rows_somewhere_leave_where_a_region_must_be_known() -> None:
    assert answer(KeepOver("n"), Region(ADMIN3, known=True), COUNT) == [("P1", 16), ("P2", 17), (None, 30)]
    assert answer(KeepOver("n"), Region(ADMIN3, known=True), COUNT, table=[(None, 0, "", 16, 0.0)]) == []


def test_two_regions_have_their_suffixes() -> None:
    origin, end = Region(ADMIN3, suffix="_from"), Region(ADMIN3, "location_to", "_to")
    form = Published((origin, end, COUNT), KeepOver("n"))
    assert list(form.columns) == ["pcod_from", "pcod_to", "n"]
    assert form.ordering == ("pcod_from", "pcod_to", "n")
    assert answer(KeepOver("n"), origin, end, COUNT) == [
        ("P1", "P2", 16),
        ("P2", "P0", 17),
        (None, "P1", 20),
        (None, "P2", 30),
    ]


def test_rows_are_in_the_order_of_their_kind_and_then_of_all_columns() -> None:
    assert full_order(["a", "b", "c"], ["-b"]) == ("-b", "a", "c")
    assert full_order(["xa", "a"], ["-xa"]) == ("-xa", "a")
    text = Value("g", sa.Text())
    assert answer(KeepOver("n"), text, COUNT, order=("-n",)) == [("e", 30), ("d", 20), ("b", 17), ("a", 16)]
    equal = [(0, 0, name, 16, 0.0) for name in "cab"]
    assert answer(KeepOver("n"), text, COUNT, order=("-n",), table=equal) == [("a", 16), ("b", 16), ("c", 16)]


def test_values_have_their_declared_types() -> None:
    parts = (Value("g", sa.Text()), Value("share", sa.Numeric(10, 2)), Value("n", sa.Integer()))
    [row] = answer(KeepOver("n"), *parts, table=[(0, 0, "7", 16.0, 0.5)])
    assert (row[0], float(row[1]), row[2]) == ("7", 0.5, 16)
    assert (type(row[0]), type(row[2])) == (str, int)
    assert "CAST" not in str(cut(Told(Published(parts[:1], KeepOver("n")))).compile()).upper()


@pytest.mark.parametrize(
    ("rule", "kept_groups"),
    [
        (KeepGroups(("g",), "n"), ["a", "b", "d", "e"]),
        (KeepShares(("g",), "n"), ["a", "b", "d", "e"]),
        (NothingPersonal("a test"), ["a", "b", "c", "d", "e"]),
    ],
)
def test_a_rule_cuts_the_rows(rule: Rule, kept_groups: list[str]) -> None:
    assert [group for group, _ in answer(rule, Value("g", sa.Text()), COUNT)] == kept_groups


def test_a_judged_column_need_not_leave() -> None:
    assert answer(KeepOver("n"), Value("g", sa.Text())) == [("a",), ("b",), ("d",), ("e",)]


def test_all_leave_or_one_row_of_nulls() -> None:
    parts = (Value("g", sa.Text()), Region(ADMIN3), COUNT)
    assert answer(AllOrNothing("n"), *parts) == [(None, None, None)]
    without_fifteen = [row for row in ROWS if row[3] > 15]
    assert answer(AllOrNothing("n"), *parts, table=without_fifteen, order=("-g",)) == [
        ("e", None, 30),
        ("d", None, 20),
        ("b", "P2", 17),
        ("a", "P1", 16),
    ]
    assert answer(AllOrNothing("n"), *parts, table=[]) == [(None, None, None)]


@pytest.mark.parametrize("rule", [KeepOver("n"), KeepShares(("g",), "n"), KeepGroups(("g",), "n")])
def test_a_stored_result_gives_on_what_might_leave_in_its_own_columns(rule: Rule) -> None:
    found = rows(sa.select(releasable(Told(Published((COUNT,), rule)), SOURCES)))
    assert sorted(found, key=str) == sorted([row for row in ROWS if row[3] > 15], key=str)


class OneOwn(Told):
    """A kind whose values are a single subscriber's own where no order is asked for."""

    kind: ClassVar[str] = "one_own"
    extremes: ClassVar[dict[str, Any]] = {"form.order": ((),)}


def test_single_subscribers_own_values_need_a_scope() -> None:
    form = Published((COUNT,), KeepOver("n"))
    assert OneOwn(form).further_scopes == ("extremes",)
    assert OneOwn(replace(form, order=("n",))).further_scopes == ()
    assert Told(form).further_scopes == ()


def test_a_rule_that_is_none_is_refused() -> None:
    rule: Any = "keep"
    with pytest.raises(NotImplementedError, match=r"^str$"):
        kept(rule, RESULT)


@pytest.mark.parametrize(
    "declared",
    [
        KeepOver("n"),
        KeepGroups(("g",), "n"),
        KeepShares(("g",), "n"),
        AllOrNothing("n"),
        NothingPersonal("a test"),
        Region(ADMIN3),
        COUNT,
        Published((COUNT,), KeepOver("n")),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_is_declared_does_not_change(declared: Any) -> None:
    name = next(iter(declared.__dataclass_fields__))
    with pytest.raises(FrozenInstanceError):
        setattr(declared, name, None)
