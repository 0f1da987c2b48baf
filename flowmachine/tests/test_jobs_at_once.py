"""Check concurrent jobs: one owner, shared parts, lock order, hosts, scores."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from flowmachine.jobs import submitting, table, working
from flowmachine.jobs.table import RELEASED, Key
from flowmachine.spec.aggregate import Aggregate
from flowmachine.tables import jobs
from flowmachine.testing import wait_for

from .job_rows import LEASE, aggregate, data, finish, load_daily_id, plan, state


def test_a_hundred_at_once_have_one_owner(engine: sa.Engine) -> None:
    query = aggregate(1)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query)

    def claim(worker: int) -> str | None:
        with engine.begin() as connection:
            row = working.claim(connection, str(worker), LEASE)
            return None if row is None else row["query_id"]

    with ThreadPoolExecutor(20) as pool:
        claimed = [found for found in pool.map(claim, range(100)) if found is not None]
    # Of the three parts only the daily location waits for nothing.
    assert claimed == [load_daily_id(1)]

    def execute(worker: int) -> bool:
        with engine.begin() as connection:
            return table.trigger(connection, Key(query.query_id, RELEASED), "execute", worker=str(worker))

    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(execute, range(100))).count(True) == 1


def test_two_servers_submit_one_job(engine: sa.Engine) -> None:
    query = aggregate(1, 2)

    def submit(_: int) -> str:
        with engine.begin() as connection:
            return str(submitting.submit(connection, query, data())["query_id"])

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(submit, range(30))) == {query.query_id}
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar_one() == 1


def test_scores_follow_the_published_vector(engine: sa.Engine, database: Any) -> None:
    """Check scores against the published vector.

    Half-life 2; a touched at t=0, b at t=1 to 5; 100 s of work, 10 and 100 bytes: 10 and 13.317.
    """
    with database.connect("flowdb") as raw:
        raw.cursor().execute("UPDATE cache.cache_config SET value = '2' WHERE key = 'half_life'")
    a, b = aggregate(1), aggregate(2)
    with engine.begin() as connection:
        for query in (a, b):
            submitting.submit(connection, query, data())

        def multiplier(query: Aggregate) -> float:
            row = table.find(connection, Key(query.query_id, RELEASED))
            assert row is not None
            return math.exp(row["score"])

        table.touch(connection, Key(a.query_id, RELEASED))
        assert multiplier(a) * 100 / 10 == pytest.approx(10)
        table.touch(connection, Key(b.query_id, RELEASED))
        assert multiplier(b) * 100 / 100 == pytest.approx(1.3466, abs=5e-5)
        for _ in range(4):
            table.touch(connection, Key(b.query_id, RELEASED))
        assert multiplier(b) * 100 / 100 == pytest.approx(13.317, abs=5e-4)


def test_a_hosts_jobs_share_it_while_more_are_ready(engine: sa.Engine) -> None:
    with engine.begin() as connection:

        def sharers(worker: str) -> int:
            claimed = working.claim(connection, worker, LEASE)
            assert claimed is not None
            return working.sharers(claimed)

        submitting.submit(connection, aggregate(1, 2, 3, 4), data())
        plan(connection, aggregate(1, 2, 3, 4))
        # After the last one nothing is ready, because the modal location waits for all of them.
        assert [sharers(worker) for worker in ("a-1", "a-2", "b-1", "a-3")] == [1, 2, 1, 1]


def test_a_score_survives_ten_million_touches(engine: sa.Engine) -> None:
    query = aggregate(1)
    key = Key(query.query_id, RELEASED)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        table.touch(connection, key)
        connection.execute(sa.select(sa.func.setval("engine.touches", 10_000_000)))
        table.touch(connection, key)
        row = table.find(connection, key)
    assert row is not None
    assert row["score"] == pytest.approx(10_000_001 * math.log(1 + math.log(2) / 1000))


def blocked(engine: sa.Engine) -> int:
    """Count the connections that wait for a lock."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with engine.connect() as connection:
        return int(connection.execute(waiting).scalar_one())


def test_plans_of_the_same_parts_in_another_order_do_not_block_each_other(engine: sa.Engine) -> None:
    pair = [aggregate(1, 2, 3), aggregate(3, 2, 1)]
    with engine.begin() as connection:
        for query in pair:
            submitting.submit(connection, query, data())

    def make(query: Aggregate) -> None:
        with engine.begin() as connection:
            plan(connection, query)

    with engine.connect() as holder, ThreadPoolExecutor(2) as pool:
        # Both have created some rows when they reach the locked row.
        key = {"query_id": load_daily_id(2), "store": "duckdb", "state": "queued", "kind": "", "spec": {}}
        holder.execute(sa.insert(jobs).values(key))
        plans = []
        for count, query in enumerate(pair, 1):
            plans.append(pool.submit(make, query))
            wait_for(lambda count=count: blocked(engine) == count)
        holder.rollback()
        for made in plans:
            # A deadlock would be raised here.
            made.result()
    with engine.connect() as connection:
        kinds = connection.execute(sa.select(jobs.c.kind)).scalars().all()
    assert kinds.count("daily_location") == 3


def test_completing_and_cancelling_take_locks_in_one_order(engine: sa.Engine) -> None:
    query = aggregate(1)
    part, root = Key(query.children[0].query_id, "duckdb"), Key(query.query_id, RELEASED)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query, {load_daily_id(1)})
        assert working.claim(connection, "w", LEASE) is not None

    def complete() -> None:
        with engine.begin() as connection:
            finish(connection, part)

    def cancel() -> None:
        with engine.begin() as connection:
            submitting.cancel(connection, query.query_id)

    with engine.connect() as holder, ThreadPoolExecutor(2) as pool:
        holder.execute(sa.select(jobs.c.state).where(table.is_job(part)).with_for_update())
        completing = pool.submit(complete)
        wait_for(lambda: blocked(engine) == 1)
        cancelling = pool.submit(cancel)
        wait_for(lambda: blocked(engine) == 2)
        holder.rollback()
        completing.result()
        cancelling.result()
    with engine.connect() as connection:
        assert state(connection, part) == "completed"
        assert state(connection, root) == "cancelled"


def test_a_part_completed_while_a_plan_was_made_is_not_computed_again(engine: sa.Engine) -> None:
    first, second = aggregate(1, 2), aggregate(2, 3)
    shared = Key(load_daily_id(2), "duckdb")
    with engine.begin() as connection:
        for query in (first, second):
            submitting.submit(connection, query, data())
        plan(connection, first)
        while (row := working.claim(connection, "w", LEASE)) is not None:
            finish(connection, Key(row["query_id"], row["store"]))
        # The second was planned when the shared part was not stored yet, and is recorded only now.
        plan(connection, second, among={shared.query_id})
        assert state(connection, shared) == "completed"
        claimed = working.claim(connection, "w", LEASE)
        assert claimed is not None
        assert claimed["query_id"] == load_daily_id(3)
        finish(connection, Key(load_daily_id(3), "duckdb"))
        modal = working.claim(connection, "w", LEASE)
        assert modal is not None
        assert modal["kind"] == "modal_location"
