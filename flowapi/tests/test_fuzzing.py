"""Send requests drawn from the published description; none may end in a fault.

They go over a real socket to the real engine.
"""

from __future__ import annotations

import asyncio
import copy
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
from flowmachine.testing import KEY, Processes, wait_for

LOADED_DAYS = ["2016-01-01", "2016-01-02", "2016-01-03"]

#: Paths whose requests are specs.
TAKE_SPECS = ("/api/0/run", "/api/0/explain")


@pytest.fixture(scope="module")
def url(
    country: Any,
    tokens: TokenBuilder,
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
) -> Iterator[str]:
    """Provide the address of an API with engine and worker behind it."""
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
            engine_key=KEY,
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


def bounded(document: dict[str, Any], kind: str, turn: int, *, tame: bool) -> dict[str, Any]:
    """Limit the description to one kind and to nesting that can be drawn quickly.

    Of each union of kinds one member remains, a different member at each turn. A tame description has only
    required fields and loaded days, so that many of its examples can be computed.
    """
    found = copy.deepcopy(document)
    schemas = found["components"]["schemas"]
    for name, schema in schemas.items():
        if tame and "query_kind" in schema.get("properties", {}):
            schema["properties"] = {
                field: {"enum": LOADED_DAYS} if _is_moment(value) else value
                for field, value in schema["properties"].items()
                if field in schema["required"]
            }
        for value in schema.get("properties", {}).values():
            if value.get("type") == "array" and "$ref" in str(value["items"]):
                # A list of queries that hold lists of queries would be drawn for minutes.
                value["maxItems"] = max(value.get("minItems", 0), 2)
        # All alternative forms of a value, such as the bounds of a range, remain.
        members = [member["$ref"] for member in schema.get("oneOf", ()) if "$ref" in member]
        if members:
            chosen = members[turn % len(members)]
            if name == "FlowmachineQuerySchema":
                chosen = f"#/components/schemas/{kind}"
            schema["oneOf"] = [{"$ref": chosen}]
            schema.pop("discriminator", None)
    return found


def _is_moment(schema: dict[str, Any]) -> bool:
    """Return whether a field is a date or a moment."""
    return schema.get("format") in ("date", "date-time")


def kinds_in(body: Any) -> Iterator[str]:
    """Yield the kinds of a spec and of its nested specs."""
    if isinstance(body, dict):
        if isinstance(body.get("query_kind"), str):
            yield body["query_kind"]
        for value in body.values():
            yield from kinds_in(value)
    elif isinstance(body, list):
        for value in body:
            yield from kinds_in(value)


class Caller:
    """Send requests drawn from a description and keep the answers."""

    def __init__(self, url: str, tokens: TokenBuilder) -> None:
        self.document = requests.get(f"{url}/api/0/spec/openapi.json", timeout=10).json()
        scopes = self.document["components"]["securitySchemes"]["token"]["x-security-scopes"]
        self._headers = tokens.header({"everything": scopes}, lifetime=3600)
        self._url = url
        self.answered: set[tuple[str, int]] = set()
        self.drawn: set[str] = set()

    def draw(self, document: dict[str, Any], examples: int, wanted: Callable[[str], bool]) -> None:
        """Send examples of every operation on a wanted path."""
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = found.ok()
            if not wanted(operation.path):
                continue

            @hypothesis.settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                # Report a failing request as drawn, because shrinking would take minutes.
                phases=[hypothesis.Phase.generate],
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            @hypothesis.given(case=operation.as_strategy())
            def check(case: schemathesis.Case) -> None:
                response = case.call(base_url=self._url, headers=self._headers)
                self.answered.add((case.operation.path, response.status_code))
                self.drawn.update(kinds_in(case.body))
                case.validate_response(
                    response,
                    headers=self._headers,
                    checks=[not_a_server_error, status_code_conformance, response_schema_conformance],
                )

            check()


def test_no_request_ends_in_a_fault(url: str, tokens: TokenBuilder) -> None:
    caller = Caller(url, tokens)
    caller.draw(
        bounded(caller.document, "UniqueSubscriberCounts", 0, tame=False),
        25,
        lambda path: path not in TAKE_SPECS,
    )
    assert {path for path, _ in caller.answered} == set(caller.document["paths"]) - set(TAKE_SPECS)


def test_no_spec_of_any_kind_ends_in_a_fault(url: str, tokens: TokenBuilder) -> None:
    caller = Caller(url, tokens)
    schemas = caller.document["components"]["schemas"]
    submittable = [member["$ref"].rsplit("/", 1)[1] for member in schemas["FlowmachineQuerySchema"]["oneOf"]]
    for turn, kind in enumerate(submittable):
        for tame in (False, True):
            caller.draw(bounded(caller.document, kind, turn, tame=tame), 2, lambda path: path in TAKE_SPECS)
    # One kind accepts every metric and every location.
    for turn in range(len(schemas["JoinableMetrics"]["oneOf"])):
        description = bounded(caller.document, "JoinedSpatialAggregate", turn, tame=True)
        caller.draw(description, 2, lambda path: path in TAKE_SPECS)
    kinds = {
        value
        for schema in schemas.values()
        for value in schema.get("properties", {}).get("query_kind", {}).get("enum", ())
    }
    assert caller.drawn == kinds
    assert caller.answered >= {(path, 400) for path in TAKE_SPECS} | {
        ("/api/0/run", 202),
        ("/api/0/explain", 200),
    }
