"""Turning a queued query into parts: which sub-queries are not stored yet, who computes them, in which order."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from flowmachine.data import DataState, report_damage
from flowmachine.executors.base import Executor
from flowmachine.jobs import enqueue_parts
from flowmachine.registry import Query, load_any
from flowmachine.tables import jobs


def choose_executor(query: Query, data: DataState, executors: Mapping[str, Executor], setting: str) -> str:
    """The executor that computes a query: the columnar one if every day it needs has a current, whole file."""
    if any(part.needs_database for part in query.graph()):
        return "postgres"
    if setting != "auto":
        return setting
    return "duckdb" if executors["duckdb"].can_read(query, data) else "postgres"


def make_plan(
    connection: sa.Connection,
    job: sa.RowMapping,
    data: DataState,
    executors: Mapping[str, Executor],
    setting: str,
) -> None:
    """Queue what a job needs; raises NotBuildable if its data are not there.

    A sub-query counts as stored if its row says so, it was made from the data that there are now, and the result is
    really there. The search does not go below a stored sub-query.
    """
    root = load_any(job["spec"])
    data.check(root)
    name = job["store"] if job["store"] in executors else choose_executor(root, data, executors, setting)
    if name == "postgres" and setting == "auto":
        report_damage(connection, executors["duckdb"].damaged(data.days(root), data))
    completed = _stored_below(connection, root, data, executors[name]) if root.children else set()
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
    enqueue_parts(connection, job, name, parts, needed)


def _stored_below(connection: sa.Connection, root: Query, data: DataState, executor: Executor) -> set[str]:
    """Ids of the sub-queries of a query, at any depth, that an executor has stored and that are fresh."""
    fingerprints = data.fingerprints(root)
    below = {query.query_id: query for query in root.graph() if query.query_id != root.query_id}
    marked = connection.execute(
        sa.select(jobs.c.query_id, jobs.c.fingerprint).where(
            jobs.c.store == executor.name,
            jobs.c.state == "completed",
            jobs.c.query_id == sa.any_(sa.literal(list(below), sa.ARRAY(sa.Text))),
        )
    )
    return {
        row.query_id
        for row in marked
        if row.fingerprint == fingerprints[row.query_id]
        and executor.stored_exists(below[row.query_id], connection)
    }
