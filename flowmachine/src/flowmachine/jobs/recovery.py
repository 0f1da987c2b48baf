"""Repair the job table: dead workers' jobs, lost results, abandoned parts."""

from __future__ import annotations

import sqlalchemy as sa

from flowmachine.jobs.table import DONE_CHANNEL, RELEASED, WORK_CHANNEL, Key, is_job, moved, notify
from flowmachine.jobs.working import fail_waiting, held
from flowmachine.sql.statements import InsertNew
from flowmachine.stores import TABLES
from flowmachine.tables import edges, intact, jobs

#: A job whose worker died this often is assumed to be the cause.
ATTEMPTS = 3


def replan_above(connection: sa.Connection, key: Key, worker: str) -> None:
    """Give up a part that its store cannot compute.

    The submitted queries that wait for the part are planned again.
    """
    if not connection.execute(
        moved(
            "expire",
            *held(key, worker),
            worker=None,
            lease_until=None,
            finished_at=sa.func.clock_timestamp(),
        )
    ).rowcount:
        return
    level = [key]
    while level:
        above = connection.execute(
            sa.update(edges)
            .where(
                sa.tuple_(edges.c.depends_on, edges.c.depends_store).in_(
                    [(k.query_id, k.store) for k in level]
                ),
                edges.c.waiting,
            )
            .values(waiting=False)
            .returning(edges.c.query_id, edges.c.store)
        ).all()
        level = []
        for found in sorted({Key(*row) for row in above}, key=str):
            waiting = sa.and_(is_job(found), jobs.c.state == "queued")
            if found.store == RELEASED:
                connection.execute(sa.update(jobs).where(waiting).values(planned=False, pending=0))
            elif connection.execute(moved("expire", waiting, pending=0)).rowcount:
                level.append(found)
    notify(connection, WORK_CHANNEL)


def replan_stuck(connection: sa.Connection) -> list[Key]:
    """Plan jobs again that wait for a part that no worker will compute; return them.

    This happens when the part left the queue together with the only query known to need it, while another
    query that needs the part was being planned.
    """
    below = jobs.alias("below")
    alive = (
        sa.exists()
        .where(below.c.query_id == edges.c.depends_on, below.c.store == edges.c.depends_store)
        .where(below.c.state.in_(("queued", "executing")))
    )
    waits_in_vain = (
        sa.exists()
        .where(edges.c.query_id == jobs.c.query_id, edges.c.store == jobs.c.store, edges.c.waiting)
        .where(~alive)
    )
    rows = connection.execute(
        sa.update(jobs)
        .where(jobs.c.state == "queued", jobs.c.planned, jobs.c.pending > 0, waits_in_vain)
        .values(planned=False)
        .returning(jobs.c.query_id, jobs.c.store)
    ).all()
    if rows:
        notify(connection, WORK_CHANNEL)
    return [Key(*row) for row in rows]


def is_intact(connection: sa.Connection) -> bool:
    """Return whether the database has kept its unlogged tables.

    They hold its intermediate results.
    """
    return bool(connection.execute(sa.select(sa.exists().select_from(intact))).scalar_one())


def forget_lost(connection: sa.Connection) -> int:
    """Forget intermediate results if the database emptied them; return their number.

    The tables are unlogged, so a server that was not shut down cleanly returns with empty tables. Our marker
    row in an unlogged table disappears with them.
    """
    if is_intact(connection):
        return 0
    # The first of several workers does this, and the others wait here for its commit.
    if connection.execute(InsertNew(intact).values(only_row=True)).rowcount == 0:
        return 0
    return connection.execute(moved("forget", jobs.c.store == TABLES, fingerprint=None)).rowcount


def requeue_expired(connection: sa.Connection) -> list[Key]:
    """Return jobs of dead workers to the queue; return all found.

    A job that outlived several workers fails.
    """
    now = sa.func.clock_timestamp()
    expired = sa.and_(jobs.c.state == "executing", jobs.c.lease_until < now)
    hopeless = connection.execute(
        moved(
            "error",
            expired,
            jobs.c.attempts >= ATTEMPTS,
            error_class="WorkerDied",
            error=f"The worker that computed this died {ATTEMPTS} times, most likely for lack of memory.",
            finished_at=now,
            lease_until=None,
        ).returning(jobs.c.query_id, jobs.c.store)
    ).all()
    dead = [Key(*row) for row in hopeless]
    for key in dead:
        if key.store == RELEASED:
            notify(connection, DONE_CHANNEL, key.query_id)
    if dead:
        fail_waiting(
            connection, dead, "WorkerDied", "A worker died repeatedly while computing a part of this query."
        )
    back = connection.execute(
        moved("give_back", expired, worker=None, lease_until=None).returning(jobs.c.query_id, jobs.c.store)
    ).all()
    if back:
        notify(connection, WORK_CHANNEL)
    return dead + [Key(*row) for row in back]
