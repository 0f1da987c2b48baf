"""Define the statistics of a column: their SQL and the types of their values."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement

from flowmachine.sql.functions import smallest_mode

STATISTICS = ("count", "sum", "avg", "max", "min", "median", "stddev", "variance", "mode")

#: Statistics whose value is one of the values.
EXTREME_STATISTICS = ("max", "min", "mode")


def statistic(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Aggregate: return the named statistic, nulls ignored.

    Deviations are those of a sample, null for a single value.
    """
    if name == "median":
        return sa.func.percentile_cont(0.5).within_group(sa.cast(column, sa.Double))
    if name == "mode":
        return smallest_mode(column)
    functions = {"stddev": "stddev_samp", "variance": "var_samp"}
    aggregate: ColumnElement[Any] = getattr(sa.func, functions.get(name, name))(column)
    return aggregate


def statistic_type(name: str, type_: Any) -> Any:
    """Return the type of a statistic of a column."""
    if name == "count":
        return sa.BigInteger()
    if name in ("avg", "median", "stddev", "variance"):
        return sa.Double()
    return type_


def whole_statistic(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Aggregate: return a statistic of whole numbers with ``statistic_type``'s type.

    By themselves, the databases give sums and means other types.
    """
    return sa.cast(statistic(name, column), statistic_type(name, sa.BigInteger()))
