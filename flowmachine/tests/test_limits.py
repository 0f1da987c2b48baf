"""Check a query's limits on time, memory and queue, and their refusals."""

from __future__ import annotations

import re
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.settings import Computing
from flowmachine.testing import Processes

UNIT = {"aggregation_unit": "admin3"}


def counted(day: int) -> dict[str, Any]:
    locations = {"query_kind": "daily_location", "date": f"2016-01-{day:02}", "method": "last", **UNIT}
    return {"query_kind": "spatial_aggregate", "locations": locations}


def test_a_part_that_takes_too_long_is_stopped_and_says_why(processes: Processes) -> None:
    processes.start("server")
    processes.start("worker", FLOWMACHINE_EXECUTOR="postgres", FLOWMACHINE_QUERY_TIME_LIMIT="1")
    client = processes.client()
    with closing(processes.country.database.connect("flowdb")) as lock:
        lock.cursor().execute("LOCK TABLE events.calls IN ACCESS EXCLUSIVE MODE")
        query_id = client.ask("run_query", **counted(1))["payload"]["query_id"]
        assert client.until_done(query_id) == "errored"
    poll = client.ask("poll_query", query_id=query_id)["payload"]
    assert poll["cause"] == "It took longer than the 1 seconds that one part of a query may take."
    # The worker goes on, and the same question may be asked again.
    client.ask("run_query", **counted(1))
    assert client.until_done(query_id) == "completed"


def test_a_part_that_needs_too_much_memory_says_so(processes: Processes) -> None:
    processes.start("server")
    worker = processes.start("worker", FLOWMACHINE_EXECUTOR="duckdb", FLOWMACHINE_MEMORY_LIMIT="1MB")
    client = processes.client()
    query_id = client.ask("run_query", **counted(1))["payload"]["query_id"]
    assert client.until_done(query_id) == "errored"
    cause = client.ask("poll_query", query_id=query_id)["payload"]["cause"]
    assert cause.startswith("OutOfMemoryException: Out of Memory Error"), cause
    assert worker.poll() is None
    refused = client.ask("get_sql_for_query_result", query_id=query_id)
    assert refused["msg"] == f"Query with id '{query_id}' finished with an error. {cause}"
    worker.terminate()
    worker.wait(20)
    processes.start("worker", FLOWMACHINE_EXECUTOR="duckdb")
    client.ask("run_query", **counted(1))
    assert client.until_done(query_id) == "completed"


def test_a_statement_over_files_stops_when_told_to(tmp_path: Path) -> None:
    executor = DuckDBExecutor(
        Computing(
            columnar_path=tmp_path, cache_path=tmp_path, executor="duckdb", threads=1, memory_limit="256MB"
        ),
        "flowapi",
    )
    numbers = sa.func.range(10**13).table_valued(sa.column("range", sa.BigInteger))
    endless = sa.select(sa.func.sum(sa.func.sqrt(numbers.c.range)))
    began = time.monotonic()
    told = threading.Timer(0.3, executor.interrupt)
    told.start()
    with pytest.raises(duckdb.InterruptException):
        executor.query(endless)
    assert 0.3 <= time.monotonic() - began < 2.3
    told.join()


def test_who_computes_beside_others_shares_the_threads(tmp_path: Path) -> None:
    executor = DuckDBExecutor(
        Computing(
            columnar_path=tmp_path, cache_path=tmp_path, executor="duckdb", threads=4, memory_limit="256MB"
        ),
        "flowapi",
    )
    threads = sa.select(sa.func.current_setting("threads"))

    def used(among: int) -> int:
        executor.share(among)
        (value,) = executor.query(threads).to_pydict().values()
        return int(value[0])

    assert [used(among) for among in (1, 2, 3, 9, 1)] == [4, 2, 1, 1, 4]


def test_a_full_queue_refuses_what_is_new_and_nothing_else(processes: Processes) -> None:
    processes.start("server", FLOWMACHINE_QUEUE_LIMIT="2")
    client = processes.client()
    first, second = (client.ask("run_query", **counted(day)) for day in (1, 2))
    assert {first["status"], second["status"]} == {"success"}
    refused = client.ask("run_query", **counted(3))
    assert refused["status"] == "error"
    assert refused["msg"] == "The queue is full: 2 queries are waiting or running. Try again later."
    assert refused["payload"] == {"code": "queue_full", "limit": 2}
    # A waiting query is not queued again.
    assert client.ask("run_query", **counted(2))["payload"] == second["payload"]
    client.ask("cancel_query", query_id=first["payload"]["query_id"])
    assert client.ask("run_query", **counted(3))["status"] == "success"


@pytest.mark.parametrize("executor", ["duckdb", "postgres"])
def test_a_sample_of_nearly_everybody_is_refused_with_the_largest_size(
    processes: Processes, executor: str
) -> None:
    processes.start("server")
    processes.start("worker", FLOWMACHINE_EXECUTOR=executor)
    client = processes.client()

    def asked(**sampling: Any) -> tuple[str, str | None]:
        spec = counted(1)
        spec["locations"]["sampling"] = {"sampling_method": "random_ids", "seed": 0.5, **sampling}
        query_id = client.ask("run_query", **spec)["payload"]["query_id"]
        return client.until_done(query_id), client.ask("poll_query", query_id=query_id)["payload"].get(
            "cause"
        )

    state, cause = asked(size=100_000)
    assert state == "errored"
    rule = "A sample leaves out at least a tenth of the subscribers and at least 16: "
    found = re.fullmatch(
        re.escape(rule) + r"size 100000 is too large; the largest size here is (\d+)\.", cause or ""
    )
    assert found
    largest = int(found[1])
    # The exact number of subscribers cannot be told from it.
    assert largest >= 100
    assert largest % 10 == 0
    assert asked(size=largest) == ("completed", None)
    assert asked(size=largest + 1)[0] == "errored"
    assert asked(fraction=0.9) == ("completed", None)
