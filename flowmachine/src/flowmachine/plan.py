"""Plan a queued query: missing sub-queries, their executor and their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from flowmachine.data import DataState, report_damage
from flowmachine.jobs import planning, table
from flowmachine.jobs.specs import query_of
from flowmachine.spec.query import Query
from flowmachine.stores import COLUMNAR, TABLES
from flowmachine.stores.base import Executor
from flowmachine.stores.choice import choose_executor


def make_plan(
    connection: sa.Connection,
    job: sa.RowMapping,
    data: DataState,
    executors: Mapping[str, Executor],
    setting: str,
) -> None:
    """Queue what a job needs; raises NotBuildable if data are missing.

    A sub-query counts as stored if its row says so, its inputs are the present data, and the result really
    exists. The search does not descend below a stored sub-query.
    """
    root = query_of(job)
    data.check(root)
    name = job["store"] if job["store"] in executors else choose_executor(root, data, setting, executors)
    if name == TABLES and setting == "auto":
        report_damage(connection, executors[COLUMNAR].damaged(data.days(root), data))
    executor = executors[name]
    fingerprints = data.fingerprints(root)
    below = {query.query_id: query for query in root.graph() if query.query_id != root.query_id}

    def stored(among: Iterable[str]) -> set[str]:
        """Return the sub-queries that are stored, fresh and really exist."""
        marked = table.stored_ids(connection, {query_id: fingerprints[query_id] for query_id in among}, name)
        return {query_id for query_id in marked if executor.stored_exists(below[query_id], connection)}

    completed = stored(below) if below else set()
    unstored: dict[str, Query] = {}
    stack = [root]
    while stack:
        query = stack.pop()
        if query.query_id in unstored or query.query_id in completed:
            continue
        unstored[query.query_id] = query
        stack.extend(query.children)
    parts = [query for query in root.graph() if query.query_id in unstored]
    needed = {part.query_id: [child.query_id for child in part.children] for part in parts}
    planning.enqueue_parts(connection, job, name, parts, needed, stored)
