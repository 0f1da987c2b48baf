"""Check that statements are built once, and again after a setting changed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from flowmachine.ledger import once
from flowmachine.spec.published import floor


def test_a_statement_is_built_once_for_each_argument_and_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check what is built by its text, and that equal arguments find the same object."""

    @once.built_once
    def statement(*, upwards: bool) -> sa.Select[tuple[int, bool]]:
        return sa.select(sa.literal_column(str(floor())), sa.literal(upwards))

    up = statement(upwards=True)
    assert statement(upwards=True) is up
    assert statement(upwards=False) is not up
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", "20")
    assert "SELECT 20" in str(statement(upwards=True))
    monkeypatch.delenv("FLOWMACHINE_RELEASE_FLOOR")
    assert statement(upwards=True) is up


def test_values_are_given_when_a_statement_runs() -> None:
    """Check numbers, texts and lists, the empty list too."""
    number = sa.column("number", sa.Integer)
    rows = sa.values(number, name="rows").data([(1,), (2,), (3,)])
    among = sa.select(number).select_from(rows)
    among = among.where(number == once.any_of("some", sa.Integer()), number != once.bound("other"))
    with sa.create_engine("duckdb://").connect() as connection:
        for some, other, expected in (([1, 3], 1, [3]), ([1, 3], 2, [1, 3]), ([], 2, [])):
            found = connection.execute(among, {"some": some, "other": other}).scalars()
            assert sorted(found) == expected
