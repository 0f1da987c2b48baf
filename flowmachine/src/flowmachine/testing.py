"""Fixtures and helpers of tests that run the engine: real processes over a real, loaded country."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import zmq

from flowdb.testing import Database as TestDatabase
from flowdb.testing import TestCluster

DEADLINE = 60.0


@pytest.fixture
def engine(database: TestDatabase) -> Iterator[sa.Engine]:
    """Connections to a fresh database as the engine's role."""
    engine = sa.create_engine(database.url("flowmachine"), pool_size=5, max_overflow=30)
    yield engine
    engine.dispose()


@dataclass(frozen=True)
class Country:
    """A database and a columnar folder with three days of a small synthetic country, loaded by the real loader."""

    database: TestDatabase
    columnar: Path

    def environment(self, cache: Path) -> dict[str, str]:
        """Variables of the engine's processes over this country, with an own folder of intermediate results."""
        return {
            **self.database.environment("flowmachine"),
            "FLOWDB_COLUMNAR_PATH": str(self.columnar),
            "FLOWMACHINE_CACHE_PATH": str(cache),
            "FLOWMACHINE_THREADS": "1",
            "FLOWMACHINE_MEMORY_LIMIT": "512MB",
            "FLOWMACHINE_LOG_LEVEL": "info",
        }


@pytest.fixture(scope="session")
def country(cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Country]:
    """The country, loaded once per session."""
    root = tmp_path_factory.mktemp("country")
    package = importlib.util.find_spec("flowetl")
    assert package is not None
    assert package.origin is not None
    sources = Path(package.origin).parent / "sources" / "synthetic"
    with cluster.database() as database:
        environment = {
            **os.environ,
            **database.environment("flowdb"),
            "FLOWDB_COLUMNAR_PATH": str(root / "columnar"),
            "FLOWETL_LANDING": str(root / "landing"),
            "FLOWETL_SOURCES": str(sources),
            "FLOWETL_PSEUDONYM_KEY": "5a" * 32,
        }
        span = ["--start", "2016-01-01", "--end", "2016-01-03"]
        for command in (
            [
                "flowdb.synthetic",
                "--output",
                str(root / "landing"),
                "--subscribers",
                "1500",
                "--days",
                "3",
                "--quiet",
            ],
            ["flowetl", "geography", str(root / "landing")],
            ["flowetl", "backfill", "--source", "all", *span],
        ):
            subprocess.run([sys.executable, "-m", *command], env=environment, check=True, capture_output=True)
        yield Country(database, root / "columnar")


@dataclass
class Client:
    """A requester on the engine's socket, as the HTTP API is one."""

    port: int
    context: zmq.Context[Any] = field(default_factory=zmq.Context)

    def ask(self, action: str, **params: Any) -> dict[str, Any]:
        """One request and its reply."""
        message = {"action": action, "request_id": str(uuid.uuid4()), "params": params}
        return self.send(json.dumps(message).encode())

    def send(self, message: bytes, timeout: float = 15.0) -> dict[str, Any]:
        """One message as it is, and its reply."""
        with closing(self.context.socket(zmq.REQ)) as requester:
            requester.linger = 0
            requester.connect(f"tcp://127.0.0.1:{self.port}")
            requester.send(message)
            if not requester.poll(timeout * 1000):
                raise TimeoutError("the server did not answer")
            reply: dict[str, Any] = json.loads(requester.recv())
            return reply

    def until_done(self, query_id: str) -> str:
        """Poll until the query is neither queued nor executing; its state."""

        def finished() -> str | None:
            state = self.ask("poll_query", query_id=query_id)["payload"]["query_state"]
            return None if state in ("queued", "executing") else str(state)

        return wait_for(finished)


def wait_for(condition: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """The first true value of the condition; fails after the deadline."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError("the condition did not come true in time")


@dataclass
class Processes:
    """Engine processes over one country, ended with the test."""

    country: Country
    folder: Path
    stack: ExitStack
    port: int = 0

    def start(self, command: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start ``server`` or ``worker``; its log goes to a file in the folder."""
        log = self.stack.enter_context((self.folder / f"{command}-{uuid.uuid4().hex[:6]}.log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "flowmachine", command],
            env={
                **os.environ,
                **self.country.environment(self.folder / "cache"),
                "FLOWMACHINE_PORT": str(self.port),
                **settings,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.stack.callback(end, process)
        return process

    def logs(self) -> str:
        """Everything that the processes wrote."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def client(self) -> Client:
        """A client, once the server answers."""
        client = Client(self.port)
        self.stack.callback(client.context.term)

        def answers() -> bool:
            try:
                return bool(client.send(b'{"action": "ping", "request_id": "1"}', timeout=1)["msg"] == "pong")
            except TimeoutError:
                return False

        wait_for(answers)
        return client


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process, first politely."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def processes(country: Country, tmp_path: Path) -> Iterator[Processes]:
    """Starts engine processes; the job table is empty before each test."""
    engine = sa.create_engine(country.database.url("flowdb"))
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE engine.jobs, engine.edges, engine.plan_parts, engine.inputs"))
    engine.dispose()
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ExitStack() as stack:
        yield Processes(country, tmp_path, stack, port)
