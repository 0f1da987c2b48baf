"""A process ends within ten seconds of SIGTERM, and its job goes on elsewhere."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from flowmachine.data import read_data_state
from flowmachine.jobs import submitting
from flowmachine.queries.catalogue import load
from flowmachine.testing import HOLD_RECORDING, Processes, wait_for

LONGEST = 10.0

COUNTED = {
    "query_kind": "spatial_aggregate",
    "locations": {
        "query_kind": "daily_location",
        "date": "2016-01-01",
        "method": "last",
        "aggregation_unit": "admin3",
    },
}

#: Beyond the limits of submitted specs. Building its statement takes long.
EDGES = 10_000
HEAVY = {
    "query_kind": "histogram_aggregate",
    "metric": {"query_kind": "event_count", "start_date": "2016-01-01", "end_date": "2016-01-02"},
    "bins": {"bin_list": [float(edge) for edge in range(EDGES)]},
}


def submit(processes: Processes, spec: dict[str, Any]) -> str:
    """Queue a query without asking the server, which has limits."""
    query = load(spec)
    engine = sa.create_engine(processes.country.database.url("flowmachine"))
    with engine.begin() as connection:
        submitting.submit(connection, query, read_data_state(connection))
    engine.dispose()
    return query.query_id


def jobs(processes: Processes, condition: str) -> int:
    with closing(processes.country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM engine.jobs WHERE {condition}")
        return int(cursor.fetchone()[0])  # type: ignore[index]


def waits(processes: Processes) -> bool:
    """Return whether a worker waits for a lock of the database."""
    with closing(processes.country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'flowmachine-worker' AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone() is not None


@contextmanager
def held(processes: Processes, statement: str) -> Iterator[None]:
    """Hold a lock of the database."""
    with closing(processes.country.database.connect("flowdb")) as connection:
        connection.cursor().execute(statement)
        yield


def seconds_to_end(process: subprocess.Popen[bytes]) -> float:
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("executor", "lock"),
    [
        ("duckdb", HOLD_RECORDING),
        ("postgres", HOLD_RECORDING),
        ("postgres", "LOCK TABLE events.calls IN ACCESS EXCLUSIVE MODE"),
        ("duckdb", "LOCK TABLE engine.edges IN ACCESS EXCLUSIVE MODE"),
    ],
    ids=["recording a file", "recording a table", "computing", "planning"],
)
def test_a_worker_that_waits_for_the_database_stops(processes: Processes, executor: str, lock: str) -> None:
    worker = processes.start("worker", FLOWMACHINE_EXECUTOR=executor)
    with held(processes, lock):
        submit(processes, COUNTED)
        wait_for(lambda: waits(processes))
        assert seconds_to_end(worker) < LONGEST
        wait_for(lambda: jobs(processes, "state = 'executing' OR state = 'errored'") == 0)
    assert jobs(processes, "state = 'queued'") > 0


@pytest.mark.parametrize("executor", ["duckdb", "postgres"])
def test_a_worker_that_builds_a_long_statement_stops(processes: Processes, executor: str) -> None:
    worker = processes.start("worker", FLOWMACHINE_EXECUTOR=executor)
    query_id = submit(processes, HEAVY)
    released = f"query_id = '{query_id}' AND store = 'released'"
    wait_for(lambda: jobs(processes, f"{released} AND state = 'executing'"))
    assert seconds_to_end(worker) < LONGEST
    assert jobs(processes, f"{released} AND state = 'queued' AND worker IS NULL AND attempts = 0") == 1
