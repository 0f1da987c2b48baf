"""Ask mixed questions of several users while servers and workers are killed.

It ends with every question answered, or refused for a reason that is told, no job without a worker, nothing left
over, and the answers of a calm run. Half a minute of it, or FLOWKIT_SOAK_MINUTES.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import threading
import time
from contextlib import closing
from typing import Any

import pytest

from flowmachine.testing import Client, Processes, run_module, wait_for

MINUTES = float(os.environ.get("FLOWKIT_SOAK_MINUTES", "0.5"))
SECONDS_BETWEEN_KILLS = 3.0 if MINUTES < 2 else 10.0
WORKERS = 2


def daily(day: int, method: str, unit: str) -> dict[str, Any]:
    return {
        "query_kind": "daily_location",
        "date": f"2016-01-{day:02}",
        "method": method,
        "aggregation_unit": unit,
    }


def questions() -> list[dict[str, Any]]:
    """Questions that share parts, over three days, three units and two methods."""
    found: list[dict[str, Any]] = []
    for unit in ("admin1", "admin2", "admin3"):
        for method in ("last", "most-common"):
            for days in ((1, 2), (2, 3), (1, 2, 3)):
                modal = {
                    "query_kind": "modal_location",
                    "locations": [daily(day, method, unit) for day in days],
                }
                found.append({"query_kind": "spatial_aggregate", "locations": modal})
            found.append(
                {
                    "query_kind": "flows",
                    "from_location": daily(1, method, unit),
                    "to_location": daily(3, method, unit),
                }
            )
        window = {"start_date": "2016-01-01", "end_date": "2016-01-04", "aggregation_unit": unit}
        found.append({"query_kind": "unique_subscriber_counts", **window})
    return found


def ask(processes: Processes, statement: str) -> list[Any]:
    with closing(processes.country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


class User(threading.Thread):
    """Ask one question after another, each until answered; keep the answers."""

    def __init__(self, processes: Processes, seed: int, stopping: threading.Event) -> None:
        super().__init__(name=f"user {seed}")
        self.answers: dict[str, list[Any]] = {}
        self.errors: list[str] = []
        self.asked = 0
        self.fault: Exception | None = None
        self._processes, self._random, self._stopping = processes, random.Random(seed), stopping
        self._client = Client(processes.port)

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.asked += 1
                self._ask_one(self._random.choice(questions()))
        except Exception as error:
            self.fault = error
        finally:
            self._client.context.term()

    def _patiently(self, action: str, **params: Any) -> dict[str, Any]:
        """Ask again when nobody answers, as clients of a killed server do."""

        def answer() -> dict[str, Any] | None:
            try:
                return self._client.ask(action, timeout=3.0, **params)
            except TimeoutError:
                return None

        found: dict[str, Any] = wait_for(answer, 120)
        return found

    def _ask_one(self, question: dict[str, Any]) -> None:
        reply = self._patiently("run_query", **question)
        query_id = reply["payload"]["query_id"]
        if self._random.random() < 0.1:
            self._patiently("cancel_query", query_id=query_id)

        def state() -> str | None:
            found = self._patiently("poll_query", query_id=query_id)["payload"]
            if found["query_state"] == "errored":
                self.errors.append(found["cause"])
            return None if found["query_state"] in ("queued", "executing") else found["query_state"]

        if wait_for(state, 200) != "completed":
            return
        told = self._patiently("get_sql_for_query_result", query_id=query_id)
        if told["status"] == "success":
            self.answers[query_id] = ask(self._processes, f"SELECT * FROM cache.x{query_id} ORDER BY 1, 2")


@pytest.mark.timeout(MINUTES * 60 + 400)
def test_a_campaign_of_kills(processes: Processes) -> None:
    seed = int(os.environ.get("FLOWKIT_FUZZ_SEED", time.time_ns() % 2**32))
    chance = random.Random(seed)
    settings = {"FLOWMACHINE_LEASE": "2"}

    def start_worker() -> subprocess.Popen[bytes]:
        return processes.start("worker", FLOWMACHINE_EXECUTOR=chance.choice(("auto", "postgres")), **settings)

    server = processes.start("server")
    workers = [start_worker() for _ in range(WORKERS)]
    client = processes.client()
    stopping = threading.Event()
    users = [User(processes, seed + number, stopping) for number in range(3)]
    for user in users:
        user.start()
    end = time.monotonic() + MINUTES * 60
    kills = 0
    try:
        while time.monotonic() < end:
            stopping.wait(chance.uniform(0.5, 1.5) * SECONDS_BETWEEN_KILLS)
            kills += 1
            if chance.random() < 0.2:
                server.kill()
                server.wait()
                server = processes.start("server")
                continue
            place = chance.randrange(WORKERS)
            if chance.random() < 0.2:
                workers[place].terminate()
            else:
                workers[place].kill()
            workers[place].wait(30)
            workers[place] = start_worker()
    finally:
        stopping.set()
        for user in users:
            user.join(300)
    assert [user.fault for user in users] == [None] * len(users), seed
    assert kills >= MINUTES * 60 / SECONDS_BETWEEN_KILLS / 3
    told_why = {
        "The worker that computed this died 3 times, most likely for lack of memory.",
        "A worker died repeatedly while computing a part of this query.",
    }
    assert {error for user in users for error in user.errors} <= told_why, seed

    unfinished = (
        "SELECT query_id, store, state, pending FROM engine.jobs WHERE state IN ('queued', 'executing')"
    )
    wait_for(lambda: not ask(processes, unfinished), 120)

    for worker in workers:
        worker.terminate()
        worker.wait(30)
    leftovers = run_module(
        "flowmachine", "cache", "orphans", **processes.country.environment(processes.folder / "cache")
    )
    # Killed workers may leave files that were complete, but not yet recorded, and folders of spilled rows.
    left = re.compile(r"removed (\S+ [0-9a-f]{32}: a result that no record names|[0-9a-f]{32})")
    assert all(left.fullmatch(line) for line in leftovers.splitlines()), leftovers

    found = {query_id: rows for user in users for query_id, rows in user.answers.items()}
    assert len(found) >= 3, [user.asked for user in users]
    with closing(processes.country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute("UPDATE engine.jobs SET state = 'known', fingerprint = NULL")
    start_worker()
    calm = [client.ask("run_query", **question)["payload"]["query_id"] for question in questions()]
    assert {client.until_done(query_id) for query_id in calm} == {"completed"}
    for query_id, rows in found.items():
        assert rows == ask(processes, f"SELECT * FROM cache.x{query_id} ORDER BY 1, 2"), (seed, query_id)
