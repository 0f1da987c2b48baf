"""Fixtures of the client's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

for folder in (Path(__file__).parents[1] / "tools", Path(__file__).parent / "support"):
    sys.path.insert(0, str(folder))

from flowclient_stub import SPEC, Shell, StubServer, make_token  # noqa: E402


@pytest.fixture
def server() -> Iterator[StubServer]:
    stub = StubServer()
    yield stub
    stub.stop()


@pytest.fixture
def token() -> str:
    """A token of an hour from now, on which tests rely."""
    return make_token(
        {
            "analyst": [
                "admin2:flows:flows",
                "admin3:spatial_aggregate:spatial_aggregate",
                "get_result",
                "run",
            ],
            "reader": ["admin0:flows:flows", "get_result"],
        }
    )


@pytest.fixture(params=["blocking", pytest.param("asynchronous", marks=pytest.mark.slow)])
def shell(request: pytest.FixtureRequest) -> Iterator[Shell]:
    each = Shell(asynchronous=request.param == "asynchronous")
    yield each
    each.close()


@pytest.fixture
def connection(shell: Shell, server: StubServer, token: str) -> Any:
    return shell.connect(server.url, token)


@pytest.fixture
def query(connection: Any) -> Any:
    return connection.make_api_query(SPEC)
