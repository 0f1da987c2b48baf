"""Plan a queued query: missing sub-queries, their executor and their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from flowmachine.data import DataState, report_damage
from flowmachine.jobs import planning, table
from flowmachine.jobs.specs import query_of
from flowmachine.jobs.table import RELEASED
from flowmachine.settings import DUCKDB, POSTGRES, Choice
from flowmachine.spec.query import Query
from flowmachine.stores.base import Executor
from flowmachine.stores.choice import choose_executor


def make_plan(
    connection: sa.Connection,
    job: sa.RowMapping,
    data: DataState,
    executors: Mapping[str, Executor],
    choice: Choice,
) -> None:
    """Queue what a job needs; raises NotBuildable if data are missing.

    A sub-query counts as stored if its row says so, its inputs are the present data, and the result really
    exists. The search does not descend below a stored sub-query.
    """
    root = query_of(job)
    data.check(root)
    name = choose_executor(root, data, choice, executors)
    if job["store"] not in (RELEASED, executors[name].store):
        # Direct use asked for the result in this store, when the data were different. Its first executor has its name.
        name = job["store"]
    if name == POSTGRES and choice.executor == "auto":
        report_damage(connection, executors[DUCKDB].damaged(data.days(root), data))
    elif any(part.reads_tallies for part in root.graph()):
        report_damage(connection, executors[name].damaged_tallies(data.days(root), data))
    executor = executors[name]
    fingerprints = data.fingerprints(root)
    below = {query.query_id: query for query in root.graph() if query.query_id != root.query_id}

    def stored(among: Iterable[str]) -> set[str]:
        """Return the sub-queries that are stored, fresh and really exist."""
        marked = table.stored_ids(
            connection, {query_id: fingerprints[query_id] for query_id in among}, executor.store
        )
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
    planning.enqueue_parts(connection, job, executor.store, parts, needed, stored, executor=name)
