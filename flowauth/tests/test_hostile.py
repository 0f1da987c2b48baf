"""Send every route that writes what no browser and no script would send."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from flask import Flask
from routes import ARGUMENTS, parameters
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from flowauth.testing import Script, Visitor, World, role_named, user_named

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)

FORM = "application/x-www-form-urlencoded"
#: They end the visit, so they come last.
LAST = ("/sign-", "/api/v1/session")
#: Making a key takes seconds, and the route reads no field.
SLOW = "/admin/signing-keys/prepare"


@pytest.fixture
def paths(app: Flask, world: World, ada: Visitor, database: Session) -> list[tuple[str, str]]:
    """Return method and path of every route that writes; arguments match rows."""
    made = Script(app, "ada")("POST", "/servers/north/tokens", {"name": "one", "roles": ["analyst"]})
    ada.post("/account/credentials", {"name": "one", "rights": ["read"], "days": "9"})
    rows = {
        "user_id": user_named(database, world.stranger).id,
        "role_id": role_named(database, "reader", "north").id,
        "token_id": made.json["id"],
        "credential_id": 1,
    }
    database.rollback()
    routes = app.url_map.bind("localhost")
    found = [
        (
            method,
            routes.build(rule.endpoint, {name: (ARGUMENTS | rows)[name] for name in rule.arguments}, method),
        )
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"})
    ]
    found.sort(
        key=lambda one: (
            any(end in one[1] for end in LAST),
            one[0] == "DELETE" or one[1].endswith("/delete"),
            one,
        )
    )
    return [one for one in found if one[1] != SLOW]


def calls(app: Flask, paths: list[tuple[str, str]]) -> Iterator[tuple[Visitor, dict[str, str], str, str]]:
    """Yield an administrator's visitor and headers with each method and path."""
    visitor, script = Visitor(app), Script(app, "root")
    assert visitor.sign_in("root").status_code == 303
    token = {"X-CSRFToken": visitor.token()}
    for method, path in paths:
        yield visitor, script.headers if path.startswith("/api/") else token, method, path


def is_let_in(reply: TestResponse, path: str) -> bool:
    """Return whether the view was reached; the last calls end the visit."""
    gone = (
        reply.status_code == 401
        if path.startswith("/api/")
        else (reply.location or "").startswith("/sign-in")
    )
    return not gone or any(end in path for end in LAST)


@pytest.mark.parametrize(
    "value",
    ["x" * 5000, "a\0b", "\r\nX-Other: 1\x1b[2J\u2028", "a\ud800b", "999999999", "٣", ""],
    ids=lambda value: ascii(value[:12]),
)
def test_no_field_is_a_fault(app: Flask, paths: list[tuple[str, str]], value: str) -> None:
    names = sorted(parameters())
    form = "&".join(f"{name}={quote(value, errors='surrogatepass')}" for name in names)
    bodies = [dict.fromkeys(names, filled) for filled in (value, [value, {value: value}])]
    for visitor, headers, method, path in calls(app, paths):
        sent = [{"json": body} for body in bodies] if path.startswith("/api/") else [{"data": form}]
        for body in sent:
            kind = {} if "json" in body else {"content_type": FORM}
            reply = visitor.client.open(path, method=method, headers=headers, buffered=True, **body, **kind)
            assert reply.status_code < 500, (method, path)
            assert is_let_in(reply, path), (method, path)
            assert "X-Other" not in reply.headers


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"a":' * 950 + b"1" + b"}" * 950),
        ("application/json", b"\xff\xfe"),
        ("application/json", b'{"username": 1e400, "name": NaN}'),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1'),
        (FORM, b"&=&=&%zz&a"),
    ],
)
def test_no_body_is_a_fault(app: Flask, paths: list[tuple[str, str]], content_type: str, body: bytes) -> None:
    for visitor, headers, method, path in calls(app, paths):
        reply = visitor.client.open(
            path, method=method, headers={**headers, "Content-Type": content_type}, data=body, buffered=True
        )
        assert reply.status_code < 500, (method, path)
        assert is_let_in(reply, path), (method, path)
