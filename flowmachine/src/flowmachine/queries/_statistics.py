"""The statistics of a column: their SQL and the types of their values."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement

from flowmachine.sql.functions import smallest_mode

STATISTICS = ("count", "sum", "avg", "max", "min", "median", "stddev", "variance", "mode")


def statistic(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Aggregate: the named statistic, nulls ignored; the deviations are those of a sample, null for a single value."""
    if name == "median":
        return sa.func.percentile_cont(0.5).within_group(sa.cast(column, sa.Double))
    if name == "mode":
        return smallest_mode(column)
    functions = {"stddev": "stddev_samp", "variance": "var_samp"}
    aggregate: ColumnElement[Any] = getattr(sa.func, functions.get(name, name))(column)
    return aggregate


def statistic_type(name: str, type_: Any) -> Any:
    """The type of the statistic of a column of a type."""
    if name == "count":
        return sa.BigInteger()
    if name in ("avg", "median", "stddev", "variance"):
        return sa.Double()
    return type_


def whole_statistic(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Aggregate: the statistic of a column of whole numbers, of the type that ``statistic_type`` tells.

    Left to themselves, the databases give a sum or a mean types of their own.
    """
    return sa.cast(statistic(name, column), statistic_type(name, sa.BigInteger()))
