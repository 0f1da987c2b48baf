"""Sign in by OpenID Connect against a real provider in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
import requests
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from flowauth.models import AuditEvent, Identity, TwoFactor, User
from flowauth.services import Services
from flowauth.settings import Settings
from flowauth.testing import Visitor, World, build_world, opened, user_named

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """Run the provider, which may speak plain HTTP on the loopback address."""
    program = Path(__file__).with_name("oidc_provider.py")
    environment = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    process.terminate()
    process.wait(timeout=30)
    process.stdout.close()


@pytest.fixture
def settings(settings: Settings, issuer: str) -> Settings:
    return settings.model_copy(
        update={
            "oidc_issuer": issuer,
            "oidc_client_id": "flowauth",
            "oidc_client_secret": "of-the-client",
            "oidc_name": "Ministry",
        }
    )


def through(visitor: Visitor, person: str, lie: str = "", **changes: str) -> TestResponse:
    """Go to the provider as a browser does, sign in there as a person, and come back."""
    away = visitor.get("/sign-in/provider")
    assert away.status_code == 302, away.text
    asked = parse_qs(urlsplit(away.location).query)
    assert asked["code_challenge_method"] == ["S256"]
    reply = requests.get(
        f"{away.location}&as={person}" + (f"&lie={lie}" if lie else ""), allow_redirects=False, timeout=10
    )
    assert reply.status_code == 302, reply.text
    back = urlsplit(reply.headers["Location"])
    query = back.query
    for name, value in changes.items():
        query = query.replace(f"{name}={parse_qs(back.query)[name][0]}", f"{name}={value}")
    return visitor.get(f"{back.path}?{query}")


def is_signed_in(visitor: Visitor) -> bool:
    return visitor.get("/account").status_code == 200


def connect(visitor: Visitor, person: str) -> TestResponse:
    assert visitor.post("/account/identity/connect").status_code == 200
    return through(visitor, person)


def test_a_connected_identity_signs_in(app: Flask, ada: Visitor, database: Session) -> None:
    assert "Sign in with Ministry" in Visitor(app).get("/sign-in").text
    assert connect(ada, "ada.lovelace").location == "/account"
    other = Visitor(app)
    assert through(other, "ada.lovelace").status_code == 303
    assert "ada" in other.get("/account").text
    event = database.scalars(select(AuditEvent).where(AuditEvent.action == "identity.connected")).one()
    assert event.actor == "ada"
    database.rollback()
    assert ada.post("/account/identity/disconnect").status_code == 303
    last = Visitor(app)
    assert through(last, "ada.lovelace").status_code == 403
    assert not is_signed_in(last)


def test_a_name_alone_opens_no_account(app: Flask, world: World, database: Session) -> None:
    visitor = Visitor(app)
    refused = through(visitor, "ada")
    assert refused.status_code == 403
    assert "connect it under My account" in refused.text
    assert not is_signed_in(visitor)
    assert database.scalars(select(Identity)).all() == []


@pytest.mark.parametrize("lie", ["nonce", "signature", "issuer", "audience", "expired"])
def test_a_wrong_answer_signs_nobody_in(app: Flask, ada: Visitor, lie: str) -> None:
    connect(ada, "ada")
    visitor = Visitor(app)
    assert through(visitor, "ada", lie).status_code == 401
    assert not is_signed_in(visitor)


def test_a_state_or_code_of_another_visit_is_refused(app: Flask, ada: Visitor) -> None:
    connect(ada, "ada")
    for changes in ({"state": "made-up"}, {"code": "made-up"}):
        visitor = Visitor(app)
        assert through(visitor, "ada", **changes).status_code == 401
        assert not is_signed_in(visitor)
    assert Visitor(app).get("/sign-in/provider/back?code=x&state=y").status_code == 401
    assert Visitor(app).get("/sign-in/provider/back?error=access_denied").status_code == 401


def test_an_identity_belongs_to_one_account(app: Flask, ada: Visitor, root: Visitor) -> None:
    connect(ada, "shared")
    assert connect(root, "shared").status_code == 409
    visitor = Visitor(app)
    through(visitor, "shared")
    assert visitor.get("/admin/users").status_code == 403


def test_a_second_factor_is_still_asked_for(
    app: Flask, ada: Visitor, services: Services, database: Session
) -> None:
    connect(ada, "ada")
    secret = pyotp.random_base32()
    user = user_named(database, "ada")
    database.add(TwoFactor(user_id=user.id, enabled=True, encrypted_secret=services.encrypt(secret)))
    database.commit()
    visitor = Visitor(app)
    assert through(visitor, "ada").location == "/sign-in/code"
    assert not is_signed_in(visitor)
    code = pyotp.TOTP(secret).now()
    assert visitor.post("/sign-in/code", {"two_factor_code": code}).status_code == 303
    assert is_signed_in(visitor)


def test_accounts_are_created_where_the_settings_say_so(settings: Settings) -> None:
    with opened(settings.model_copy(update={"oidc_create": True})) as app:
        services = app.extensions["flowauth"]
        build_world(services)
        visitor = Visitor(app)
        assert through(visitor, "newcomer").status_code == 303
        assert is_signed_in(visitor)
        assert through(Visitor(app), "ada").status_code == 403
        assert through(Visitor(app), "two.words").status_code == 400
        with services.session() as database:
            user = database.scalars(select(User).where(User.username == "newcomer")).one()
            assert (user.is_admin, user.is_auditor, user.roles, user.administers) == (False, False, [], [])


def test_a_provider_that_is_down_is_told(settings: Settings, world: World) -> None:
    with opened(settings.model_copy(update={"oidc_issuer": "http://127.0.0.1:9"})) as app:
        assert Visitor(app).get("/sign-in/provider").status_code == 502


def test_without_a_provider_there_are_no_such_pages(settings: Settings, world: World) -> None:
    with opened(settings.model_copy(update={"oidc_issuer": None})) as app:
        visitor = Visitor(app)
        assert "provider" not in visitor.get("/sign-in").text
        assert visitor.get("/sign-in/provider").status_code == 404
        visitor.sign_in("ada")
        assert visitor.post("/account/identity/connect").status_code == 404
