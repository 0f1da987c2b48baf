"""Provide fixtures that run real engine processes over a real, loaded country."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import zmq

from flowdb.testing import Database as TestDatabase
from flowdb.testing import TestCluster
from flowsettings import channel

DEADLINE = 60.0


@pytest.fixture
def engine(database: TestDatabase) -> Iterator[sa.Engine]:
    """Provide connections to a fresh database as the engine's role."""
    engine = sa.create_engine(database.url("flowmachine"), pool_size=5, max_overflow=30)
    yield engine
    engine.dispose()


@dataclass(frozen=True)
class Country:
    """Hold a small synthetic country: database and columnar folder.

    The real loader has loaded three days.
    """

    database: TestDatabase
    root: Path

    @property
    def columnar(self) -> Path:
        return self.root / "columnar"

    def load(self, *arguments: str) -> None:
        """Run the loader with these arguments.

        The operator's files have one day more than is loaded.
        """
        package = importlib.util.find_spec("flowetl")
        assert package is not None
        assert package.origin is not None
        run_module(
            "flowetl",
            *arguments,
            **self.database.environment("flowdb"),
            FLOWDB_COLUMNAR_PATH=str(self.columnar),
            FLOWETL_LANDING=str(self.root / "landing"),
            FLOWETL_SOURCES=str(Path(package.origin).parent / "sources" / "synthetic"),
            FLOWETL_PSEUDONYM_KEY="6c43df135a998cf74c2277557c6c3f42a25a3912305ca537963fcd68fcd7660b",
        )

    def environment(self, cache: Path) -> dict[str, str]:
        """Return the environment of engine processes over this country.

        Each has its own folder of intermediate results.
        """
        return {
            **self.database.environment("flowmachine"),
            "FLOWDB_COLUMNAR_PATH": str(self.columnar),
            "FLOWMACHINE_CACHE_PATH": str(cache),
            "FLOWMACHINE_THREADS": "1",
            "FLOWMACHINE_MEMORY_LIMIT": "512MB",
            "FLOWMACHINE_LOG_LEVEL": "info",
            "FLOWMACHINE_KEY": KEY,
            # So few people make answers about different things near each other. Tests of the ledger switch
            # it on.
            "FLOWMACHINE_DIFFERENCES": "off",
        }


def run_module(module: str, *arguments: str, **settings: str) -> str:
    """Run ``python -m module`` to its end; return its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


@pytest.fixture(scope="session")
def country(cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Country]:
    """Provide the country, loaded once per session; tests must not change its data."""
    root = tmp_path_factory.mktemp("country")
    with cluster.database() as database:
        loaded = Country(database, root)
        landing = str(root / "landing")
        run_module("flowdb.synthetic", "--output", landing, "--subscribers", "1500", "--days", "4", "--quiet")
        loaded.load("geography", landing)
        make_population(database)
        loaded.load("backfill", "--source", "all", "--start", "2016-01-01", "--end", "2016-01-03")
        yield loaded


def make_population(database: TestDatabase) -> None:
    """Make the table of the people in each district that examples of kinds name."""
    statements = (
        "CREATE TABLE geography.population AS SELECT admin3pcod AS pcod, 1000 AS population FROM geography.admin3",
        "SELECT etl.allow_unit_table('geography.population')",
    )
    with closing(database.connect("flowdb")) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def own_country(country: Country, cluster: TestCluster, tmp_path: Path) -> Iterator[Country]:
    """Provide a copy of the country whose data the test may change."""
    root = tmp_path / "country"
    root.mkdir()
    shutil.copytree(country.columnar, root / "columnar")
    (root / "landing").symlink_to(country.root / "landing")
    with replace(cluster, template=country.database.name).database() as database:
        forget_jobs(database)
        yield Country(database, root)


def forget_jobs(database: TestDatabase) -> None:
    """Empty the job table, because earlier tests may have left results."""
    engine = sa.create_engine(database.url("flowdb"))
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE engine.jobs, engine.edges, engine.plan_parts"))
    engine.dispose()


#: Run in a transaction, this keeps workers from recording results until the transaction ends, because they
#: need the number of a touch.
HOLD_RECORDING = "ALTER SEQUENCE engine.touches INCREMENT BY 1"


#: The secret of the tests' engines.
KEY = hashlib.sha256(b"the engine of a test").hexdigest()


@dataclass
class Client:
    """Send requests to the engine's socket as the HTTP API does."""

    port: int
    context: zmq.Context[Any] = field(default_factory=zmq.Context)

    def ask(self, action: str, *, timeout: float = 15.0, **params: Any) -> dict[str, Any]:
        """Send one request and return its reply."""
        message = {"action": action, "request_id": str(uuid.uuid4()), "params": params}
        return self.send(json.dumps(message).encode(), timeout)

    def send(self, message: bytes, timeout: float = 15.0) -> dict[str, Any]:
        """Send one message unchanged and return its reply."""
        with closing(self.context.socket(zmq.REQ)) as requester:
            requester.linger = 0
            channel.connect(requester, KEY)
            requester.connect(f"tcp://127.0.0.1:{self.port}")
            requester.send(message)
            if not requester.poll(timeout * 1000):
                raise TimeoutError("the server did not answer")
            reply: dict[str, Any] = json.loads(requester.recv())
            return reply

    def until_done(self, query_id: str) -> str:
        """Poll until the query is neither queued nor executing; return its state."""

        def finished() -> str | None:
            state = self.ask("poll_query", query_id=query_id)["payload"]["query_state"]
            return None if state in ("queued", "executing") else str(state)

        return wait_for(finished)


def wait_for(condition: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """Return the first true value of the condition; fail after the deadline."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError("the condition did not come true in time")


def free_port() -> int:
    """Return a port that nothing listens on at this moment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Processes:
    """Run engine processes over one country and end them with the test."""

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
        """Return everything that the processes logged."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def lines(self) -> list[dict[str, Any]]:
        """Return the logs' structured lines, without an unfinished line."""
        whole = (line for line in self.logs().splitlines(keepends=True) if line.endswith("}\n"))
        return [json.loads(line) for line in whole if line.startswith("{")]

    def computed(self, number: int) -> list[dict[str, Any]]:
        """Wait for ``number`` log lines about computations and return them.

        A worker logs after others can see the result.
        """

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines() if line["event"] == "computed"]

        wait_for(lambda: len(found()) >= number)
        return found()

    def client(self) -> Client:
        """Return a client once the server answers."""
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
    """Provide a way to start engine processes, with an empty job table."""
    forget_jobs(country.database)
    with ExitStack() as stack:
        yield Processes(country, tmp_path, stack, free_port())
