"""Query an engine's server, ours or the published one.

Both speak one protocol, so one client measures both.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import zmq
from cluster import free_port

from benchmarks.country import Country
from benchmarks.memory import PeakMemory
from benchmarks.questions import Spec
from flowsettings import channel

STORED_REPEATS = 15
#: Seconds in which a server has to answer for the first time; a busy machine takes long to import things.
START_LIMIT = 300.0


class EngineFailed(RuntimeError):
    """The engine refused or failed a question; the text is its answer."""


class TookTooLong(EngineFailed):
    """The engine did not finish in the time a question may take."""


class DidNotStart(EngineFailed):
    """Report that the engine's server ended or did not answer within its start time."""


@dataclass(frozen=True)
class Answer:
    """Hold a question's released rows, seconds and peak memory."""

    rows: pd.DataFrame
    seconds: float
    megabytes: float
    stored_seconds: float | None = None


class Processes:
    """Processes of one engine, with their output in a log file; ended together."""

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._stack = ExitStack()
        self._path = log
        self._log = self._stack.enter_context(log.open("wb"))
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def ids(self) -> list[int]:
        return [process.pid for process in self._started]

    def refuse_if_ended(self) -> None:
        """Raise DidNotStart, with the end of the log, if one of the processes has ended."""
        if any(process.poll() is not None for process in self._started):
            lines = self._path.read_text(errors="replace").strip().splitlines()
            raise DidNotStart(f"the server ended: {lines[-1] if lines else 'its log is empty'}")

    def start(self, command: Iterable[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            list(command), env=dict(environment), stdout=self._log, stderr=subprocess.STDOUT
        )
        self._started.append(process)
        self._stack.callback(_end, process)
        return process

    def end(self) -> None:
        self._stack.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Client:
    """Query an engine's socket and read released results as the HTTP API does.

    ``waits`` says whether the engine can hold a poll until there is news; one that cannot is asked again and again.
    """

    def __init__(self, country: Country, port: int, *, waits: bool, key: str | None = None) -> None:
        self._waits = waits
        self._key = key
        self._context = zmq.Context()
        self._address = f"tcp://127.0.0.1:{port}"
        self._requester = self._connect()
        self._country = country

    def _connect(self) -> zmq.Socket[bytes]:
        requester = self._context.socket(zmq.REQ)
        requester.linger = 0
        if self._key is not None:
            channel.connect(requester, self._key)
        requester.connect(self._address)
        return requester

    @cached_property
    def _database(self) -> Any:
        return self._country.connect()

    def close(self) -> None:
        if "_database" in self.__dict__:
            self._database.close()
        self._requester.close()
        self._context.term()

    def ask(self, action: str, params: Spec, timeout: float = 600.0) -> Spec:
        """One request; the payload of its reply."""
        message = {"action": action, "request_id": str(uuid.uuid4()), "params": params}
        self._requester.send(json.dumps(message).encode())
        if not self._requester.poll(int(timeout * 1000)):
            # A requester that got no reply cannot send again.
            self._requester.close()
            self._requester = self._connect()
            raise TookTooLong(f"no reply to {action} in {timeout} s")
        reply = json.loads(self._requester.recv())
        if reply["status"] != "success":
            raise EngineFailed(f"{action}: {reply['msg']} {reply['payload']}")
        payload: Spec = reply["payload"]
        return payload

    def wait_until_up(self, processes: Processes, deadline: float = START_LIMIT) -> None:
        """Wait for the first reply.

        Raises DidNotStart if a process ends or the deadline passes before.
        """
        end = time.monotonic() + deadline
        while True:
            processes.refuse_if_ended()
            try:
                self.ask("ping", {}, timeout=min(1.0, deadline))
                return
            except TookTooLong:
                if time.monotonic() > end:
                    raise DidNotStart(f"no reply in {deadline:g} s after the start") from None

    def accept(self, spec: Spec) -> tuple[str, float]:
        """Submit a specification; its id and the seconds until it was accepted."""
        started = time.perf_counter()
        query_id = self.ask("run_query", spec)["query_id"]
        return query_id, time.perf_counter() - started

    def result(self, spec: Spec, limit: float = 3600.0) -> tuple[pd.DataFrame, float]:
        """Submit, poll until done, read the released rows; with the seconds that it took."""
        started = time.perf_counter()
        query_id, _ = self.accept(spec)
        poll = {"query_id": query_id, **({"wait": 10} if self._waits else {})}
        while (state := self.ask("poll_query", poll)["query_state"]) != "completed":
            waited = time.perf_counter() - started
            if state not in ("queued", "executing"):
                raise EngineFailed(f"{query_id} is {state}")
            if waited > limit:
                raise TookTooLong(f"not done after {limit} s")
            if not self._waits:
                # Often enough to lose little, seldom enough not to disturb what is measured: each poll is work.
                time.sleep(min(max(0.01, waited / 50), 0.2))
        sql = self.ask("get_sql_for_query_result", {"query_id": query_id})["sql"]
        with self._database.cursor() as cursor:
            cursor.execute(sql)
            rows = cursor.fetchall()
            names = [column.name for column in cursor.description]
        return pd.DataFrame(rows, columns=names), time.perf_counter() - started


class Ours:
    """Our server and workers over a country, with one executor."""

    def __init__(self, country: Country, executor: str, workers: int = 2, **settings: str) -> None:
        self._country = country
        self._standing: set[str] = set()
        port = free_port()
        self._processes = Processes(country.folder / "logs" / f"flowmachine-{executor}.log")
        key = secrets.token_hex(32)
        environment = {
            **country.environment(),
            "FLOWMACHINE_KEY": key,
            "FLOWMACHINE_PORT": str(port),
            "FLOWMACHINE_EXECUTOR": executor,
            **settings,
        }
        self.empty()
        self._processes.start([sys.executable, "-m", "flowmachine", "server"], environment)
        for _ in range(workers):
            self._processes.start([sys.executable, "-m", "flowmachine", "worker"], environment)
        self.client = Client(country, port, waits=True, key=key)

    def __enter__(self) -> Ours:
        try:
            self.client.wait_until_up(self._processes)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._processes.end()

    def empty(self) -> None:
        """Forget every result, so that the next question is cold.

        Cell maps stay, and so do standing parts.
        """
        forget_results(self._country, self._standing)

    def keep_standing(self, parts: int, limit: float = 3600.0) -> Answer:
        """Wait until idle workers have stored so many parts, and keep them.

        The answer has their ``bytes`` and the seconds that they took.
        """
        connection = self._country.connect()
        started = time.monotonic()
        end = started + limit
        found: list[tuple[str, int]] = []
        with connection.cursor() as cursor:
            while len(found) < parts:
                if time.monotonic() > end:
                    raise TookTooLong(f"{len(found)} of {parts} standing parts after {limit:g} s")
                time.sleep(0.2)
                cursor.execute(
                    "SELECT query_id, bytes FROM engine.jobs WHERE state = 'completed' AND kind = 'daily_location'"
                )
                found = cursor.fetchall()
        connection.close()
        self._standing = {query_id for query_id, _ in found}
        rows = pd.DataFrame({"bytes": [sum(size for _, size in found)]})
        return Answer(rows, time.monotonic() - started, 0.0)

    def cold(self, spec: Spec) -> Answer:
        """Answer with nothing stored, then again from the store."""
        self.empty()
        with PeakMemory(lambda: [*self._processes.ids, self._postmaster]) as peak:
            rows, seconds = self.client.result(spec)
        stored = sorted(self.client.result(spec)[1] for _ in range(STORED_REPEATS))
        return Answer(rows, seconds, peak.megabytes, stored[STORED_REPEATS // 2])

    @property
    def _postmaster(self) -> int:
        return postmaster(self._country)


def forget_results(country: Country, kept: Set[str] = frozenset()) -> None:
    """Drop every result, released or not, except those ``kept`` by id.

    The maps of the cells stay.
    """
    connection = country.connect()
    with connection.cursor() as cursor:
        for table in ("jobs", "edges", "plan_parts"):
            cursor.execute(f"DELETE FROM engine.{table} WHERE NOT query_id = ANY (%s)", (list(kept),))
        drop_results(cursor)
    connection.close()
    for path in (country.cache / "results").glob("*/*.parquet"):
        if path.stem not in kept:
            path.unlink()


def postmaster(country: Country) -> int:
    """Process id of the country's database server."""
    return int((country.cluster.data / "postmaster.pid").read_text().splitlines()[0])


def drop_results(cursor: Any) -> None:
    """Drop the tables of results in schema ``cache``."""
    cursor.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'cache' AND tablename ~ '^[xi][0-9a-f]{32}$'"
    )
    for (name,) in cursor.fetchall():
        cursor.execute(f'DROP TABLE cache."{name}" CASCADE')
