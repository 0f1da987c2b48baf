"""Check that web sessions end on time, for copied cookies too."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.models import User, WebSession
from flowauth.sessions import ABSOLUTE, IDLE
from flowauth.testing import PASSWORD, Script, Visitor, World

NEW = "quite-another-9-harbour-bench"


def copy_of(app: Flask, visitor: Visitor) -> Visitor:
    thief = Visitor(app)
    assert visitor.cookie
    thief.client.set_cookie("session", visitor.cookie)
    assert thief.get("/account").status_code == 200
    return thief


def is_out(visitor: Visitor) -> bool:
    return visitor.get("/account").status_code == 303


def test_signing_in_changes_the_key(visitor: Visitor, world: World) -> None:
    visitor.get("/sign-in")
    before = visitor.cookie
    visitor.sign_in(world.user)
    assert before
    assert visitor.cookie
    assert visitor.cookie != before


def test_signing_out_ends_a_copied_cookie(app: Flask, ada: Visitor) -> None:
    thief = copy_of(app, ada)
    ada.post("/sign-out")
    assert is_out(ada)
    assert is_out(thief)


def test_a_password_change_ends_all_others(app: Flask, ada: Visitor, world: World) -> None:
    other = Visitor(app)
    other.sign_in(world.user)
    script = Script(app, world.user)
    form = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    assert ada.post("/account/password", form).status_code == 303
    assert is_out(other)
    assert script("GET", "/servers").status_code == 401
    assert not is_out(ada)


@pytest.mark.parametrize("change", ["password", "roles", "delete"])
def test_what_an_administrator_takes_away_ends_the_session(
    app: Flask, ada: Visitor, root: Visitor, world: World, database: Session, change: str
) -> None:
    user = database.scalars(select(User).where(User.username == world.user)).one()
    form = {"username": user.username, "roles": [role.id for role in user.roles]}
    path = f"/admin/users/{user.id}"
    database.rollback()
    script = Script(app, world.user)
    if change == "delete":
        path, form = f"{path}/delete", {}
    elif change == "password":
        form["password"] = NEW
    else:
        form["roles"] = []
    assert root.post(path, form).status_code == 303
    assert is_out(ada)
    assert script("GET", "/servers").status_code == 401


@pytest.mark.parametrize(("column", "age"), [("last_seen", IDLE), ("expires", timedelta(0))])
def test_a_session_ends_idle_and_at_the_latest(
    ada: Visitor, database: Session, column: str, age: timedelta
) -> None:
    assert not is_out(ada)
    database.execute(update(WebSession).values({column: clock.now() - age}))
    database.commit()
    assert is_out(ada)


def test_the_form_to_sign_in_may_stay_open_and_is_shown_again_when_it_stayed_too_long(
    visitor: Visitor, world: World, database: Session
) -> None:
    form = {"csrf_token": visitor.token(), "username": world.user, "password": PASSWORD, "next": "/account"}
    database.execute(update(WebSession).values(last_seen=clock.now() - 2 * IDLE, expires=clock.now()))
    database.commit()
    late = visitor.client.post("/sign-in", data=form)
    assert late.status_code == 403
    assert "open for too long" in late.text
    assert PASSWORD not in late.text
    shown = dict(re.findall(r'name="(csrf_token|username|next)"[^>]* value="([^"]+)"', late.text))
    assert (shown["username"], shown["next"]) == (world.user, "/account")
    form["csrf_token"] = shown["csrf_token"]
    database.execute(update(WebSession).values(last_seen=clock.now() - 2 * IDLE))
    database.commit()
    assert visitor.client.post("/sign-in", data=form).location == "/account"


def test_a_page_says_how_long_the_session_lasts(ada: Visitor, database: Session) -> None:
    def told() -> int:
        return int(ada.get("/account").headers["X-Session-Seconds"])

    assert 0 <= IDLE.total_seconds() - told() <= 30
    database.execute(update(WebSession).values(expires=clock.now() + timedelta(minutes=3)))
    database.commit()
    assert 0 <= 3 * 60 - told() <= 30, "twelve hours are over sooner than twenty minutes"
    ada.post("/sign-out")
    assert "X-Session-Seconds" not in ada.get("/sign-in").headers


def test_the_absolute_end_is_set_at_sign_in(ada: Visitor, database: Session) -> None:
    row = database.scalars(select(WebSession).where(WebSession.user_id.is_not(None))).one()
    assert row.expires - row.created == ABSOLUTE


def test_the_cookie(app: Flask, world: World) -> None:
    plain = app.test_client().get("/sign-in").headers["Set-Cookie"]
    assert plain.startswith("session=")
    assert "Secure" not in plain
    https = app.test_client().get("/sign-in", base_url="https://localhost")
    cookie = https.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    for attribute in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
        assert attribute in cookie
    assert "Domain" not in cookie
    assert "max-age" in https.headers["Strict-Transport-Security"]


def test_the_table_holds_no_key_and_no_readable_content(ada: Visitor, database: Session) -> None:
    ada.get("/account/two-factor")
    row = database.scalars(select(WebSession).where(WebSession.user_id.is_not(None))).one()
    assert ada.cookie
    assert ada.cookie not in (row.digest, row.encrypted_data)
    assert "secret" not in row.encrypted_data


def test_nothing_needs_a_session_before_signing_in(app: Flask, world: World, database: Session) -> None:
    client = app.test_client()
    for path in ("/health/live", "/health/ready", "/api/v1/openapi.json"):
        assert "Set-Cookie" not in client.get(path).headers
    assert database.scalars(select(WebSession)).all() == []


def test_an_expired_script_session_is_refused(app: Flask, world: World, database: Session) -> None:
    script = Script(app, world.user)
    assert script("GET", "/servers").status_code == 200
    database.execute(update(WebSession).values(expires=clock.now()))
    database.commit()
    assert script("GET", "/servers").status_code == 401
    other = Script(app, world.user)
    assert other("DELETE", "/session").status_code == 204
    assert other("GET", "/servers").status_code == 401


def test_a_token_for_an_api_server_opens_nothing_here(app: Flask, world: World) -> None:
    script = Script(app, world.user)
    minted = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json["token"]
    reply = app.test_client().get("/api/v1/servers", headers={"Authorization": f"Bearer {minted}"})
    assert reply.status_code == 401
