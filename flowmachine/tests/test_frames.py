"""Hold the types of tables for direct use to those of the client's tables."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from flowclient.frames import table
from flowmachine.frames import typed

NAIVE = dt.datetime(2016, 1, 1, 5)
AWARE = dt.datetime(2016, 1, 1, 5, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=45)))


@pytest.mark.parametrize(
    ("name", "type_", "values", "expected"),
    [
        ("value", sa.BigInteger(), [1, 2], "Int64"),
        ("value", sa.BigInteger(), [1, None], "Int64"),
        ("value", sa.BigInteger(), [Decimal(1), None], "Int64"),
        ("value", sa.Numeric(), [Decimal("1.5"), None], "float64"),
        ("value", sa.Float(), [1, None], "float64"),
        ("hour", sa.Numeric(), [Decimal(7), Decimal(8)], "Int64"),
        ("date", sa.Text(), ["2016-01-01", None], "datetime64[us]"),
        ("day", sa.Date(), [NAIVE.date(), None], "datetime64[us]"),
        ("datetime", sa.DateTime(), [NAIVE, None], "datetime64[us]"),
        ("datetime", sa.DateTime(timezone=True), [AWARE, None], "datetime64[us, UTC]"),
    ],
)
def test_a_column_has_the_type_that_its_kind_declares(
    name: str, type_: Any, values: list[Any], expected: str
) -> None:
    frame = typed(pd.DataFrame({name: pd.Series(values, dtype=object)}), {name: type_})
    assert str(frame[name].dtype) == expected
    read = pd.DataFrame({name: values})
    assert str(typed(read, {name: type_})[name].dtype) == expected
    empty = typed(frame.iloc[:0].astype(object), {name: type_})
    assert str(empty[name].dtype) == expected.replace(", UTC", "")


def test_counts_stay_whole_through_a_merge_that_leaves_gaps() -> None:
    types = {"pcod": sa.Text(), "value": sa.BigInteger()}
    here, there = (
        typed(pd.DataFrame({"pcod": pcods, "value": [20] * 2}, dtype=object), types)
        for pcods in (["a", "b"], ["b", "c"])
    )
    merged = here.merge(there, on="pcod", how="outer", suffixes=("_here", "_there"))
    assert {str(merged[name].dtype) for name in ("value_here", "value_there")} == {"Int64"}


def test_the_client_makes_the_same_table_of_the_same_rows() -> None:
    rows = [{"pcod": "a", "date": "2016-01-01", "hour": 7, "value": 16}]
    types = {"pcod": sa.Text(), "date": sa.Text(), "hour": sa.Numeric(), "value": sa.BigInteger()}
    pd.testing.assert_frame_equal(typed(pd.DataFrame(rows, dtype=object), types), table(rows))
