"""Queue the parts of a query and their dependencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from flowmachine.jobs.table import (
    FIRST_STATE,
    FRESH,
    RELEASED,
    Key,
    any_of,
    is_named,
    moved,
    named,
)
from flowmachine.spec.query import Query
from flowmachine.sql.statements import InsertNew
from flowmachine.tables import edges, jobs, plan_parts

_is_unplanned = sa.and_(jobs.c.state == "queued", ~jobs.c.planned)

_all_unplanned = sa.select(sa.func.count()).select_from(jobs).where(_is_unplanned).scalar_subquery()

_NEXT_UNPLANNED = (
    sa.select(jobs, _all_unplanned.label("unplanned"))
    .where(_is_unplanned)
    .order_by(jobs.c.queued_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def next_unplanned(connection: sa.Connection) -> sa.RowMapping | None:
    """Lock and return the oldest unplanned job, with their number as ``unplanned``."""
    return connection.execute(_NEXT_UNPLANNED).mappings().one_or_none()


_inputs_missing = (
    sa.select(sa.func.count())
    .select_from(edges)
    .where(edges.c.query_id == jobs.c.query_id, edges.c.store == jobs.c.store, edges.c.waiting)
    .scalar_subquery()
)

#: Sets the number of missing inputs of jobs from their edges.
_WAIT = (
    sa.update(jobs)
    .where(
        sa.or_(
            is_named,
            sa.and_(
                jobs.c.store == sa.bindparam("in_store"),
                jobs.c.query_id == sa.any_(sa.bindparam("among", type_=sa.ARRAY(sa.Text))),
            ),
        )
    )
    .values(pending=_inputs_missing, planned=True)
)


def enqueue_parts(
    connection: sa.Connection,
    job: sa.RowMapping,
    store: str,
    parts: Sequence[Query],
    needed: Mapping[str, Sequence[str]],
    stored: Callable[[Iterable[str]], set[str]],
    *,
    executor: str,
) -> None:
    """Queue the parts of the plan of ``job`` with their dependencies.

    The caller wakes workers for those that are ready.
    ``store`` is where ``executor`` puts them. ``parts`` are the queries without a fresh stored result, sub-queries first, the root last. ``needed``
    gives for each part the ids of its inputs. ``stored`` rechecks which of some parts are stored and fresh,
    because another worker may have completed a part meanwhile. All planners lock and create rows in one
    order, so that two plans that share parts neither queue a part twice nor deadlock.
    """
    root = Key(job["query_id"], job["store"])
    wanted = {part.query_id: part for part in parts if part.query_id != root.query_id}
    existing = _locked_states(connection, store, wanted) if wanted else {}
    if completed := [query_id for query_id, state in existing.items() if state == "completed"]:
        for query_id in stored(completed):
            del wanted[query_id], existing[query_id]
    queued = {
        "planned": True,
        "executor": executor,
        "requested_by": job["requested_by"],
        "request_id": job["request_id"],
        **FRESH,
    }
    fresh = [part for query_id, part in sorted(wanted.items()) if query_id not in existing]
    again = [query_id for query_id, state in existing.items() if state not in ("queued", "executing")]
    if fresh:
        rows = [{"query_id": part.query_id, "kind": part.kind, "spec": part.spec()} for part in fresh]
        connection.execute(
            InsertNew(jobs).values(store=store, state=FIRST_STATE, **queued),
            rows,
        )
    if again:
        connection.execute(moved("queue", jobs.c.store == store, jobs.c.query_id == any_of(again), **queued))
    started = {part.query_id for part in fresh} | set(again)
    unfinished = set(wanted)
    links: list[dict[str, Any]] = []
    for part in parts:
        kept_in = root.store if part.query_id == root.query_id else store
        if part.query_id == root.query_id or part.query_id in started:
            links += [
                {
                    "query_id": part.query_id,
                    "store": kept_in,
                    "depends_on": child,
                    "depends_store": store,
                    "waiting": child in unfinished,
                }
                for child in needed[part.query_id]
            ]
    if links:
        statement = insert(edges)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["query_id", "store", "depends_on", "depends_store"],
                set_={"waiting": statement.excluded.waiting},
            ),
            links,
        )
    planned_before = job["executor"] is not None
    if planned_before and root.store == RELEASED:
        # An earlier plan may have left the job waiting for parts in another store.
        links_of_root = sa.and_(edges.c.query_id == root.query_id, edges.c.store == RELEASED)
        connection.execute(
            sa.update(edges)
            .where(links_of_root, edges.c.depends_store != store, edges.c.waiting)
            .values(waiting=False)
        )
    started_here = {"among": list(started), "in_store": store, "executor": executor}
    connection.execute(_WAIT, started_here | named(root))
    if planned_before:
        connection.execute(sa.delete(plan_parts).where(plan_parts.c.root == root.query_id))
    connection.execute(
        InsertNew(plan_parts),
        [
            {
                "root": root.query_id,
                "query_id": part.query_id,
                "store": root.store if part.query_id == root.query_id else store,
            }
            for part in parts
        ],
    )


def _locked_states(connection: sa.Connection, store: str, ids: Iterable[str]) -> dict[str, str]:
    """Lock jobs of a store in id order; return their states by query id."""
    statement = (
        sa.select(jobs.c.query_id, jobs.c.state)
        .where(jobs.c.store == store, jobs.c.query_id == any_of(ids))
        .order_by(jobs.c.query_id)
        .with_for_update()
    )
    return {row.query_id: row.state for row in connection.execute(statement)}
