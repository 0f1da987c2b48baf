"""The job table: transitions, single ownership, waiting, failure, cancellation, leases and scores."""

from __future__ import annotations

import math
from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from flowmachine.data import DataState
from flowmachine.jobs import planning, recovery, submitting, table, working
from flowmachine.jobs.recovery import ATTEMPTS
from flowmachine.jobs.table import RELEASED, TRANSITIONS, Key
from flowmachine.queries.catalogue import load
from flowmachine.spec.query import Aggregate
from flowmachine.stores.base import Stored
from flowmachine.tables import jobs
from flowmachine.testing import wait_for

LEASE = timedelta(seconds=30)
LOAD = UUID(int=1)
STATES = ("known", "queued", "executing", "completed", "errored", "cancelled", "resetting")


def data(load: UUID = LOAD) -> DataState:
    days = {(kind, date(2016, 1, day)): load for kind in ("calls", "sms") for day in range(1, 8)}
    return DataState(days, dict.fromkeys(days, "file"), 1, "UTC")


def daily(day: int) -> dict[str, Any]:
    return {
        "query_kind": "daily_location",
        "date": f"2016-01-{day:02}",
        "method": "last",
        "aggregation_unit": "admin3",
    }


def aggregate(*days: int) -> Aggregate:
    """A spatial aggregate over a modal location of some days."""
    locations = {"query_kind": "modal_location", "locations": [daily(day) for day in days]}
    return load({"query_kind": "spatial_aggregate", "locations": locations})


def plan(
    connection: sa.Connection,
    query: Aggregate,
    stored: Set[str] = frozenset(),
    among: Set[str] = frozenset(),
) -> None:
    """Record the plan of a query of which some parts are stored, and some more turn out to be on recording."""
    parts = [part for part in query.graph() if part.query_id not in stored]
    needed = {part.query_id: [child.query_id for child in part.children] for part in parts}
    job = table.find(connection, Key(query.query_id, RELEASED))
    assert job is not None
    planning.enqueue_parts(connection, job, "duckdb", parts, needed, lambda ids: among & set(ids))


def state(connection: sa.Connection, key: Key) -> str:
    row = table.find(connection, key)
    assert row is not None
    return str(row["state"])


def finish(connection: sa.Connection, key: Key, worker: str = "w") -> None:
    working.complete(
        connection,
        key,
        worker,
        stored=Stored(1, 8192),
        milliseconds=5.0,
        fingerprint=data().fingerprints(aggregate(1))[aggregate(1).query_id],
        cells_version=1,
        read={("calls", date(2016, 1, 1)): UUID(int=7)},
    )


def test_a_raised_floor_makes_what_was_judged_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    query = aggregate(1, 2)
    before = data().fingerprints(query)
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", "30")
    after = data().fingerprints(query)
    changed = {query_id for query_id in before if before[query_id] != after[query_id]}
    # The subscriber-level parts are never judged and stay.
    assert changed == {query.query_id}


def test_what_was_released_under_a_lower_floor_is_made_anew(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = aggregate(1)
    key = Key(query.query_id, RELEASED)
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", "30")
    in_force = data().fingerprints(query)[query.query_id]

    def state_after_asking_again(judged_by: int | None) -> str:
        done = {"state": "completed", "fingerprint": in_force, "floor": judged_by}
        connection.execute(sa.update(jobs).where(table.is_job(key)).values(**done))
        return str(submitting.submit(connection, query, data())["state"])

    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        # Null: released before the floor was written down, so nobody knows it was not the lowest.
        assert [state_after_asking_again(floor) for floor in (None, 15, 29, 30, 31)] == [
            "queued",
            "queued",
            "queued",
            "completed",
            "completed",
        ]


def test_every_pair_of_state_and_event(engine: sa.Engine) -> None:
    query = aggregate(1)
    key = Key(query.query_id, RELEASED)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        for event, (sources, target) in TRANSITIONS.items():
            for start in STATES:
                connection.execute(sa.update(jobs).where(table.is_job(key)).values(state=start))
                changed = table.trigger(connection, key, event)
                assert changed == (start in sources), (start, event)
                assert state(connection, key) == (target if changed else start)


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


def load_daily_id(day: int) -> str:
    return next(part.query_id for part in aggregate(day).graph() if part.kind == "daily_location")


def test_two_servers_submit_one_job(engine: sa.Engine) -> None:
    query = aggregate(1, 2)

    def submit(_: int) -> str:
        with engine.begin() as connection:
            return str(submitting.submit(connection, query, data())["query_id"])

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(submit, range(30))) == {query.query_id}
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar_one() == 1


def test_parts_become_runnable_when_their_inputs_are_stored(engine: sa.Engine) -> None:
    query = aggregate(1, 2)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query)
        assert submitting.progress(connection, query.query_id) == submitting.Progress(4, 4, 0)
        order = []
        while (row := working.claim(connection, "w", LEASE)) is not None:
            order.append(row["kind"])
            finish(connection, Key(row["query_id"], row["store"]))
    assert order == ["daily_location", "daily_location", "modal_location", "spatial_aggregate"]
    with engine.connect() as connection:
        assert state(connection, Key(query.query_id, RELEASED)) == "completed"
        assert submitting.progress(connection, query.query_id) == submitting.Progress(0, 0, 0)


def test_plans_share_parts_and_each_waits_for_all_of_its_own(engine: sa.Engine) -> None:
    first, second = aggregate(1, 2), aggregate(2, 3)
    with engine.begin() as connection:
        for query in (first, second):
            submitting.submit(connection, query, data())
            plan(connection, query)
        kinds = connection.execute(sa.select(jobs.c.kind)).scalars().all()
        assert kinds.count("daily_location") == 3
        done = 0
        while (row := working.claim(connection, "w", LEASE)) is not None:
            finish(connection, Key(row["query_id"], row["store"]))
            done += 1
    assert done == 7


def test_a_stored_result_is_served_until_its_data_change(engine: sa.Engine) -> None:
    query = aggregate(1)
    key = Key(query.query_id, RELEASED)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        connection.execute(
            sa.update(jobs)
            .where(table.is_job(key))
            .values(state="completed", fingerprint=data().fingerprints(query)[query.query_id])
        )
        assert submitting.submit(connection, query, data())["state"] == "completed"
        assert submitting.submit(connection, query, data(UUID(int=2)))["state"] == "queued"


def test_failure_reaches_those_who_wait_and_a_new_request_tries_again(engine: sa.Engine) -> None:
    query = aggregate(1, 2)
    key = Key(query.query_id, RELEASED)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query)
        row = working.claim(connection, "w", LEASE)
        assert row is not None
        working.fail(connection, Key(row["query_id"], row["store"]), "w", "DiskFull", "No space left.")
        root = table.find(connection, key)
        assert root is not None
        assert (root["state"], root["error"]) == ("errored", "No space left.")
        submitting.submit(connection, query, data())
        again = table.find(connection, key)
        assert again is not None
        assert (again["state"], again["error"], again["planned"]) == ("queued", None, False)


def test_cancelling_leaves_what_others_wait_for(engine: sa.Engine) -> None:
    first, second = aggregate(1, 2), aggregate(2, 3)
    with engine.begin() as connection:
        for query in (first, second):
            submitting.submit(connection, query, data())
            plan(connection, query)
        assert submitting.cancel(connection, first.query_id) == "cancelled"
        assert state(connection, Key(load_daily_id(1), "duckdb")) == "cancelled"
        assert state(connection, Key(load_daily_id(2), "duckdb")) == "queued"
        assert state(connection, Key(second.query_id, RELEASED)) == "queued"
        assert submitting.cancel(connection, "0" * 32) is None


def test_cancelling_a_running_job_asks_its_worker(engine: sa.Engine) -> None:
    query = aggregate(1)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query)
        row = working.claim(connection, "w", LEASE)
        assert row is not None
        key = Key(row["query_id"], row["store"])
        assert not working.renew(connection, key, "w", LEASE)
        submitting.cancel(connection, query.query_id)
        assert working.renew(connection, key, "w", LEASE)
        working.cancelled(connection, key, "w")
        assert state(connection, key) == "cancelled"


def test_a_dead_workers_job_is_done_by_another_and_the_dead_cannot_record(engine: sa.Engine) -> None:
    query = aggregate(1)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query)
        row = working.claim(connection, "first", timedelta(seconds=-1))
        assert row is not None
        key = Key(row["query_id"], row["store"])
        assert recovery.requeue_expired(connection) == [key]
        again = working.claim(connection, "second", LEASE)
        assert again is not None
        assert again["query_id"] == key.query_id
        with pytest.raises(working.LostLease):
            finish(connection, key, "first")
        finish(connection, key, "second")


def test_a_job_that_kills_its_workers_is_given_up(engine: sa.Engine) -> None:
    query = aggregate(1)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query)
        for attempt in range(ATTEMPTS):
            assert working.claim(connection, f"w{attempt}", timedelta(seconds=-1)) is not None
            recovery.requeue_expired(connection)
        root = table.find(connection, Key(query.query_id, RELEASED))
        assert root is not None
        assert (root["state"], root["error_class"]) == ("errored", "WorkerDied")


def test_a_part_made_from_other_data_is_no_input(engine: sa.Engine) -> None:
    query = aggregate(1, 2)
    modal = query.children[0]
    fresh = data().fingerprints(query)
    wanted = {child.query_id: fresh[child.query_id] for child in modal.children}
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query)
        assert table.stored_ids(connection, wanted, "duckdb") == set()
        for child in modal.children:
            connection.execute(
                sa.update(jobs)
                .where(table.is_job(Key(child.query_id, "duckdb")))
                .values(state="completed", fingerprint=fresh[child.query_id])
            )
        assert table.stored_ids(connection, wanted, "duckdb") == wanted.keys()
        assert table.stored_ids(connection, wanted) == wanted.keys()
        assert table.stored_ids(connection, wanted, "postgres") == set()
        later = data(UUID(int=2)).fingerprints(query)
        assert table.stored_ids(connection, {key: later[key] for key in wanted}, "duckdb") == set()


def test_a_part_that_its_store_cannot_compute_sends_those_above_back_to_planning(engine: sa.Engine) -> None:
    first, second = aggregate(1, 2), aggregate(2, 3)
    with engine.begin() as connection:
        for query in (first, second):
            submitting.submit(connection, query, data())
            plan(connection, query)
        row = working.claim(connection, "w", LEASE)
        assert row is not None
        assert row["query_id"] == load_daily_id(1)
        recovery.replan_above(connection, Key(load_daily_id(1), "duckdb"), "w")
        assert state(connection, Key(load_daily_id(1), "duckdb")) == "known"
        assert state(connection, Key(first.children[0].query_id, "duckdb")) == "known"
        root = planning.next_unplanned(connection)
        assert root is not None
        assert (root["query_id"], root["store"]) == (first.query_id, RELEASED)
        # Planned for the other store, it no longer waits for anything of the first.
        parts = list(first.graph())
        needed = {part.query_id: [child.query_id for child in part.children] for part in parts}
        planning.enqueue_parts(connection, root, "postgres", parts, needed, lambda ids: set())
        root = table.find(connection, Key(first.query_id, RELEASED))
        assert root is not None
        assert (root["planned"], root["pending"]) == (True, 1)
        # Who does not need the part goes on.
        other = table.find(connection, Key(second.query_id, RELEASED))
        assert other is not None
        assert (other["state"], other["planned"], other["pending"]) == ("queued", True, 1)


def test_who_waits_for_what_nobody_computes_is_planned_anew(engine: sa.Engine) -> None:
    query = aggregate(1, 2)
    modal = Key(query.children[0].query_id, "duckdb")
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query)
        assert recovery.replan_stuck(connection) == []
        connection.execute(
            sa.update(jobs).where(table.is_job(Key(load_daily_id(1), "duckdb"))).values(state="cancelled")
        )
        assert recovery.replan_stuck(connection) == [modal]
        stuck = planning.next_unplanned(connection)
        assert stuck is not None
        assert Key(stuck["query_id"], stuck["store"]) == modal


def test_results_that_the_database_emptied_are_forgotten(engine: sa.Engine, database: Any) -> None:
    query = aggregate(1)
    with engine.begin() as connection:
        # The database that this one is a copy of may have been killed since it was made.
        recovery.forget_lost(connection)
        submitting.submit(connection, query, data())
        plan(connection, query)
        key = Key(load_daily_id(1), "duckdb")
        connection.execute(
            sa.update(jobs).where(table.is_job(key)).values(state="completed", store="postgres")
        )
        assert recovery.is_intact(connection)
        assert recovery.forget_lost(connection) == 0
    with database.connect("flowdb") as raw:
        raw.cursor().execute("TRUNCATE engine.intact")
    with engine.begin() as connection:
        assert not recovery.is_intact(connection)
        assert recovery.forget_lost(connection) == 1
        assert state(connection, Key(key.query_id, "postgres")) == "known"
        assert recovery.forget_lost(connection) == 0


def test_scores_follow_the_published_vector(engine: sa.Engine, database: Any) -> None:
    """Half-life 2; a touched at t=0, b at t=1 to 5; 100 s of work, 10 and 100 bytes: 10 and 13.317."""
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
        submitting.submit(connection, aggregate(1, 2, 3, 4), data())
        plan(connection, aggregate(1, 2, 3, 4))
        assert working.sharers(connection, "a") == 1
        for worker in ("a-1", "a-2", "b-1"):
            assert working.claim(connection, worker, LEASE) is not None
        assert [working.sharers(connection, host) for host in ("a", "b", "a-1", "c")] == [2, 1, 1, 1]
        assert working.claim(connection, "a-3", LEASE) is not None
        # Four run, and the modal location waits for all of them.
        assert working.sharers(connection, "a") == 1


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
    """How many connections wait for a lock."""
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
        # Both have made some of the rows when they come to the one that is held.
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


def test_a_result_records_what_it_was_made_from(engine: sa.Engine) -> None:
    query = aggregate(1)
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query)
        row = working.claim(connection, "w", LEASE)
        assert row is not None
        finish(connection, Key(row["query_id"], row["store"]))
        done = table.find(connection, Key(row["query_id"], row["store"]))
    assert done is not None
    assert done["inputs"] == {"calls": {"2016-01-01": str(UUID(int=7))}}
    assert done["code_version"] == version("flowmachine")
