"""Give tables for direct use the column types of the client's tables.

Dates and times are ``datetime64[us]``, with a zone where the answer has one. Whole numbers are ``Int64``, which stays whole
where a join leaves a gap. Shares, averages and amounts are ``float64``. Everything else is left as pandas has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import sqlalchemy as sa

#: Columns of days and times that some kinds publish as text.
_TIMES = frozenset({"date", "datetime"})
#: Columns that PostgreSQL cuts out of times, as numbers without a fraction.
_PARTS_OF_TIMES = frozenset({"hour", "min"})


def typed(frame: pd.DataFrame, types: Mapping[str, Any]) -> pd.DataFrame:
    """Return the frame with its columns as their SQLAlchemy types ask.

    A column without such a type stays as it is.
    """
    return frame.assign(**{name: _column(frame[name], types.get(name)) for name in frame.columns})


def _column(column: pd.Series, type_: Any) -> pd.Series:
    if isinstance(type_, sa.Date | sa.DateTime) or column.name in _TIMES:
        return _times(column)
    if isinstance(type_, sa.Integer) or (isinstance(type_, sa.Numeric) and column.name in _PARTS_OF_TIMES):
        if pd.api.types.is_integer_dtype(column):
            return column.astype("Int64")
        # Number by number, because pandas refuses decimals.
        return column.map(int, na_action="ignore").astype("Int64")
    if isinstance(type_, sa.Numeric):
        return column.astype("float64")
    return column.infer_objects()


def _times(column: pd.Series) -> pd.Series:
    if column.dtype != object:
        times = pd.to_datetime(column)
        return (times if times.dt.tz is None else times.dt.tz_convert("UTC")).dt.as_unit("us")
    named = any(getattr(value, "tzinfo", None) is not None for value in column)
    # In UTC, because over a change of clocks times have several offsets.
    return pd.to_datetime(column, utc=named).dt.as_unit("us")
