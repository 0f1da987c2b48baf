"""Observe the engine: audit trail, logs, statement comments, metrics and health."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from contextlib import closing
from typing import Any

import psycopg2
import pytest
import zmq

import flowmachine
from flowmachine import metrics
from flowmachine.queries.catalogue import load, load_any
from flowmachine.testing import KEY, Client, Processes, free_port, wait_for
from flowsettings import channel

QUESTION = {
    "query_kind": "spatial_aggregate",
    "locations": {
        "query_kind": "daily_location",
        "date": "2016-01-01",
        "method": "last",
        "aggregation_unit": "admin2",
    },
}


def ask(processes: Processes, statement: str, *values: Any) -> list[Any]:
    with closing(processes.country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def request(client: Client, request_id: str, action: str, user: str | None = None, **params: Any) -> Any:
    message = {"action": action, "request_id": request_id, "params": params, "user": user}
    return client.send(json.dumps(message).encode())


def numbers(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    }


def test_one_request_can_be_followed_everywhere(processes: Processes) -> None:
    server_port, worker_port = free_port(), free_port()
    processes.start("server", FLOWMACHINE_METRICS_PORT=str(server_port))
    # Whatever the level, a computed part is in the trail of its request.
    processes.start(
        "worker",
        FLOWMACHINE_METRICS_PORT=str(worker_port),
        FLOWMACHINE_EXECUTOR="postgres",
        FLOWMACHINE_LOG_LEVEL="error",
    )
    client = processes.client()
    with closing(processes.country.database.connect("flowdb")) as lock:
        lock.cursor().execute("LOCK TABLE events.calls IN ACCESS EXCLUSIVE MODE")
        query_id = request(client, "request-1", "run_query", "ada", **QUESTION)["payload"]["query_id"]
        # The database's own view of what runs names the query's part and the request.
        ((statement,),) = wait_for(
            lambda: ask(
                processes,
                "SELECT query FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'flowmachine-worker' AND wait_event_type = 'Lock'",
            )
        )
        lock.rollback()
    assert re.match(r"/\* query_id=[0-9a-f]{32} request_id=request-1 \*/ CREATE", statement)
    assert client.until_done(query_id) == "completed"
    again = request(client, "request-2", "run_query", "bob", **QUESTION)
    assert again["payload"]["query_id"] == query_id

    # Logs of the server and of the worker.
    processes.computed(2)
    mine = [line for line in processes.lines() if line.get("request_id") == "request-1"]
    assert [line["event"] for line in mine if line["logger"] == "flowmachine.query_run_log"] == [
        "received",
        "answered",
        "computed",
        "computed",
    ]
    computed = [line for line in mine if line["event"] == "computed"]
    assert [line["kind"] for line in computed] == ["daily_location", "spatial_aggregate"]
    assert {line["user"] for line in mine} == {"ada"}
    assert all(line["executor"] == "postgres" and line["bytes"] > 0 for line in computed)

    # The audit trail.
    rows = ask(
        processes,
        "SELECT request_id, username, action, query_id, params->>'query_kind', status FROM audit.engine_requests"
        " WHERE request_id LIKE 'request-%%' ORDER BY audit_id",
    )
    assert rows == [
        ("request-1", "ada", "run_query", query_id, "spatial_aggregate", "success"),
        ("request-2", "bob", "run_query", query_id, "spatial_aggregate", "success"),
    ]

    # Numbers.
    server = numbers(server_port)
    assert server['flowmachine_submitted_total{stored="no"}'] == 1
    assert server['flowmachine_submitted_total{stored="yes"}'] == 1
    assert server['flowmachine_jobs{state="completed"}'] == 2
    assert server["flowmachine_cache_bytes"] > 0
    assert server['flowmachine_request_seconds_count{action="run_query",status="success"}'] == 2
    assert {day for day in server if day.startswith("flowmachine_newest_day_seconds")} == {
        f'flowmachine_newest_day_seconds{{event_type="{each}"}}' for each in ("calls", "mds", "sms", "topups")
    }
    worker = numbers(worker_port)
    assert 0 < worker["flowmachine_disk_free_bytes"] < worker["flowmachine_disk_bytes"]
    labels = '{executor="postgres",kind="daily_location"}'
    assert worker[f"flowmachine_parts_total{labels}"] == 1
    assert worker[f"flowmachine_compute_seconds_total{labels}"] > 0
    assert worker[f"flowmachine_stored_bytes_total{labels}"] > 0


def test_the_audit_trail_has_canonical_specs_whole(processes: Processes) -> None:
    """Repeats push nothing out of the audit trail; subsets are written out."""
    processes.start("server")
    processes.start("worker")
    client = processes.client()
    subset = {**QUESTION["locations"], "date": "2016-01-02"}
    first = {**QUESTION["locations"], "subscriber_subset": subset}
    known = request(client, "first", "run_query", **{**QUESTION, "locations": first})
    client.until_done(known["payload"]["query_id"])
    padded = {**first, "subscriber_subset": load_any(subset).query_id, "event_types": ["sms", "calls"] * 3000}
    spec = {**QUESTION, "locations": padded}
    canonical = load({**QUESTION, "locations": first | {"event_types": ["calls", "sms"]}}).spec()
    assert canonical["locations"]["event_types"] == ["calls", "sms"]
    asked = {
        "run_query": spec,
        "explain_query": spec,
        "get_aggregation_unit": spec,
        "authorise": {"spec": spec},
    }
    for action, params in asked.items():
        assert request(client, f"padded-{action}", action, **params)["status"] == "success"
    refused = {**QUESTION, "locations": {**padded, "date": "2016-01-01 00:00:01"}}
    assert request(client, "padded-refused", "run_query", **refused)["status"] == "error"
    rows = ask(
        processes,
        "SELECT request_id, params FROM audit.engine_requests WHERE request_id LIKE 'padded-%%' ORDER BY audit_id",
    )
    recorded = dict(rows)
    size = recorded.pop("padded-refused")
    assert size["query_kind"] == "spatial_aggregate"
    assert size["bytes"] > 20_000
    assert recorded.pop("padded-authorise") == {"spec": canonical}
    assert list(recorded.values()) == [canonical] * 3


def test_the_audit_trail_cannot_be_changed(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    assert request(client, "refused-1", "get_query_kind", query_id="0" * 32)["status"] == "error"
    ((status, message),) = ask(
        processes, "SELECT status, message FROM audit.engine_requests WHERE request_id = 'refused-1'"
    )
    assert (status, message) == ("error", f"Unknown query id: '{'0' * 32}'")
    for statement in (
        "UPDATE audit.engine_requests SET username = 'nobody'",
        "DELETE FROM audit.engine_requests",
        "TRUNCATE audit.engine_requests",
        "DROP TABLE audit.engine_requests",
        "ALTER TABLE audit.engine_requests DISABLE TRIGGER ALL",
    ):
        with (
            closing(processes.country.database.connect("flowmachine")) as connection,
            connection.cursor() as cursor,
            pytest.raises(psycopg2.errors.InsufficientPrivilege),
        ):
            cursor.execute(statement)


def test_nothing_is_answered_before_it_is_in_the_audit_trail(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    recorded = "SELECT count(*) FROM audit.engine_requests WHERE request_id = 'held-1'"
    message = {"action": "get_query_kind", "request_id": "held-1", "params": {"query_id": "0" * 32}}
    with closing(client.context.socket(zmq.DEALER)) as asking:
        asking.linger = 0
        channel.connect(asking, KEY)
        asking.connect(f"tcp://127.0.0.1:{processes.port}")
        with closing(processes.country.database.connect("flowdb")) as lock:
            lock.cursor().execute("LOCK TABLE audit.engine_requests IN SHARE MODE")
            asking.send_multipart([b"", json.dumps(message).encode()])
            writing = (
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'flowmachine-server'"
                " AND wait_event_type = 'Lock' AND datname = current_database()"
            )
            wait_for(lambda: ask(processes, writing))
            assert asking.poll(200) == 0
            lock.rollback()
        assert asking.poll(10_000)
    assert ask(processes, recorded) == [(1,)]


def test_a_request_id_cannot_leave_its_comment(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    wicked = "*/ DROP TABLE engine.jobs; -- %s %(x)s"
    assert request(client, wicked, "get_available_dates")["status"] == "success"
    assert ask(processes, "SELECT action FROM audit.engine_requests WHERE request_id = %s", wicked) == [
        ("get_available_dates",)
    ]


def test_health_names_the_ill_part(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    with closing(processes.country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute("TRUNCATE engine.workers")
    alone = client.ask("health")["payload"]
    assert alone["database"] == "ok"
    assert alone["version"] == flowmachine.__version__
    assert alone["workers"] == "none was seen in the last 30 seconds"

    assert alone["loading"] == "ok"
    with closing(processes.country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute(
            "INSERT INTO etl.loads (load_id, source, cdr_type, cdr_date, state, started)"
            " VALUES (gen_random_uuid(), 'calls', 'calls', '2017-01-01', 'failed', now() - interval '1 hour'),"
            " (gen_random_uuid(), 'calls', 'calls', '2017-01-01', 'held', now()),"
            " (gen_random_uuid(), 'calls', 'calls', '2017-01-02', 'failed', now() - interval '1 hour'),"
            " (gen_random_uuid(), 'calls', 'calls', '2017-01-02', 'ingested', now())"
        )
    assert client.ask("health")["payload"]["loading"] == "1 days held back or failed"
    with closing(processes.country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute("DELETE FROM etl.loads WHERE cdr_date >= '2017-01-01'")

    nowhere = processes.start("worker", FLOWDB_COLUMNAR_PATH=str(processes.folder / "nowhere"))
    found = wait_for(lambda: (p := client.ask("health")["payload"])["workers"] == "ok" and p)
    assert found["folders"] == "The folder that FLOWDB_COLUMNAR_PATH names cannot be read."
    nowhere.terminate()
    nowhere.wait(20)
    with closing(processes.country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute("TRUNCATE engine.workers")
    processes.start("worker")
    found = wait_for(lambda: (p := client.ask("health")["payload"])["workers"] == "ok" and p)
    assert (found["folders"], found["alive"]) == ("ok", 1)


def health(port: int) -> int | str:
    """Return the status of a process's own health, or why there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return type(error).__name__


def test_processes_tell_whether_they_work(processes: Processes) -> None:
    server, worker, blind = free_port(), free_port(), free_port()
    processes.start("server", FLOWMACHINE_METRICS_PORT=str(server))
    processes.start("worker", FLOWMACHINE_METRICS_PORT=str(worker))
    processes.start(
        "worker",
        FLOWMACHINE_METRICS_PORT=str(blind),
        FLOWDB_COLUMNAR_PATH=str(processes.folder / "nowhere"),
    )
    for port in (server, worker):
        wait_for(lambda port=port: health(port) == 200)
    # A worker that cannot read the events is no use.
    wait_for(lambda: health(blind) == 503)
    assert (
        wait_for(lambda: numbers(server)['flowmachine_request_seconds_count{action="ping",status="success"}'])
        > 0
    )


def test_a_process_that_stopped_working_is_not_well() -> None:
    patient, impatient = free_port(), free_port()
    metrics.serve("127.0.0.1", patient)
    metrics.serve("127.0.0.1", impatient, longest_silence=0)
    metrics.alive()
    assert (health(patient), health(impatient)) == (200, 503)
