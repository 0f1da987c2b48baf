"""Check every route's answers to refused callers and with failed neighbours.

The tests iterate over the application's own routes, so that a new route is covered.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from quart import Quart
from quart.typing import TestClientProtocol as Client

from flowapi.app import create_app
from flowapi.openapi import operations_of
from flowapi.recording import HEALTH_ROUTES
from flowapi.settings import Settings
from flowapi.testing import TokenBuilder

pytestmark = pytest.mark.anyio

PUBLIC = {
    "/",
    "/api/0/health/live",
    "/api/0/health/ready",
    "/.well-known/oauth-protected-resource",
    "/api/0/spec/openapi.json",
    "/api/0/spec/openapi.yaml",
    "/api/0/spec/redoc",
}
SIMPLE_SCOPES = {"run", "get_result", "get_available_dates", "get_qa_checks", "cancel"}
ARGUMENTS = {
    "query_id": "0" * 32,
    "aggregation_unit": "admin3",
    "cdr_type": "calls",
    "check_id": "count",
    "check_date": "2016-01-01",
}
SPEC = {"query_kind": "dummy_query", "dummy_param": "x", "aggregation_unit": "admin3"}


@pytest.fixture
def app(lonely_settings: Settings, captured: Any) -> Quart:
    return create_app(lonely_settings, captured.logs())


@pytest.fixture
async def client(app: Quart) -> AsyncIterator[Client]:
    async with app.test_app() as running:
        yield running.test_client()


def routes(app: Quart) -> list[tuple[str, str, str]]:
    """Return method, pattern and an example path of every route."""
    adapter = app.url_map.bind("")
    found = []
    for rule in app.url_map.iter_rules():
        path = adapter.build(rule.endpoint, {name: ARGUMENTS[name] for name in rule.arguments})
        found += [(method, rule.rule, path) for method in sorted((rule.methods or set()) - {"HEAD"})]
    return found


async def call(
    client: Client, method: str, path: str, headers: dict[str, str] | None = None
) -> tuple[int, Any, Any]:
    response = await client.open(
        path, method=method, headers=headers, json=SPEC if method == "POST" else None
    )
    body = await response.get_data()
    assert response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    if response.status_code >= 400:
        assert response.mimetype == "application/json"
        document = json.loads(body)
        assert isinstance(document["msg"], str)
        assert document["msg"]
        assert "Traceback" not in body.decode()
        return response.status_code, document, response.headers
    return response.status_code, body, response.headers


def test_the_public_routes_are_these(app: Quart) -> None:
    public = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if getattr(app.view_functions[rule.endpoint], "is_public", False)
    }
    assert public == PUBLIC


def test_every_protected_route_is_documented(app: Quart) -> None:
    documented = {
        (operation.method.upper(), operation.path.replace("{", "<").replace("}", ">"))
        for operation in operations_of(app)
        if not operation.path.endswith("{filetype}")
    }
    assert documented == {(method, rule) for method, rule, _ in routes(app) if rule not in PUBLIC}


@pytest.fixture
def bad_headers(tokens: TokenBuilder, foreign_tokens: TokenBuilder) -> dict[str, dict[str, str]]:
    everything = {"all": sorted(SIMPLE_SCOPES)}
    return {
        "none": {},
        "malformed": {"Authorization": "Bearer of good news"},
        "expired": tokens.header(everything, lifetime=-3600),
        "foreign key": foreign_tokens.header(everything),
        "foreign audience": tokens.header(everything, aud="another_server"),
        "refresh": tokens.header(everything, type="refresh"),
    }


EVENTS = {"none": "UNAUTHORISED", "expired": "EXPIRED_TOKEN"}


@pytest.mark.parametrize(
    "kind", ["none", "malformed", "expired", "foreign key", "foreign audience", "refresh"]
)
async def test_no_protected_route_takes_a_bad_token(
    app: Quart,
    client: Client,
    bad_headers: dict[str, dict[str, str]],
    kind: str,
    captured: Any,
) -> None:
    for method, rule, path in routes(app):
        if rule in PUBLIC:
            continue
        captured.clear()
        code, _, headers = await call(client, method, path, bad_headers[kind])
        assert code == 401, (method, rule)
        expected = "Bearer" if kind == "none" else 'Bearer error="invalid_token"'
        assert headers["WWW-Authenticate"] == expected
        assert captured.events("access") == [
            "user load attempted",
            EVENTS.get(kind, "INVALID_TOKEN"),
            "request finished",
        ]
        assert captured.events("query") == []
        [closing] = captured.lines("access", event="request finished")
        assert closing["status"] == 401
        assert closing["request"]["request_id"] == headers["X-Request-ID"]
        token = bad_headers[kind].get("Authorization", "Bearer -----").split()[-1]
        assert token not in captured.text


async def test_a_token_without_the_scope_is_refused_before_the_engine_is_asked(
    app: Quart, client: Client, tokens: TokenBuilder, captured: Any
) -> None:
    """Check the refusal with a silent engine: any answer but 503 avoided the engine."""
    for roles in ({}, {"none": []}, {"other": ["admin3:flows:flows"]}):
        for method, rule, path in routes(app):
            if rule in PUBLIC or "query_id" in rule:
                continue
            captured.clear()
            code, _, _ = await call(client, method, path, tokens.header(roles))
            assert code == 403, (method, rule)
            assert captured.events("query") == []
            [refused] = captured.lines("access", event="CLAIMS_VERIFICATION_FAILED")
            assert refused["requested_scopes"]
            assert set(refused["lacking"]) == set(roles)


async def test_scopes_of_two_roles_are_not_added_up(client: Client, tokens: TokenBuilder) -> None:
    split = tokens.header({"one": ["get_result"], "two": ["admin3:geography:geography"]})
    whole = tokens.header({"one": ["get_result", "admin3:geography:geography"]})
    assert (await call(client, "GET", "/api/0/geography/admin3", split))[0] == 403
    assert (await call(client, "GET", "/api/0/geography/admin3", whole))[0] == 503


@pytest.mark.slow
async def test_an_engine_that_is_away_is_503_wherever_it_is_needed(
    app: Quart, client: Client, tokens: TokenBuilder, captured: Any
) -> None:
    headers = tokens.header(
        {"all": [*SIMPLE_SCOPES, "admin3:dummy_query:dummy_query", "admin3:geography:geography"]}
    )
    for method, rule, path in routes(app):
        if rule in PUBLIC:
            continue
        captured.clear()
        query = "?start_date=2016-01-01&end_date=2016-01-02" if rule.endswith("<check_id>") else ""
        code, document, answered = await call(client, method, path + query, headers)
        assert code == 503, (method, rule)
        assert document["status"] == "error"
        assert int(answered["Retry-After"]) > 0
        [closing] = captured.lines("access", event="request finished")
        assert closing["engine_seconds"] > 0.2
        assert closing["request"]["user"] == "test"


async def test_public_routes_answer_without_token_and_engine(
    app: Quart, client: Client, captured: Any
) -> None:
    codes = {}
    for rule in sorted(PUBLIC):
        captured.clear()
        codes[rule], _, _ = await call(client, "GET", rule)
        # A health check that finds all well fills no log.
        quiet = rule in HEALTH_ROUTES and codes[rule] == 200
        assert captured.events("access") == ([] if quiet else ["request finished"])
    assert codes == {
        "/": 200,
        "/.well-known/oauth-protected-resource": 200,
        "/api/0/health/live": 200,
        "/api/0/health/ready": 503,
        "/api/0/spec/openapi.json": 503,
        "/api/0/spec/openapi.yaml": 503,
        "/api/0/spec/redoc": 503,
    }


async def test_the_server_names_its_audience_and_its_auth_app(
    lonely_settings: Settings, captured: Any
) -> None:
    for address in (None, "https://flowauth.example.org"):
        settings = lonely_settings.model_copy(update={"auth_app_url": address})
        async with create_app(settings, captured.logs()).test_app() as app:
            _, body, _ = await call(app.test_client(), "GET", "/.well-known/oauth-protected-resource")
        document = json.loads(body)
        assert document["audience"] == lonely_settings.identifier
        assert document.get("authorization_servers") == (None if address is None else [address])


async def test_a_silent_engine_is_waited_for_once_by_all_who_want_the_description(
    client: Client, captured: Any
) -> None:
    paths = ["openapi.json", "openapi.yaml", "redoc"] * 3
    answers = await asyncio.gather(*(call(client, "GET", f"/api/0/spec/{path}") for path in paths))
    assert {code for code, _, _ in answers} == {503}
    assert all(int(headers["Retry-After"]) > 0 for _, _, headers in answers)
    closing = captured.lines("access", event="request finished")
    assert len(closing) == len(paths)
    assert [line["engine_seconds"] > 0.2 for line in closing].count(True) == 1


async def test_readiness_names_the_parts_that_fail(client: Client) -> None:
    _, document, _ = await call(client, "GET", "/api/0/health/ready")
    assert document["parts"] == {"engine": "silent", "database": "down", "key": "ok"}
    assert document["cures"].keys() == {"engine", "database"}
    assert document["msg"].startswith(
        "Not ready: engine silent, database down. Look at the log of flowmachine."
    )


async def test_the_heartbeat_is_empty(client: Client) -> None:
    assert (await call(client, "GET", "/"))[1] == b""


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/0/", 404),
        ("GET", "/api/1/available_dates", 404),
        ("GET", "/api/0//available_dates", 404),
        ("GET", "/api/0/poll/a/b", 404),
        ("GET", "/api/0/qa/calls/%00/2016-01-01", 404),
        ("GET", "/api/0/geography/%00", 404),
        ("GET", "/api/0/run", 405),
        ("DELETE", "/api/0/run", 405),
        ("OPTIONS", "/api/0/run", 405),
        ("POST", "/", 405),
    ],
)
async def test_paths_and_methods_that_are_not_there(
    client: Client, method: str, path: str, code: int
) -> None:
    answered, _, headers = await call(client, method, path)
    assert answered == code
    assert ("Allow" in headers) == (code == 405)


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"{not json", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"text"', "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"query_kind": null}', "application/json", 400),
        (b'{"query_kind": ["flows"]}', "application/json", 400),
        (b'{"query_kind": "flows", "x": NaN}', "application/json", 400),
        (b'{"query_kind": "flows", "x": 1e400}', "application/json", 400),
        (b'{"query_kind": "flows", "x": [-1E+400]}', "application/json", 400),
        (b'{"query_kind": "flows", "x": ' + b"[" * 200 + b"]" * 200 + b"}", "application/json", 400),
        (b'{"query_kind": "flows", "x": ' + b"[" * 900 + b"]" * 900 + b"}", "application/json", 400),
        (b'{"query_kind": "flows", "x": ' + b"[" * 199 + b"]" * 199 + b"}", "application/json", 503),
        (b'{"query_kind": "flows", "x": ["\\u0000"]}', "application/json", 400),
        (b'{"query_kind": "flows", "\\ud800": 1}', "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b'{"query_kind": "flows", "x": 1' + b"0" * 5_000 + b"}", "application/json", 400),
        (b"{}", "text/plain", 400),
        (b"{}", "application/x-www-form-urlencoded", 400),
        (b'{"query_kind": "flows", "x": "' + b"a" * 65_536 + b'"}', "application/json", 413),
        (b'{"query_kind": "no such kind"}', "application/json", 403),
    ],
    ids=lambda value: value[:30].decode("latin-1") if isinstance(value, bytes) else None,
)
async def test_bodies_that_are_no_spec(
    client: Client, tokens: TokenBuilder, body: bytes, content_type: str, code: int
) -> None:
    headers = tokens.header({"all": ["run", "admin3:flows:flows"]}) | {"Content-Type": content_type}
    response = await client.post("/api/0/run", headers=headers, data=body)
    assert response.status_code == code
    assert (await response.get_json())["msg"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/0/get/abc.txt", 400),
        ("/api/0/get/abc.json.csv", 400),
        ("/api/0/get/abc?safe=yes", 400),
        ("/api/0/get/a%20b", 404),
        ("/api/0/poll/a%20b", 404),
        ("/api/0/poll/a'b", 404),
        ("/api/0/poll/" + "a" * 129, 404),
        ("/api/0/poll/abc?wait=31", 400),
        ("/api/0/poll/abc?wait=nan", 400),
        ("/api/0/poll/abc?wait=soon", 400),
        ("/api/0/qa/calls/count", 400),
        ("/api/0/qa/calls/count?start_date=2016-01-01", 400),
        ("/api/0/qa/calls/count?start_date=2016-01-01&end_date=20160102", 400),
        ("/api/0/qa/calls/count?start_date=2016-01-01&end_date=2016-02-30", 400),
        ("/api/0/qa/calls/count/yesterday", 400),
    ],
)
async def test_arguments_that_are_wrong_are_told_without_the_engine(
    client: Client, tokens: TokenBuilder, path: str, code: int
) -> None:
    answered, document, _ = await call(client, "GET", path, tokens.header({"all": sorted(SIMPLE_SCOPES)}))
    assert answered == code
    assert document.get("status") in {None, "bad request", "awol"}


async def test_a_fault_shows_its_request_id_and_nothing_else(
    app: Quart, client: Client, tokens: TokenBuilder, captured: Any
) -> None:
    @app.get("/fault")
    async def fault() -> str:
        raise RuntimeError("secret of the house")

    code, document, headers = await call(client, "GET", "/fault", tokens.header({}))
    assert code == 500
    assert document["request_id"] == headers["X-Request-ID"]
    assert uuid.UUID(document["request_id"]).version == 4
    assert "secret" not in json.dumps(document)
    assert "secret of the house" in captured.debug.getvalue()


async def test_a_refused_body_cannot_fill_the_log(
    client: Client, tokens: TokenBuilder, captured: Any
) -> None:
    headers = tokens.header({"all": ["run"]})
    await client.post("/api/0/run", json={"query_kind": "a" * 60_000}, headers=headers)
    assert "a" * 1000 in captured.text
    assert len(captured.text) < 10_000


async def test_what_a_stranger_sends_is_not_kept(client: Client, captured: Any) -> None:
    response = await client.post("/api/0/run", json={"query_kind": "a stranger's words"})
    assert response.status_code == 401
    [refused] = captured.lines("access", event="UNAUTHORISED")
    assert "json_payload" not in refused
    assert "stranger's words" not in captured.text


async def test_an_identity_in_the_log(client: Client, tokens: TokenBuilder, captured: Any) -> None:
    await call(client, "GET", "/api/0/available_dates", tokens.header({"r": ["run"]}, sub="ada", jti="77"))
    [loaded] = captured.lines("access", event="user loaded")
    assert loaded["request"]["user"] == "ada"
    assert loaded["request"]["jti"] == "77"
    assert loaded["roles"] == ["r"]
    assert loaded["level"] == "info"
    assert loaded["timestamp"].startswith("20")
