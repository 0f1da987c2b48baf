"""Share keys, tokens, settings and log readers among the API's tests."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from loaded_country import EVERYTHING
from quart.typing import TestClientProtocol as Client

from flowapi.app import create_app
from flowapi.logs import Logs
from flowapi.settings import Settings, parse_public_keys
from flowapi.testing import TokenBuilder
from flowmachine.testing import KEY, Processes, country

__all__ = ["country"]

SERVER_NAME = "test_server"


@dataclass
class Captured:
    """Hold the log lines written so far, by stream."""

    audit: io.StringIO = field(default_factory=io.StringIO)
    debug: io.StringIO = field(default_factory=io.StringIO)

    def logs(self) -> Logs:
        return Logs("error", audit=self.audit, debug=self.debug)

    def lines(self, logger: str, **fields: Any) -> list[dict[str, Any]]:
        """Return audit lines of ``flowapi.<logger>`` that have these fields."""
        lines = [json.loads(line) for line in self.audit.getvalue().splitlines()]
        return [
            line for line in lines if line["logger"] == f"flowapi.{logger}" and fields.items() <= line.items()
        ]

    def events(self, logger: str) -> list[str]:
        return [line["event"] for line in self.lines(logger)]

    def clear(self) -> None:
        for stream in (self.audit, self.debug):
            stream.seek(0)
            stream.truncate()

    @property
    def text(self) -> str:
        return self.audit.getvalue() + self.debug.getvalue()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def tokens() -> TokenBuilder:
    """Provide tokens that the server under test accepts."""
    return TokenBuilder.create(SERVER_NAME)


@pytest.fixture(scope="session")
def foreign_tokens() -> TokenBuilder:
    """Provide tokens for the same server name with another key."""
    return TokenBuilder.create(SERVER_NAME)


@pytest.fixture
def captured() -> Captured:
    return Captured()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Provide ports that nothing listens on at that moment."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Provide a port that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def lonely_settings(tokens: TokenBuilder, silent_port: int, free_port: Callable[[], int]) -> Settings:
    """Provide settings of an API with a silent engine and no database."""
    return Settings(
        identifier=SERVER_NAME,
        public_keys=parse_public_keys(tokens.public_key),
        engine_host="127.0.0.1",
        engine_port=silent_port,
        engine_key=KEY,
        engine_timeout=0.3,
        run_timeout=0.3,
        database_host="127.0.0.1",
        database_port=free_port(),
        database_user="flowapi",
        database_password="nothing to open",
        max_body=64 * 1024,
        cancel_enabled=True,
    )


@pytest.fixture(scope="module")
def engine(
    country: Any, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Processes]:
    """Provide a server and a worker over the country, with an empty job table."""
    with country.database.connect("flowdb") as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE engine.jobs, engine.edges, engine.plan_parts")
    connection.close()
    with ExitStack() as stack:
        processes = Processes(country, tmp_path_factory.mktemp("engine"), stack, free_port())
        processes.start("server")
        processes.start("worker")
        processes.client()
        yield processes


@pytest.fixture(scope="module")
def settings(engine: Processes, tokens: TokenBuilder) -> Settings:
    url = engine.country.database.url("flowapi")
    return Settings(
        identifier=tokens.audience,
        public_keys=parse_public_keys(tokens.public_key),
        engine_host="127.0.0.1",
        engine_port=engine.port,
        engine_key=KEY,
        database_host=url.host or "",
        database_port=url.port or 0,
        database_user=url.username or "",
        database_password=str(url.password),
        database_name=url.database or "",
        cancel_enabled=True,
    )


@pytest.fixture
async def client(settings: Settings, captured: Any) -> AsyncIterator[Client]:
    async with create_app(settings, captured.logs()).test_app() as running:
        yield running.test_client()


@pytest.fixture
def headers(tokens: TokenBuilder) -> dict[str, str]:
    """Return the header of a token with every scope that the tests use."""
    return tokens.header({"everything": EVERYTHING})
