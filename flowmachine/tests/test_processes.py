"""Run server and workers as processes: protocol, recovery, cancelling."""

from __future__ import annotations

import json
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection

from flowmachine.server.requests import DEEPEST_MESSAGE
from flowmachine.testing import Client, Processes, end, wait_for


def daily(day: int = 1, method: str = "last", unit: str = "admin3") -> dict[str, Any]:
    return {
        "query_kind": "daily_location",
        "date": f"2016-01-{day:02}",
        "method": method,
        "aggregation_unit": unit,
    }


def aggregate(locations: dict[str, Any]) -> dict[str, Any]:
    return {"query_kind": "spatial_aggregate", "locations": locations}


MODAL = aggregate({"query_kind": "modal_location", "locations": [daily(day) for day in (1, 2, 3)]})


def rows(processes: Processes, client: Client, query_id: str) -> list[Any]:
    """The result as the API's role reads it."""
    reply = client.ask("get_sql_for_query_result", query_id=query_id)
    assert reply["status"] == "success", reply
    with closing(processes.country.database.connect("flowapi")) as connection, connection.cursor() as cursor:
        cursor.execute(reply["payload"]["sql"])
        return cursor.fetchall()


def computed(processes: Processes, number: int) -> list[str]:
    """Wait for ``number`` recorded computations in the logs; return their query ids."""
    return [line["query_id"] for line in processes.computed(number)]


def locked_events(processes: Processes) -> Connection:
    """A transaction that keeps every reader of calls waiting until it ends."""
    connection = processes.country.database.connect("flowdb")
    connection.cursor().execute("LOCK TABLE events.calls IN ACCESS EXCLUSIVE MODE")
    return connection


def listeners(processes: Processes, *, end: bool = False) -> set[int]:
    """Return the database processes that servers listen at.

    With ``end``, all of the servers' processes are ended.
    """
    with closing(processes.country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        servers = "application_name = 'flowmachine-server' AND datname = current_database()"
        cursor.execute(f"SELECT pid FROM pg_stat_activity WHERE {servers} AND query LIKE '%LISTEN%'")
        found = {pid for (pid,) in cursor.fetchall()}
        if end:
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {servers}")
        return found


def waiting_readers(processes: Processes) -> int:
    with closing(processes.country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'flowmachine-worker' AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])  # type: ignore[index]


def test_a_query_from_spec_to_rows(processes: Processes) -> None:
    processes.start("server")
    processes.start("worker")
    client = processes.client()
    reply = client.ask("run_query", **MODAL)
    assert reply["status"] == "success"
    assert reply["payload"]["progress"] == {"eligible": 5, "queued": 5, "running": 0}
    query_id = reply["payload"]["query_id"]
    assert client.until_done(query_id) == "completed"
    found = rows(processes, client, query_id)
    assert found == sorted(found)
    assert len(found) > 20
    assert all(value > 15 for _, value in found)
    again = client.ask("run_query", **dict(reversed(MODAL.items())))
    assert again["payload"] == {"query_id": query_id, "progress": {"eligible": 0, "queued": 0, "running": 0}}
    assert len(computed(processes, 5)) == 5


def test_the_server_explains_with_its_executor_setting(processes: Processes) -> None:
    processes.start("server", FLOWMACHINE_EXECUTOR="postgres")
    client = processes.client()
    assert client.ask("explain_query", **MODAL)["payload"]["executor"] == "postgres"


def test_an_unknown_executor_is_refused_at_the_start(processes: Processes) -> None:
    server = processes.start("server", FLOWMACHINE_EXECUTOR="spork")
    assert server.wait(30) == 1
    assert (
        "FLOWMACHINE_EXECUTOR is 'spork'; it must be one of auto, duckdb, spark, postgres."
        in processes.logs()
    )


def test_both_executors_give_the_same_rows(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    found = []
    for executor in ("duckdb", "postgres"):
        worker = processes.start("worker", FLOWMACHINE_EXECUTOR=executor)
        query_id = client.ask("run_query", **MODAL)["payload"]["query_id"]
        assert client.until_done(query_id) == "completed"
        found.append(rows(processes, client, query_id))
        worker.terminate()
        worker.wait(15)
        with closing(processes.country.database.connect("flowdb")) as connection, connection:
            connection.cursor().execute("TRUNCATE engine.jobs, engine.edges, engine.plan_parts")
    assert found[0] == found[1]


def test_two_workers_run_each_part_once(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    for _ in range(2):
        processes.start("worker")
    specs = [MODAL, aggregate(daily(1)), aggregate(daily(2)), MODAL]
    ids = [client.ask("run_query", **spec)["payload"]["query_id"] for spec in specs]
    assert {client.until_done(query_id) for query_id in ids} == {"completed"}
    assert len(set(computed(processes, 7))) == len(computed(processes, 7)) == 7


@pytest.mark.parametrize(
    ("message", "text", "problem"),
    [
        (b"no json", "Invalid JSON.", "decode_error"),
        (b"[1]", "Invalid action request.", "_schema"),
        (b'{"action": "fly", "request_id": "1"}', "Invalid action request.", "action"),
        (b'{"action": "ping"}', "Invalid action request.", "request_id"),
        (b'{"action": "ping", "request_id": "1", "x": 2}', "Invalid action request.", "x"),
        (
            b'{"action": "poll_query", "request_id": "1"}',
            "Wrong parameters for action 'poll_query'.",
            "query_id",
        ),
        (
            b'{"action": "run_query", "request_id": "1", "params": {"query_kind": "nonsense"}}',
            "Parameter validation failed.",
            "validation_error_messages",
        ),
        (
            b'{"action": "get_geography", "request_id": "1", "params": {"aggregation_unit": "moon"}}',
            "Parameter validation failed.",
            "aggregation_unit",
        ),
    ],
)
def test_bad_messages(processes: Processes, message: bytes, text: str, problem: str) -> None:
    processes.start("server")
    reply = processes.client().send(message)
    assert (reply["status"], reply["msg"]) == ("error", text)
    assert problem in reply["payload"]


@pytest.mark.parametrize(
    "fault",
    [
        {"params": {"a": "\0"}},
        {"params": {"a": "\ud800"}},
        {"params": {"a": math.inf}},
        {"params": {"a": json.loads("[" * DEEPEST_MESSAGE + "]" * DEEPEST_MESSAGE)}},
        {"action": "fly"},
        {"x": 1},
        {"user": 3},
    ],
    ids=lambda fault: str(fault)[:30],
)
def test_a_refused_message_is_answered_under_its_id(processes: Processes, fault: dict[str, Any]) -> None:
    processes.start("server")
    message = {"action": "ping", "request_id": "mine", **fault}
    reply = processes.client().send(json.dumps(message).encode())
    assert (reply["msg"], reply["request_id"]) == ("Invalid action request.", "mine")


def test_unknown_and_unbuildable_queries(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    unknown = client.ask("poll_query", query_id="0" * 32)
    assert unknown["msg"] == f"Unknown query id: '{'0' * 32}'"
    assert unknown["payload"] == {"query_id": "0" * 32, "query_state": "awol"}
    reply = client.ask("run_query", **aggregate(daily(1) | {"date": "2020-02-02"}))
    assert reply["msg"] == "Unable to create query object."
    assert reply["payload"] == {"exception": "No data for date: 2020-02-02 00:00:00 - 2020-02-03 00:00:00"}
    places = client.ask("run_query", **aggregate(daily(1)))["payload"]["query_id"]
    reply = client.ask("run_query", **aggregate(daily(2) | {"subscriber_subset": places}))
    assert reply["msg"] == "Unable to create query object."
    assert reply["payload"] == {"exception": "spatial_aggregate has no column subscriber."}


def test_who_waits_is_told_at_once(processes: Processes) -> None:
    """More wait than the server has threads, and none keeps it from answering others."""
    processes.start("server")
    processes.start("worker", FLOWMACHINE_EXECUTOR="postgres")
    client = processes.client()
    with closing(locked_events(processes)) as lock, ThreadPoolExecutor(20) as pool:
        query_id = client.ask("run_query", **MODAL)["payload"]["query_id"]
        wait_for(lambda: waiting_readers(processes))
        replies = [
            pool.submit(processes.client().ask, "poll_query", query_id=query_id, wait=30, timeout=40)
            for _ in range(20)
        ]
        assert client.ask("ping")["msg"] == "pong"
        early = client.ask("poll_query", query_id=query_id, wait=0.1)["payload"]["query_state"]
        assert early == "queued"
        assert not any(reply.done() for reply in replies)
        lock.rollback()
        states = {reply.result()["payload"]["query_state"] for reply in replies}
    # The root runs for a moment when its parts are done, and that is news too.
    assert states <= {"executing", "completed"}
    assert client.until_done(query_id) == "completed"
    started = time.monotonic()
    assert client.ask("poll_query", query_id=query_id, wait=30)["payload"]["query_state"] == "completed"
    assert time.monotonic() - started < 10


def test_who_waits_is_told_though_the_server_lost_its_connections(processes: Processes) -> None:
    processes.start("server")
    processes.start("worker", FLOWMACHINE_EXECUTOR="postgres")
    client = processes.client()
    with closing(locked_events(processes)) as lock, ThreadPoolExecutor(1) as pool:
        query_id = client.ask("run_query", **MODAL)["payload"]["query_id"]
        wait_for(lambda: waiting_readers(processes))
        reply = pool.submit(processes.client().ask, "poll_query", query_id=query_id, wait=30, timeout=40)
        wait_for(lambda: listeners(processes))
        before = listeners(processes, end=True)
        wait_for(lambda: listeners(processes) - before)
        lock.rollback()
        assert reply.result()["payload"]["query_state"] in ("executing", "completed")


@pytest.mark.parametrize("wait", ["5", -1, 31, True, None])
def test_an_odd_wait_is_refused(processes: Processes, wait: Any) -> None:
    processes.start("server")
    reply = processes.client().ask("poll_query", query_id="0" * 32, wait=wait)
    assert reply["msg"] == "Wrong parameters for action 'poll_query'."
    assert reply["payload"] == {"wait": ["Must be a number of seconds from 0 to 30."]}


@pytest.mark.parametrize("query_id", ["\\ud800", "\\u0000"])
def test_a_wait_for_what_no_id_can_be_is_answered(processes: Processes, query_id: str) -> None:
    processes.start("server")
    params = f'{{"query_id": "{query_id}", "wait": 5}}'
    message = f'{{"action": "poll_query", "request_id": "mine", "params": {params}}}'
    reply = processes.client().send(message.encode())
    assert (reply["msg"], reply["request_id"]) == ("Invalid action request.", "mine")


def test_a_killed_workers_query_completes(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    doomed = processes.start("worker", FLOWMACHINE_EXECUTOR="postgres", FLOWMACHINE_LEASE="1")
    with closing(locked_events(processes)) as lock:
        query_id = client.ask("run_query", **MODAL)["payload"]["query_id"]
        wait_for(lambda: waiting_readers(processes))
        doomed.kill()
        doomed.wait()
        assert client.ask("poll_query", query_id=query_id)["payload"]["query_state"] == "queued"
        lock.rollback()
    processes.start("worker", FLOWMACHINE_EXECUTOR="postgres", FLOWMACHINE_LEASE="1")
    assert client.until_done(query_id) == "completed"
    assert rows(processes, client, query_id)


def test_a_killed_server_forgets_nothing(processes: Processes) -> None:
    server = processes.start("server")
    client = processes.client()
    query_id = client.ask("run_query", **MODAL)["payload"]["query_id"]
    server.kill()
    server.wait()
    processes.start("worker")
    processes.start("server")
    client = processes.client()
    assert client.until_done(query_id) == "completed"


def test_a_stopped_worker_gives_its_job_back(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    worker = processes.start("worker", FLOWMACHINE_EXECUTOR="postgres")
    with closing(locked_events(processes)) as lock:
        query_id = client.ask("run_query", **aggregate(daily()))["payload"]["query_id"]
        wait_for(lambda: waiting_readers(processes))
        worker.terminate()
        assert worker.wait(15) == 0
        lock.rollback()
    # No lease has to run out: the job is in the queue at once.
    processes.start("worker", FLOWMACHINE_EXECUTOR="postgres")
    assert client.until_done(query_id) == "completed"


def test_cancelling_stops_the_statement(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    processes.start("worker", FLOWMACHINE_EXECUTOR="postgres")
    with closing(locked_events(processes)) as lock:
        query_id = client.ask("run_query", **MODAL)["payload"]["query_id"]
        wait_for(lambda: waiting_readers(processes))
        assert client.ask("cancel_query", query_id=query_id)["payload"]["query_state"] == "cancelled"
        wait_for(lambda: not waiting_readers(processes), deadline=2)
        lock.rollback()
    refused = client.ask("get_sql_for_query_result", query_id=query_id)
    assert refused["msg"] == f"Query with id '{query_id}' was cancelled."
    again = client.ask("run_query", **MODAL)
    assert again["status"] == "success"
    assert client.until_done(query_id) == "completed"


def test_cancelling_leaves_a_running_part_to_whoever_else_waits_for_it(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    processes.start("worker", FLOWMACHINE_EXECUTOR="postgres")
    shared = aggregate({"query_kind": "modal_location", "locations": [daily(1)]})
    with closing(locked_events(processes)) as lock:
        first = client.ask("run_query", **aggregate(daily(1)))["payload"]["query_id"]
        wait_for(lambda: waiting_readers(processes))
        second = client.ask("run_query", **shared)["payload"]["query_id"]
        # The one worker is busy, so another has to plan it.
        processes.start("worker", FLOWMACHINE_EXECUTOR="postgres")
        planned = {"eligible": 3, "queued": 2, "running": 1}
        wait_for(lambda: client.ask("poll_query", query_id=second)["payload"]["progress"] == planned)
        assert client.ask("cancel_query", query_id=first)["payload"]["query_state"] == "cancelled"
        assert client.ask("poll_query", query_id=second)["payload"]["progress"] == planned
        assert waiting_readers(processes) == 1
        lock.rollback()
    assert client.until_done(second) == "completed"
    assert client.ask("poll_query", query_id=first)["payload"]["query_state"] == "cancelled"
    # The shared part was computed once, by the worker that had begun it.
    assert len(set(computed(processes, 3))) == len(computed(processes, 3)) == 3


def test_one_worker_is_enough_for_a_deep_graph_with_a_sample(processes: Processes) -> None:
    """Five queries deep; no part waits inside a worker for another."""
    processes.start("server")
    processes.start("worker")
    client = processes.client()
    sample = {"sampling_method": "random_ids", "size": 1000, "seed": 0.5}
    visits = {"query_kind": "location_visits", "locations": [daily(1) | {"sampling": sample}, daily(2)]}
    majority = {
        "query_kind": "majority_location",
        "subscriber_location_weights": visits,
        "minimum_total_weight": 1,
        "sampling": sample,
    }
    coalesced = {
        "query_kind": "coalesced_location",
        "preferred_location": majority,
        "fallback_location": majority | {"include_unlocatable": True, "sampling": None},
        "subscriber_location_weights": visits,
        "weight_threshold": 1,
    }
    query_id = client.ask("run_query", **aggregate(coalesced))["payload"]["query_id"]
    assert client.until_done(query_id) == "completed"
    assert rows(processes, client, query_id)


@pytest.mark.parametrize("command", ["server", "worker"])
def test_too_low_a_floor_is_refused_at_the_start(processes: Processes, command: str) -> None:
    process = processes.start(command, FLOWMACHINE_RELEASE_FLOOR="14")
    assert process.wait(30) != 0
    assert (
        "FLOWMACHINE_RELEASE_FLOOR is '14'; it must be a whole number from 15 to 2147483648."
        in processes.logs()
    )


def test_a_raised_floor_withdraws_what_was_released(processes: Processes) -> None:
    first, worker = processes.start("server"), processes.start("worker")
    client = processes.client()
    spec = aggregate(daily(unit="admin2"))
    query_id = client.ask("run_query", **spec)["payload"]["query_id"]
    assert client.until_done(query_id) == "completed"
    before = rows(processes, client, query_id)
    floor = sorted(row[-1] for row in before)[len(before) // 2]
    for process in (first, worker):
        end(process)
    processes.start("server", FLOWMACHINE_RELEASE_FLOOR=str(floor))
    client = processes.client()
    assert client.ask("poll_query", query_id=query_id)["payload"]["query_state"] == "known"
    for action in ("get_sql_for_query_result", "get_geo_sql_for_query_result"):
        refused = client.ask(action, query_id=query_id)
        assert refused["msg"] == f"Query with id '{query_id}' is known, but has not yet been run."
        assert refused["payload"] == {"query_id": query_id, "query_state": "known"}
    # Nor does cancelling bring it back.
    assert client.ask("cancel_query", query_id=query_id)["payload"]["query_state"] == "known"
    processes.start("worker", FLOWMACHINE_RELEASE_FLOOR=str(floor))
    client.ask("run_query", **spec)
    assert client.until_done(query_id) == "completed"
    kept = [row for row in before if row[-1] > floor]
    assert 0 < len(kept) < len(before)
    assert rows(processes, client, query_id) == kept


def test_a_dropped_table_heals(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    processes.start("worker")
    query_id = client.ask("run_query", **MODAL)["payload"]["query_id"]
    assert client.until_done(query_id) == "completed"
    with closing(processes.country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute(f"DROP TABLE cache.x{query_id}")
    gone = client.ask("get_sql_for_query_result", query_id=query_id)
    assert gone["payload"]["query_state"] == "known"
    client.ask("run_query", **MODAL)
    assert client.until_done(query_id) == "completed"
    assert rows(processes, client, query_id)


def test_a_lost_intermediate_file_heals(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    processes.start("worker")
    query_id = client.ask("run_query", **MODAL)["payload"]["query_id"]
    assert client.until_done(query_id) == "completed"
    for file in (processes.folder / "cache" / "results").rglob("*.parquet"):
        file.unlink()
    other = aggregate({"query_kind": "modal_location", "locations": [daily(day) for day in (1, 2)]})
    assert client.until_done(client.ask("run_query", **other)["payload"]["query_id"]) == "completed"


def test_many_at_once(processes: Processes) -> None:
    """The socket answers 40 requesters at once while a query runs."""
    processes.start("server")
    processes.start("worker")
    client = processes.client()
    query_id = client.ask("run_query", **MODAL)["payload"]["query_id"]
    states: list[str] = []

    def poll() -> None:
        states.append(client.ask("poll_query", query_id=query_id)["payload"]["query_state"])

    threads = [threading.Thread(target=poll) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(states) == 40
    assert set(states) <= {"queued", "executing", "completed"}
