"""Check replies of ``/api/v1`` against their description."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from flask import Flask
from openapi_spec_validator import validate

from flowauth.access import Access, access_of
from flowauth.api.description import describe
from flowauth.testing import DAY, PASSWORD, SCOPES, Script, World

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def test_the_description_is_valid_and_served(app: Flask) -> None:
    validate(describe())
    assert app.test_client().get("/api/v1/openapi.json").json == describe()


def test_every_route_is_described_and_every_description_is_a_route(app: Flask) -> None:
    routes = {}
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/v1"):
            path = rule.rule.replace("<int:", "{").replace("<", "{").replace(">", "}")
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                routes[path, method.lower()] = access_of(app, rule.endpoint) is Access.ANYONE
    described = {
        (path, method): operation.get("security") == []
        for path, item in describe()["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }
    assert routes == described


def check(reply: Any, path: str, method: str) -> Any:
    """Check a reply against its schema."""
    document = describe()
    responses = document["paths"][path][method]["responses"]
    content = responses.get(str(reply.status_code), responses["default"]).get("content")
    if content:
        schema = content["application/json"]["schema"] | {"components": document["components"]}
        jsonschema.validate(reply.json, schema)
    return reply.json if content else None


def test_replies_are_as_described(app: Flask, world: World) -> None:
    root = Script(app, world.admin)
    ada = Script(app, world.user)
    description = {
        "openapi": "3.0.1",
        "components": {
            "securitySchemes": {"token": {"x-audience": "east", "x-security-scopes": list(SCOPES)}}
        },
    }
    check(root("POST", "/servers", {"description": description}), "/api/v1/servers", "post")
    newer = {
        "openapi": "3.0.1",
        "components": {"securitySchemes": {"token": {"x-audience": "east", "x-security-scopes": ["run"]}}},
    }
    change = check(
        root("PUT", "/servers/east/scopes", {"description": newer}), "/api/v1/servers/{name}/scopes", "put"
    )
    assert len(change["removed"]) == len(SCOPES) - 1
    user = check(root("POST", "/users", {"username": "zoe", "password": PASSWORD}), "/api/v1/users", "post")
    body = {
        "server": "east",
        "name": "runner",
        "scopes": ["run"],
        "longest_token_life_minutes": DAY,
        "users": [user["id"]],
    }
    role = check(root("POST", "/roles", body), "/api/v1/roles", "post")
    del body["server"]
    check(root("PUT", f"/roles/{role['id']}", {**body, "name": "runners"}), "/api/v1/roles/{role_id}", "put")
    for path in ("/users", "/roles", "/servers", "/public-key"):
        assert check(root("GET", path), f"/api/v1{path}", "get") is not None
    assert check(ada("GET", "/servers"), "/api/v1/servers", "get")
    token = check(
        ada("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}),
        "/api/v1/servers/{name}/tokens",
        "post",
    )
    assert check(ada("GET", "/servers/north/tokens"), "/api/v1/servers/{name}/tokens", "get")
    for action in ("renew", "reveal", "revoke"):
        path = "/api/v1/tokens/{token_id}/" + action
        assert check(ada("POST", f"/tokens/{token['id']}/{action}"), path, "post")["name"] == "t"
    assert root("DELETE", f"/roles/{role['id']}").status_code == 204
    assert root("DELETE", f"/users/{user['id']}").status_code == 204
    assert root("DELETE", "/servers/east").status_code == 204


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/session", {"username": "ada"}),
        ("/session", {"username": ["ada"], "password": PASSWORD}),
        ("/session", {"username": "ada", "password": PASSWORD, "otp": "1"}),
        ("/session", None),
    ],
)
def test_a_bad_body_is_refused_in_the_one_shape(app: Flask, world: World, path: str, body: Any) -> None:
    reply = app.test_client().post(f"/api/v1{path}", json=body)
    assert reply.status_code == 400
    check(reply, f"/api/v1{path}", "post")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("PATCH", "/servers", 405)])
def test_what_is_not_there_is_told_in_json(
    app: Flask, world: World, method: str, path: str, status: int
) -> None:
    reply = Script(app, world.user)(method, path)
    assert reply.status_code == status
    assert reply.json["code"] == status
