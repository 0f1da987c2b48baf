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

    Without ``executors`` the files on the list of damage count as damaged, because the server cannot look at files.
    """
    if any(part.needs_database for part in query.graph()):
        return TABLES
    if setting != "auto":
        return setting
    if executors is None:
        readable = data.columnar(query) and data.listed_damage.isdisjoint(data.days(query))
    else:
        readable = executors[COLUMNAR].can_read(query, data)
    return COLUMNAR if readable else TABLES
