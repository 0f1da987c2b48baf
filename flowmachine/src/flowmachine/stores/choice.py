"""Choose the executor of a query, for plans, explanations and direct use."""

from __future__ import annotations

from collections.abc import Mapping

from flowmachine.data import DataState
from flowmachine.settings import DUCKDB, POSTGRES, SPARK, Choice
from flowmachine.spec.query import Query
from flowmachine.stores import COLUMNAR, TABLES
from flowmachine.stores.base import Executor

#: The store that each executor computes into.
STORES = {DUCKDB: COLUMNAR, SPARK: COLUMNAR, POSTGRES: TABLES}


def choose_executor(
    query: Query, data: DataState, choice: Choice, executors: Mapping[str, Executor] | None = None
) -> str:
    """Choose the executor of a query.

    Without a setting, files are read if every needed day has a current, intact file: by Spark if the query
    reads more events than ``spark_from``, else by DuckDB.

    Without ``executors`` the files on the list of damage count as damaged, because the server cannot look at files.
    """
    if any(part.needs_database for part in query.graph()):
        return POSTGRES
    if choice.executor != "auto":
        return choice.executor
    if executors is None:
        readable = data.columnar(query) and data.listed_damage.isdisjoint(data.days(query))
    else:
        readable = executors[DUCKDB].can_read(query, data)
    if not readable:
        return POSTGRES
    return SPARK if choice.spark_from is not None and data.rows_of(query) > choice.spark_from else DUCKDB
