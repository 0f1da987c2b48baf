"""Personal credentials: scoped, expiring, hashed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from flowauth import clock
from flowauth.access import Access, access_of
from flowauth.actions.users import change_user
from flowauth.audit import CONSOLE
from flowauth.models import ApiCredential, AuditEvent, User
from flowauth.services import Services
from flowauth.testing import PASSWORD, Visitor, user_named


def make(visitor: Visitor, *rights: str, name: str = "cron", days: str = "30") -> str:
    reply = visitor.post("/account/credentials", {"name": name, "days": days, "rights": list(rights)})
    assert reply.status_code == 200, reply.text
    found = re.search(r'<pre id="credential"[^>]*>(flowauth_[^<]+)</pre>', reply.text)
    assert found
    return found[1]


def call(app: Flask, text: str, method: str, path: str, json: Any = None) -> TestResponse:
    headers = {"Authorization": f"Bearer {text}"}
    return app.test_client().open(f"/api/v1{path}", method=method, json=json, headers=headers)


def test_a_credential_mints_a_token(app: Flask, ada: Visitor, database: Session) -> None:
    text = make(ada, "read", "tokens")
    body = {"name": "nightly", "roles": ["analyst"]}
    assert call(app, text, "POST", "/servers/north/tokens", body).status_code == 201
    assert [token["name"] for token in call(app, text, "GET", "/servers/north/tokens").json] == ["nightly"]
    row = database.scalars(select(ApiCredential)).one()
    assert row.last_used is not None
    assert text not in {str(value) for value in vars(row).values()}
    assert text not in str([event.detail for event in database.scalars(select(AuditEvent))])
    assert text not in ada.get("/account/credentials").text


def test_each_right_opens_only_its_routes(app: Flask, root: Visitor) -> None:
    """A credential with one right is refused wherever the route needs another."""
    texts = {right: make(root, right, name=right) for right in ("read", "tokens", "administer")}
    arguments = {"name": "north", "token_id": 999_999, "user_id": 999_999, "role_id": 999_999}
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        level = access_of(app, rule.endpoint)
        if not rule.rule.startswith("/api/") or level is Access.ANYONE:
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            used = {key: arguments[key] for key in rule.arguments}
            path = adapter.build(rule.endpoint, used, method=method).removeprefix("/api/v1")
            if level is Access.USER:
                needed = "read" if method == "GET" else "tokens"
            else:
                needed = "administer"
            for right, text in texts.items():
                status = call(app, text, method, path).status_code
                is_open = right == needed and rule.endpoint != "v1.close_session"
                assert (status not in (401, 403)) == is_open, (rule.rule, method, right, status)


def test_an_administrator_s_credential_falls_with_the_office(
    app: Flask, root: Visitor, services: Services, database: Session
) -> None:
    text = make(root, "administer")
    assert call(app, text, "GET", "/users").status_code == 200
    database.execute(update(User).where(User.username == "root").values(is_admin=False))
    database.commit()
    assert call(app, text, "GET", "/users").status_code == 403


def test_a_credential_ends(app: Flask, ada: Visitor, database: Session) -> None:
    text = make(ada, "read")
    database.execute(update(ApiCredential).values(expires=clock.now() - timedelta(seconds=1)))
    database.commit()
    assert call(app, text, "GET", "/servers").status_code == 401
    (identity,) = database.scalars(select(ApiCredential.id)).all()
    database.rollback()
    assert ada.post(f"/account/credentials/{identity}/delete").status_code == 303


def test_a_reset_password_ends_credentials(
    app: Flask, ada: Visitor, services: Services, database: Session
) -> None:
    text = make(ada, "read")
    assert call(app, text, "GET", "/servers").status_code == 200
    change_user(database, services, CONSOLE, user_named(database, "ada").id, password=f"{PASSWORD}-new")
    assert call(app, text, "GET", "/servers").status_code == 401


def test_nobody_deletes_another_s_credential(
    app: Flask, ada: Visitor, root: Visitor, database: Session
) -> None:
    text = make(ada, "read")
    (identity,) = database.scalars(select(ApiCredential.id)).all()
    database.rollback()
    assert root.post(f"/account/credentials/{identity}/delete").status_code == 404
    assert call(app, text, "GET", "/servers").status_code == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"name": "two words"}, 400),
        ({"days": "0"}, 400),
        ({"days": "367"}, 400),
        ({"rights": []}, 400),
        ({"rights": ["everything"]}, 400),
        ({"rights": ["administer"]}, 403),
    ],
)
def test_a_bad_form_makes_none(ada: Visitor, database: Session, form: dict[str, Any], status: int) -> None:
    sent = {"name": "cron", "days": "30", "rights": ["read"], **form}
    assert ada.post("/account/credentials", sent).status_code == status
    assert database.scalars(select(ApiCredential)).all() == []
