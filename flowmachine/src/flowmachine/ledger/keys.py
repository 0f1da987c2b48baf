"""Name the rows of results, so that rows of several results can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import Region
from flowmachine.sql.sketches import leading_bits

#: Separates the values of a key, and stands for a missing value: no name has these characters.
SEPARATOR, MISSING = "\x1f", "\x1e"


def form(query: Aggregate) -> str:
    """Return the key columns of a result with their units; equal for comparable rows."""
    return " ".join(
        f"{part.unit.name}:{name}" if isinstance(part, Region) else name
        for part in query.published.parts
        for name in part.columns
        if name in query.published.keys
    )


def row_key(query: Aggregate, rows: FromClause) -> ColumnElement[int]:
    """Return 64 bits of a digest of a row's form and key values."""
    return digest(form(query), [rows.c[name] for name in query.published.keys])


def digest(form: str, values: Sequence[ColumnElement[Any]]) -> ColumnElement[int]:
    """Return 64 bits of a digest of a form and the key values of a row."""
    return leading_bits(sa.func.md5(sa.func.concat_ws(SEPARATOR, form, *_texts(values))))


def packed(*columns: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the texts of the columns as one text."""
    return sa.func.concat_ws(SEPARATOR, *_texts(columns))


def _texts(columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[str]]:
    return [sa.func.coalesce(sa.cast(column, sa.Text), MISSING) for column in columns]
