"""Check the job table: transitions, ownership, waiting, failure and leases."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from flowmachine.jobs import planning, recovery, submitting, table, working
from flowmachine.jobs.recovery import ATTEMPTS
from flowmachine.jobs.table import RELEASED, TRANSITIONS, Key
from flowmachine.tables import jobs

from .job_rows import LEASE, STATES, aggregate, data, finish, load_daily_id, plan, state


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
        # Null: released before floors were recorded, so the floor may have been the lowest.
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
        planning.enqueue_parts(
            connection, root, "postgres", parts, needed, lambda ids: set(), executor="postgres"
        )
        root = table.find(connection, Key(first.query_id, RELEASED))
        assert root is not None
        assert (root["planned"], root["pending"]) == (True, 1)
        # Queries that do not need the part go on.
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
