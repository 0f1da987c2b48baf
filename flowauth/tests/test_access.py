"""Call every route as every kind of caller; undeclared access is denied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from routes import ARGUMENTS, parameters
from sqlalchemy import select
from werkzeug.test import TestResponse

from flowauth import __version__
from flowauth.access import Access, access_of, allow
from flowauth.models import User
from flowauth.services import Services
from flowauth.settings import Settings
from flowauth.testing import Visitor, opened


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    level: Access

    @property
    def is_api(self) -> bool:
        return self.path.startswith("/api/")

    @property
    def writes(self) -> bool:
        return self.method not in ("GET", "HEAD")


def routes(app: Flask) -> Iterator[Route]:
    """Yield every method of every rule, with arguments that match no row."""
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        level = access_of(app, rule.endpoint)
        assert level is not None, f"{rule.endpoint} does not say who may call it"
        arguments = {name: ARGUMENTS[name] for name in rule.arguments}
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Route(method, adapter.build(rule.endpoint, arguments, method=method), level)


def call(client: Any, route: Route, headers: dict[str, str] | None = None) -> TestResponse:
    return client.open(route.path, method=route.method, headers=headers or {}, buffered=True)


def is_refused(reply: TestResponse, route: Route) -> bool:
    if route.is_api:
        return reply.status_code == 401 and reply.json["code"] == 401
    return reply.status_code == 303 and reply.location.startswith("/sign-in")


def is_forbidden(reply: TestResponse, route: Route) -> bool:
    return reply.status_code == 403 and (not route.is_api or reply.json["code"] == 403)


def test_the_matrix_of_pages_is_worth_its_name(app: Flask) -> None:
    found = list(routes(app))
    assert len(found) > 60
    assert {route.level for route in found} == set(Access)


def test_signed_out(app: Flask, world: Any) -> None:
    for route in routes(app):
        if route.level > Access.ANYONE:
            assert is_refused(call(app.test_client(), route), route), route


def test_a_user_is_no_administrator(app: Flask, ada: Any) -> None:
    bearer = script_headers(app, "ada")
    for route in routes(app):
        if route.level is Access.ADMIN:
            reply = call(app.test_client(), route, bearer) if route.is_api else call(ada.client, route)
            assert is_forbidden(reply, route), route


def test_an_administrator_is_let_in(app: Flask, root: Any) -> None:
    bearer = script_headers(app, "root")
    for route in routes(app):
        if route.method == "GET":
            reply = call(app.test_client(), route, bearer) if route.is_api else call(root.client, route)
            assert reply.status_code in (200, 302, 303, 404), route
            assert route.level is Access.ANYONE or not is_refused(reply, route), route


@pytest.mark.parametrize("value", ["\0", "\r\nX-Other: 1\x1b[2J\x07\x85\u2028", "a\ud800b"], ids=ascii)
def test_no_control_character_in_any_parameter_is_a_fault(
    app: Flask, root: Any, world: Any, value: str
) -> None:
    """Check every route that reads, with every parameter that any view names."""
    names = parameters()
    assert {"next", "page", "search"} <= names
    query = "&".join(f"{name}={quote(value, errors='surrogatepass')}" for name in sorted(names))
    for route in routes(app):
        if route.method == "GET":
            client = app.test_client() if route.level is Access.ANYONE else root.client
            reply = client.get(f"{route.path}?{query}", buffered=True)
            assert reply.status_code < 500, route
            assert "X-Other" not in reply.headers
    visitor = Visitor(app)
    for path in ("/sign-in", "/sign-in/code"):
        form = f"csrf_token={quote(visitor.token())}&{query}"
        reply = visitor.client.post(path, data=form, content_type="application/x-www-form-urlencoded")
        assert reply.status_code in (303, 400, 401), path


@pytest.mark.parametrize("reason", ["require_two_factor", "must_change_password"])
def test_a_pending_user_gets_no_further_than_the_account(
    app: Flask, services: Services, root: Any, reason: str
) -> None:
    bearer = script_headers(app, "root")
    with services.session() as database:
        setattr(database.scalars(select(User).where(User.username == "root")).one(), reason, True)
        database.commit()
    for route in routes(app):
        if route.level < Access.USER:
            continue
        if route.is_api:
            assert is_forbidden(call(app.test_client(), route, bearer), route), route
        else:
            reply = call(root.client, route)
            assert reply.status_code == 303, route
            assert reply.location.startswith("/account"), route
    refused = app.test_client().post(
        "/api/v1/session", json={"username": "root", "password": "uneven-lantern-7-orchard"}
    )
    assert refused.status_code == 403


def test_a_form_without_its_token_is_refused(app: Flask, root: Any) -> None:
    for route in routes(app):
        if route.writes and not route.is_api:
            assert is_forbidden(call(root.client, route), route), route


def test_a_form_from_elsewhere_is_refused(app: Flask, root: Any) -> None:
    token = root.token()
    for route in routes(app):
        if route.writes and not route.is_api:
            reply = root.client.open(
                route.path,
                method=route.method,
                data={"csrf_token": token},
                headers={"Origin": "https://elsewhere.example"},
            )
            assert is_forbidden(reply, route), route


def test_a_session_of_the_pages_opens_no_script(app: Flask, root: Any) -> None:
    for route in routes(app):
        if route.is_api and route.level > Access.ANYONE:
            assert is_refused(call(root.client, route), route), route


def test_a_view_that_says_nothing_is_closed(settings: Settings, world: Any) -> None:
    with opened(settings) as app:
        app.add_url_rule("/forgotten", "forgotten", lambda: "secret")
        assert app.test_client().get("/forgotten").status_code == 403
        allow(Access.ANYONE)(app.view_functions["forgotten"])
        assert app.test_client().get("/forgotten").status_code == 200


def test_every_reply_carries_the_headers(app: Flask, root: Any) -> None:
    for route in routes(app):
        reply = call(root.client, route)
        assert "script-src 'self'" in reply.headers["Content-Security-Policy"], route
        assert "unsafe" not in reply.headers["Content-Security-Policy"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["X-Request-ID"]
        if not route.path.startswith("/static/"):
            assert reply.headers["Cache-Control"] == "no-store", route


def script_headers(app: Flask, username: str) -> dict[str, str]:
    reply = app.test_client().post(
        "/api/v1/session", json={"username": username, "password": "uneven-lantern-7-orchard"}
    )
    assert reply.status_code == 200
    return {"Authorization": f"Bearer {reply.json['access_token']}"}


def test_a_page_that_is_not_there_keeps_the_visitor_signed_in(ada: Visitor) -> None:
    reply = ada.get("/nowhere")
    assert reply.status_code == 404
    assert "Sign out" in reply.text
    assert f"<footer><p>FlowAuth v{__version__}</p></footer>" in reply.text
