"""Choose the executor of a query, for plans, explanations and direct use."""

from __future__ import annotations

from collections.abc import Mapping

from flowmachine.data import DataState
from flowmachine.spec.query import Query
from flowmachine.stores import COLUMNAR, TABLES
from flowmachine.stores.base import Executor


def choose_executor(
    query: Query, data: DataState, setting: str, executors: Mapping[str, Executor] | None = None
) -> str:
    """Choose the executor of a query.

    The columnar executor computes if every needed day has a current, intact file.

    Without ``executors`` the files are taken to be whole: the server cannot look at them.
    """
    if any(part.needs_database for part in query.graph()):
        return TABLES
    if setting != "auto":
        return setting
    readable = data.columnar(query) if executors is None else executors[COLUMNAR].can_read(query, data)
    return COLUMNAR if readable else TABLES
