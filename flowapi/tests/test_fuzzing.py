"""Requests drawn from the published description, over a real socket and the real engine: none ends in a fault."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from flowapi.app import create_app
from flowapi.server import hypercorn_config, serve_until
from flowapi.services import services_of
from flowapi.settings import Settings, parse_public_keys
from flowapi.testing import TokenBuilder
from flowmachine.testing import Processes, wait_for


@pytest.fixture(scope="module")
def url(
    country: Any,
    tokens: TokenBuilder,
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
) -> Iterator[str]:
    """The address of an API with engine and worker behind it."""
    database = country.database.url("flowapi")
    with ExitStack() as stack:
        processes = Processes(country, tmp_path_factory.mktemp("engine"), stack, free_port())
        processes.start("server")
        processes.start("worker")
        processes.client()
        settings = Settings(
            identifier=tokens.audience,
            public_keys=parse_public_keys(tokens.public_key),
            engine_host="127.0.0.1",
            engine_port=processes.port,
            database_host=database.host or "",
            database_port=database.port or 0,
            database_user=database.username or "",
            database_password=str(database.password),
            database_name=database.database or "",
            port=free_port(),
        )
        loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

        async def serve() -> None:
            stop = asyncio.Event()
            loops.append((asyncio.get_running_loop(), stop))
            app = create_app(settings)
            await serve_until(stop, app, hypercorn_config(settings, services_of(app)))

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        address = f"http://127.0.0.1:{settings.port}"
        try:
            wait_for(lambda: _answers(address))
            yield address
        finally:
            loop, stop = loops[0]
            loop.call_soon_threadsafe(stop.set)
            thread.join()


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.ConnectionError:
        return False


def test_no_request_ends_in_a_fault(url: str, tokens: TokenBuilder) -> None:
    document = requests.get(f"{url}/api/0/spec/openapi.json", timeout=10).json()
    scopes = document["components"]["securitySchemes"]["token"]["x-security-scopes"]
    headers = tokens.header({"everything": scopes})
    # All kinds together nest too deeply to draw from in reasonable time; the engine's own tests fuzz the rest.
    names = ("UniqueSubscriberCounts", "TripsODMatrix", "TotalNetworkObjects")
    kinds = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    document["components"]["schemas"]["FlowmachineQuerySchema"] = {"oneOf": kinds}
    answered: set[tuple[str, int]] = set()
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()

        @hypothesis.settings(
            max_examples=25,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            response = case.call(base_url=url, headers=headers)
            answered.add((case.operation.path, response.status_code))
            case.validate_response(
                response,
                headers=headers,
                checks=[not_a_server_error, status_code_conformance, response_schema_conformance],
            )

        check()
    assert {path for path, _ in answered} == set(document["paths"])
    assert ("/api/0/run", 400) in answered
