"""Connect programs without a browser, through the client and by attack."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from flowauth import clock
from flowauth.actions import device
from flowauth.models import AuditEvent, DeviceGrant, Token
from flowauth.testing import Script, Visitor, World
from flowclient.device import get_token, get_token_async
from flowclient.errors import FlowclientConnectionError


def begin(app: Flask, audience: str = "north") -> dict[str, Any]:
    reply = app.test_client().post(
        "/api/v1/device-authorization", data={"client_id": "notebook", "audience": audience}
    )
    assert reply.status_code == 200, reply.text
    return dict(reply.json)


def ask(app: Flask, codes: dict[str, Any]) -> TestResponse:
    return app.test_client().post(
        "/api/v1/device-token",
        data={
            "grant_type": device.GRANT_TYPE,
            "client_id": "notebook",
            "device_code": codes["device_code"],
        },
    )


def approve(visitor: Visitor, codes: dict[str, Any], **more: Any) -> TestResponse:
    form = {"code": codes["user_code"], "name": "mine", "roles": ["analyst"], **more}
    return visitor.post("/device", form)


def test_a_program_gets_the_approved_token_once(app: Flask, ada: Visitor, database: Session) -> None:
    codes = begin(app)
    waiting = ask(app, codes)
    assert (waiting.status_code, waiting.json["error"]) == (400, "authorization_pending")
    page = ada.get(f"/device?code={codes['user_code'].lower()}").text
    assert "notebook" in page
    assert "north" in page
    assert approve(ada, codes).status_code == 303
    given = ask(app, codes)
    assert given.status_code == 200
    claims = jwt.decode(given.json["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["aud"]) == ("ada", "north")
    assert given.json["token_type"] == "Bearer"
    assert ask(app, codes).json["error"] == "expired_token"
    event = database.scalars(select(AuditEvent).where(AuditEvent.action == "device.approved")).one()
    assert event.detail["client"] == "notebook"
    assert codes["device_code"] not in str(event.detail)


def test_a_refused_program_gets_none(app: Flask, ada: Visitor, database: Session) -> None:
    codes = begin(app)
    assert ada.post("/device", {"code": codes["user_code"], "deny": ""}).status_code == 303
    assert approve(ada, codes).status_code == 404
    assert ask(app, codes).json["error"] == "access_denied"
    assert database.scalars(select(Token)).all() == []


def test_a_code_serves_one_user_once(app: Flask, ada: Visitor) -> None:
    codes = begin(app)
    assert approve(ada, codes).status_code == 303
    assert approve(ada, codes, name="again").status_code == 404


def test_nobody_approves_with_a_role_that_is_not_held(app: Flask, world: World, ada: Visitor) -> None:
    codes = begin(app)
    stranger = Visitor(app)
    stranger.sign_in(world.stranger)
    assert "You hold no role" in stranger.get(f"/device?code={codes['user_code']}").text
    assert approve(stranger, codes).status_code == 404
    assert approve(ada, codes, roles=["reader"]).status_code == 401
    assert approve(ada, codes, roles=[]).status_code == 400
    assert ask(app, codes).json["error"] == "authorization_pending"


def test_a_code_ends(app: Flask, ada: Visitor, database: Session) -> None:
    codes = begin(app)
    database.execute(update(DeviceGrant).values(expires=clock.now() - timedelta(seconds=1)))
    database.commit()
    assert approve(ada, codes).status_code == 404
    assert ask(app, codes).json["error"] == "expired_token"


def test_the_device_code_is_not_stored(app: Flask, world: World, database: Session) -> None:
    codes = begin(app)
    row = database.scalars(select(DeviceGrant)).one()
    assert codes["device_code"] not in {str(value) for value in vars(row).values()}


def test_one_address_cannot_fill_the_table(app: Flask, world: World) -> None:
    for _ in range(20):
        begin(app)
    reply = app.test_client().post(
        "/api/v1/device-authorization", json={"client_id": "notebook", "audience": "north"}
    )
    assert reply.status_code == 429
    assert int(reply.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("device-authorization", {"client_id": "x"}),
        ("device-authorization", {"client_id": "x", "audience": "nowhere"}),
        ("device-token", {"grant_type": "password", "client_id": "x", "device_code": "y"}),
        ("device-token", {"grant_type": device.GRANT_TYPE, "client_id": "x", "device_code": "y\0"}),
    ],
)
def test_bad_requests_of_programs_are_refused(
    app: Flask, world: World, path: str, body: dict[str, str]
) -> None:
    for sent in ({"data": body}, {"json": body}):
        assert app.test_client().post(f"/api/v1/{path}", **sent).status_code in (400, 404)


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Serve the app on a port; a page beside it names the audience as FlowAPI does."""
    from flowauth.access import Access, allow

    view = allow(Access.ANYONE)(lambda: {"audience": "north", "authorization_servers": [address]})
    app.add_url_rule("/.well-known/oauth-protected-resource", "resource", view)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.filterwarnings("ignore:Communications with")
@pytest.mark.parametrize("is_async", [False, True])
def test_the_client_shows_a_code_and_waits(address: str, ada: Visitor, is_async: bool) -> None:
    def act(shown_address: str, code: str) -> None:
        assert shown_address == f"{address}/device?code={code}"
        assert approve(ada, {"user_code": code}).status_code == 303

    options: dict[str, Any] = {
        "url": address,
        "flowauth_url": None,
        "ssl_certificate": True,
        "timeout": 10.0,
        "tell": act,
    }
    token = asyncio.run(get_token_async(**options)) if is_async else get_token(**options)
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == "ada"


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.filterwarnings("ignore:Communications with")
def test_the_client_says_that_the_user_refused(address: str, ada: Visitor) -> None:
    def act(_address: str, code: str) -> None:
        assert ada.post("/device", {"code": code, "deny": ""}).status_code == 303

    with pytest.raises(FlowclientConnectionError, match="refused"):
        get_token(url=address, flowauth_url=address, ssl_certificate=True, timeout=10.0, tell=act)


def test_a_grant_ends_with_its_server(app: Flask, world: World) -> None:
    codes = begin(app, "south")
    assert Script(app, world.admin)("DELETE", "/servers/south").status_code == 204
    assert ask(app, codes).json["error"] == "expired_token"
