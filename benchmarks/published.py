"""Install the published engine and run it against the same database.

It has a separate environment and a separate Redis.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import psycopg2.errors
from cluster import free_port
from layout import default_state

from benchmarks.country import Country
from benchmarks.engine import (
    START_LIMIT,
    Answer,
    Client,
    DidNotStart,
    EngineFailed,
    Processes,
    TookTooLong,
    drop_results,
    postmaster,
)
from benchmarks.memory import PeakMemory
from benchmarks.questions import Spec

VERSION = "1.34.0"
REQUIREMENTS = Path(__file__).parent / "published" / "requirements.txt"
_REDIS_PASSWORD = "benchmark"


class NotAvailable(RuntimeError):
    """The published engine cannot be run here; the text says why."""


def install() -> Path:
    """Return the published engine's environment, made on first use.

    Raises NotAvailable.
    """
    if shutil.which("redis-server") is None:
        raise NotAvailable("redis-server is not installed (Debian package redis-server)")
    # Its requirement of an old pglast is left aside: that version builds from sources which need another compiler.
    return environment_of("published", REQUIREMENTS)


def environment_of(name: str, requirements: Path) -> Path:
    """Return an environment with exactly the packages of a file, made on first use.

    Raises NotAvailable.
    """
    folder = default_state() / "bench" / name / "venv"
    stamp = folder / "requirements.txt"
    wanted = requirements.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    for command in (
        ["uv", "venv", "--quiet", "--python", "3.11", str(folder)],
        ["uv", "pip", "install", "--quiet", "--no-deps", "--python", str(python), "-r", str(requirements)],
    ):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
            )
        except FileNotFoundError:
            raise NotAvailable("uv is not installed") from None
        if done.returncode:
            raise NotAvailable(f"`{' '.join(command[:3])}` failed: {done.stderr.strip()[-500:]}")
    stamp.write_text(wanted)
    return folder


class Published:
    """Run the published server over a country.

    It is started again for each question, so that it remembers nothing.
    """

    def __init__(self, country: Country) -> None:
        self._country = country
        self._environment = install()

    def __enter__(self) -> Published:
        port = free_port()
        self._redis_port = str(port)
        self._redis = Processes(self._country.folder / "logs" / "redis.log")
        self._redis.start(
            [
                *(
                    "redis-server",
                    "--port",
                    str(port),
                    "--bind",
                    "127.0.0.1",
                    "--requirepass",
                    _REDIS_PASSWORD,
                ),
                *("--save", "", "--appendonly", "no", "--dir", str(self._country.folder)),
            ],
            os.environ,
        )
        end = time.monotonic() + START_LIMIT
        while self._redis_command("PING").strip() != "PONG":
            if time.monotonic() > end:
                self._redis.end()
                raise NotAvailable("redis-server does not answer")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.end()

    def cold(self, spec: Spec, limit: float = 3600.0) -> Answer:
        """Answer with nothing stored."""
        self._empty()
        port = free_port()
        inherited = self._country.environment()
        # The published engine would find our package of the same name first.
        inherited.pop("PYTHONPATH", None)
        environment = {
            **inherited,
            "FLOWMACHINE_PORT": str(port),
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": self._redis_port,
            "REDIS_PASSWORD": _REDIS_PASSWORD,
        }
        server = Processes(self._country.folder / "logs" / "published.log")
        client = Client(self._country, port, waits=False)
        try:
            server.start([str(self._environment / "bin" / "flowmachine")], environment)
            client.wait_until_up(server)
            try:
                client.ask("get_available_dates", {}, START_LIMIT)
            except TookTooLong as error:
                raise DidNotStart(str(error)) from None
            with PeakMemory(lambda: [*server.ids, postmaster(self._country)]) as peak:
                rows, seconds = client.result(spec, limit)
        except psycopg2.errors.UndefinedTable as error:
            raise EngineFailed(str(error)) from error
        finally:
            client.close()
            server.end()
        return Answer(rows, seconds, peak.megabytes)

    def _empty(self) -> None:
        self._redis_command("FLUSHALL")
        connection = self._country.connect()
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE cache.cached, cache.dependencies")
            drop_results(cursor)
        connection.close()

    def _redis_command(self, command: str) -> str:
        """The reply of Redis, empty while it does not answer."""
        told = ["redis-cli", "-p", self._redis_port, "--no-auth-warning", "-a", _REDIS_PASSWORD, command]
        return subprocess.run(told, capture_output=True, text=True).stdout
