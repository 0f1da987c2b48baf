"""Mint, renew, reveal and revoke through the scripted API and the pages."""

from __future__ import annotations

import base64
import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowauth import clock, testing
from flowauth.models import AuditEvent, Role, Scope, Token, User
from flowauth.settings import Settings
from flowauth.signing import public_pem
from flowauth.testing import DAY, SCOPES, Script, Visitor, World, build_world, role_named


def decode(settings: Settings, token: str, audience: str) -> dict[str, Any]:
    """Check a token as an API server does: stock PyJWT and none of our code."""
    return jwt.decode(
        token,
        public_pem(settings.private_key),
        algorithms=["RS256"],
        audience=audience,
        options={"require": ["exp", "aud", "sub", "jti", "iat", "nbf"]},
    )


def unpack(claims: dict[str, Any]) -> dict[str, list[str]]:
    return json.loads(gzip.decompress(base64.b64decode(claims["user_claims"])))


@pytest.fixture
def script(app: Flask, world: World) -> Script:
    return Script(app, world.user)


def test_a_token_says_who_may_do_what_where_and_until_when(settings: Settings, script: Script) -> None:
    reply = script(
        "POST", "/servers/north/tokens", {"name": "first", "roles": ["analyst"], "lifetime_minutes": 90}
    )
    assert reply.status_code == 201
    assert reply.headers["Cache-Control"] == "no-store"
    header = jwt.get_unverified_header(reply.json["token"])
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")
    claims = decode(settings, reply.json["token"], "north")
    assert claims["sub"] == "ada"
    assert claims["exp"] - claims["iat"] == 90 * 60
    assert claims["nbf"] == claims["iat"]
    assert datetime.fromisoformat(reply.json["expires"]) == datetime.fromtimestamp(claims["exp"], UTC)
    assert unpack(claims) == {"analyst": sorted(SCOPES[:2] + SCOPES[5:6])}
    lines = claims["user_claims"].split("\n")
    assert lines[-1] == ""
    assert all(len(line) <= 76 for line in lines)
    with pytest.raises(jwt.InvalidAudienceError):
        decode(settings, reply.json["token"], "south")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("issuer", [None, "https://auth.example.org"])
def test_a_token_names_its_issuer_where_one_is_set(settings: Settings, issuer: str | None) -> None:
    with testing.opened(settings.model_copy(update={"token_issuer": issuer})) as app:
        script = Script(app, build_world(app.extensions["flowauth"]).user)
        made = script("POST", "/servers/north/tokens", {"name": "first", "roles": ["analyst"]}).json
        renewed = script("POST", f"/tokens/{made['id']}/renew").json
    for reply in (made, renewed):
        assert decode(settings, reply["token"], "north").get("iss") == issuer


def test_a_role_of_the_same_name_on_another_server_gives_nothing_here(
    settings: Settings, script: Script
) -> None:
    scopes = {}
    for server in ("north", "south"):
        reply = script("POST", f"/servers/{server}/tokens", {"name": "t", "roles": ["analyst"]})
        scopes[server] = set(unpack(decode(settings, reply.json["token"], server))["analyst"])
    assert scopes["north"] == set(SCOPES[:2] + SCOPES[5:6])
    assert scopes["south"] == set(SCOPES[2:5])


def test_servers_lists_own_roles_alone(script: Script) -> None:
    reply = script("GET", "/servers").json
    assert [(server["name"], [role["name"] for role in server["roles"]]) for server in reply] == [
        ("north", ["analyst"]),
        ("south", ["analyst"]),
    ]
    role = reply[0]["roles"][0]
    assert role["scopes"] == sorted(SCOPES[:2] + SCOPES[5:6])
    away = datetime.fromisoformat(role["max_expiry"]) - clock.now()
    assert timedelta(minutes=DAY - 1) < away <= timedelta(minutes=DAY)


@pytest.mark.parametrize(
    ("server", "body", "status", "field"),
    [
        ("elsewhere", {"name": "t", "roles": ["analyst"]}, 404, None),
        ("north", {"roles": ["analyst"]}, 400, "name"),
        ("north", {"name": "t"}, 400, "roles"),
        ("north", {"name": "t", "roles": []}, 400, "roles"),
        ("north", {"name": "t", "roles": "analyst"}, 400, "roles"),
        ("north", {"name": "t", "roles": [7]}, 400, "roles"),
        ("north", {"name": "t", "roles": ["reader"]}, 401, "roles"),
        ("north", {"name": "t", "roles": [["analyst"]]}, 400, "roles"),
        ("north", {"name": "", "roles": ["analyst"]}, 400, "name"),
        ("north", {"name": "a b", "roles": ["analyst"]}, 400, "name"),
        ("north", {"name": "x" * 76, "roles": ["analyst"]}, 400, "name"),
        ("north", {"name": "t\n", "roles": ["analyst"]}, 400, "name"),
        ("north", {"name": "t", "roles": ["analyst"], "lifetime_minutes": 0}, 400, "lifetime_minutes"),
        ("north", {"name": "t", "roles": ["analyst"], "lifetime_minutes": True}, 400, "lifetime_minutes"),
        ("north", {"name": "t", "roles": ["analyst"], "lifetime_minutes": "9"}, 400, "lifetime_minutes"),
        ("north", {"name": "t", "roles": ["analyst"], "lifetime_minutes": DAY + 1}, 400, "lifetime_minutes"),
        ("north", {"name": "t", "roles": ["analyst"], "lifetime_minutes": 10**30}, 400, "lifetime_minutes"),
        ("north", {"name": "t", "roles": ["analyst"], "lifetime": 5}, 400, "lifetime"),
        ("north", ["t"], 400, None),
    ],
)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_cannot_be_minted(
    script: Script, database: Session, server: str, body: Any, status: int, field: str | None
) -> None:
    reply = script("POST", f"/servers/{server}/tokens", body)
    assert reply.status_code == status
    assert reply.json["code"] == status
    assert reply.json["message"]
    assert reply.json.get("bad_field") == field
    assert database.scalars(select(Token)).all() == []


def test_a_stranger_cannot_see_that_a_server_exists(app: Flask, world: World) -> None:
    stranger = Script(app, world.stranger)
    there = stranger("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]})
    nowhere = stranger("POST", "/servers/nowhere/tokens", {"name": "t", "roles": ["analyst"]})
    assert there.status_code == nowhere.status_code == 404
    assert there.json["message"].replace("north", "nowhere") == nowhere.json["message"]


def test_a_cap_already_past_refuses(script: Script, database: Session) -> None:
    role_named(database, "analyst", "north").latest_token_expiry = clock.now() - timedelta(days=1)
    database.commit()
    for extra in ({}, {"lifetime_minutes": 5}):
        reply = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"], **extra})
        assert reply.status_code == 401
        assert "role analyst" in reply.json["message"]


def test_a_scope_switched_off_is_left_out(script: Script, settings: Settings, database: Session) -> None:
    role = role_named(database, "analyst", "north")
    role.scopes[0].enabled = False
    off = role.scopes[0].name
    database.commit()
    reply = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]})
    scopes = unpack(decode(settings, reply.json["token"], "north"))["analyst"]
    assert off not in scopes
    assert len(scopes) == 2


def test_renewing_gives_a_new_token_with_the_scopes_of_now(
    script: Script, settings: Settings, database: Session
) -> None:
    old = script(
        "POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"], "lifetime_minutes": 5}
    ).json
    role = role_named(database, "analyst", "north")
    gone = role.scopes.pop(0).name
    database.commit()
    new = script("POST", f"/tokens/{old['id']}/renew", {"lifetime_minutes": 60})
    assert new.status_code == 201
    assert (new.json["name"], new.json["roles"]) == ("t", ["analyst"])
    before, after = decode(settings, old["token"], "north"), decode(settings, new.json["token"], "north")
    assert before["jti"] != after["jti"]
    assert gone in unpack(before)["analyst"]
    assert gone not in unpack(after)["analyst"]
    listed = script("GET", "/servers/north/tokens").json
    assert [token["id"] for token in listed] == [new.json["id"], old["id"]]
    assert all("token" not in token for token in listed)


def test_an_expired_token_may_be_renewed(script: Script, database: Session) -> None:
    old = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json
    database.get_one(Token, old["id"]).expiry = clock.now() - timedelta(days=3)
    database.commit()
    assert script("POST", f"/tokens/{old['id']}/renew").status_code == 201


def test_renewing_without_the_role_is_refused(
    app: Flask, script: Script, database: Session, world: World
) -> None:
    old = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json
    ada = database.scalars(select(User).where(User.username == world.user)).one()
    ada.roles = [role_named(database, "reader", "north")]
    database.commit()
    reply = script("POST", f"/tokens/{old['id']}/renew")
    assert reply.status_code == 401
    assert "analyst" in reply.json["message"]


def test_a_deleted_role_stays_readable_on_its_tokens(script: Script, database: Session) -> None:
    old = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json
    role = role_named(database, "analyst", "north")
    role.server.roles[0].users = []
    ada = database.scalars(select(User).where(User.username == "ada")).one()
    ada.roles = [role_named(database, "reader", "north")]
    database.delete(role)
    database.commit()
    assert script("GET", "/servers/north/tokens").json[0]["roles"] == ["analyst"]
    assert script("POST", f"/tokens/{old['id']}/renew").status_code == 401


def test_a_renamed_role_renews(script: Script, database: Session) -> None:
    old = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json
    role_named(database, "analyst", "north").name = "surveyor"
    database.commit()
    new = script("POST", f"/tokens/{old['id']}/renew")
    assert new.status_code == 201
    assert new.json["roles"] == ["surveyor"]


@pytest.mark.parametrize("end", ["renamed", "deleted"])
def test_another_role_of_the_same_name_does_not_renew(
    script: Script, database: Session, world: World, end: str
) -> None:
    old = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json
    role = role_named(database, "analyst", "north")
    server, scopes = role.server, list(role.scopes)
    role.users = []
    if end == "renamed":
        role.name = "surveyor"
    else:
        database.delete(role)
    database.flush()
    ada = database.scalars(select(User).where(User.username == world.user)).one()
    database.add(
        Role(name="analyst", server=server, scopes=scopes, users=[ada], longest_token_life_minutes=DAY)
    )
    database.commit()
    reply = script("POST", f"/tokens/{old['id']}/renew")
    assert reply.status_code == 401
    assert ("surveyor" if end == "renamed" else "analyst") in reply.json["message"]


def test_tokens_stay_in_reach_when_the_last_role_on_their_server_is_lost(
    script: Script, ada: Visitor, database: Session, world: World
) -> None:
    token = script("POST", "/servers/north/tokens", {"name": "kept", "roles": ["analyst"]}).json
    user = database.scalars(select(User).where(User.username == world.user)).one()
    user.roles = []
    database.commit()
    assert "no role any more" in ada.get("/").text
    page = ada.get("/servers/north").text
    assert "kept" in page
    assert "New token" not in page
    assert [one["name"] for one in script("GET", "/servers/north/tokens").json] == ["kept"]
    renewed = ada.post(f"/tokens/{token['id']}/renew")
    assert renewed.status_code == 401
    assert "You no longer hold" in renewed.text
    assert ada.get("/servers/north/tokens/new").status_code == 404
    assert ada.get("/servers/south").status_code == 404
    assert token["token"] in ada.post(f"/tokens/{token['id']}/view").text
    assert ada.post(f"/tokens/{token['id']}/revoke").location == "/servers/north"


def test_nobody_touches_the_token_of_another(app: Flask, script: Script, world: World, root: Visitor) -> None:
    token = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json
    other = Script(app, world.admin)
    for action in ("renew", "reveal", "revoke"):
        assert other("POST", f"/tokens/{token['id']}/{action}").status_code == 404
    for action in ("renew", "view", "download", "revoke"):
        assert root.post(f"/tokens/{token['id']}/{action}").status_code == 404


def test_the_text_is_revealed_on_demand_and_on_record(
    script: Script, ada: Visitor, database: Session
) -> None:
    minted = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json
    assert script("POST", f"/tokens/{minted['id']}/reveal").json["token"] == minted["token"]
    assert minted["token"] in ada.post(f"/tokens/{minted['id']}/view").text
    download = ada.post(f"/tokens/{minted['id']}/download")
    assert download.text.strip() == minted["token"]
    assert "t.txt" in download.headers["Content-Disposition"]
    assert minted["token"] not in ada.get("/servers/north").text
    looks = database.scalars(select(AuditEvent).where(AuditEvent.action == "token.revealed")).all()
    assert len(looks) == 3
    assert minted["token"] not in database.scalars(select(Token.encrypted_token)).one()


def test_a_revoked_token_is_no_longer_active(script: Script, ada: Visitor) -> None:
    minted = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json
    assert ada.post(f"/tokens/{minted['id']}/revoke").status_code == 303
    assert script("GET", "/servers/north/tokens").json[0]["revoked"] is True
    assert script("POST", f"/tokens/{minted['id']}/renew").status_code == 400
    for reply in (
        script("POST", f"/tokens/{minted['id']}/reveal"),
        ada.post(f"/tokens/{minted['id']}/view"),
        ada.post(f"/tokens/{minted['id']}/download"),
    ):
        assert reply.status_code == 400
        assert "A revoked token cannot be viewed" in reply.text
        assert minted["token"] not in reply.text


def test_the_pages_mint_without_any_script(ada: Visitor, database: Session) -> None:
    page = ada.get("/servers/north/tokens/new")
    assert "scopes of analyst" in page.text or "3 scopes" in page.text
    expires = (clock.now() + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")
    reply = ada.post(
        "/servers/north/tokens/new", {"name": "by_hand", "roles": ["analyst"], "expires": expires}
    )
    assert reply.status_code == 303
    assert "by_hand" in ada.get(reply.location).text
    token = database.scalars(select(Token)).one()
    assert token.expiry.strftime("%Y-%m-%dT%H:%M") == expires


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"name": "t"}, "Choose at least one role."),
        ({"name": "a b", "roles": ["analyst"]}, "letters, digits and underscores."),
        ({"name": "t", "roles": ["analyst"], "expires": "2016-01-01T00:00"}, "must be in the future"),
        ({"name": "t", "roles": ["analyst"], "expires": "2996-01-01T00:00"}, "longest life of role analyst"),
        ({"name": "t", "roles": ["analyst"], "expires": "soon"}, "not a date and time"),
        ({"name": "t", "roles": ["reader"]}, "You do not hold on north: reader."),
    ],
)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(
    ada: Visitor, form: dict[str, Any], text: str
) -> None:
    reply = ada.post("/servers/north/tokens/new", form)
    assert reply.status_code in (400, 401)
    assert text in reply.text
    assert f'value="{form["name"]}"' in reply.text


def test_the_form_shows_the_resulting_expiry_and_which_cap_sets_it(ada: Visitor) -> None:
    form = {"roles": ["analyst"]}
    assert "longest life of role analyst" in ada.post("/servers/north/tokens/preview", form).text
    later = {"roles": ["analyst"], "expires": "2996-01-01T00:00"}
    assert "no later than" in ada.post("/servers/north/tokens/preview", later).text
    assert "Choose at least one role" in ada.post("/servers/north/tokens/preview").text


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_token_holds_a_scope_of_a_role_not_held_there(
    data: st.DataObject, script: Script, settings: Settings, database: Session
) -> None:
    """Check any rights and any request: roles and scopes are the server's own."""
    roles = database.scalars(select(Role)).all()
    ada = database.scalars(select(User).where(User.username == "ada")).one()
    ada.roles = data.draw(st.lists(st.sampled_from(roles), unique=True))
    for role in roles:
        offered = database.scalars(select(Scope).where(Scope.server_id == role.server_id)).all()
        role.scopes = data.draw(st.lists(st.sampled_from(offered), unique=True))
    held = {(role.server.name, role.name): sorted(scope.name for scope in role.scopes) for role in ada.roles}
    database.commit()
    server = data.draw(st.sampled_from(["north", "south"]))
    wish = data.draw(st.lists(st.sampled_from(["analyst", "reader", "nobody"]), min_size=1))
    reply = script("POST", f"/servers/{server}/tokens", {"name": "t", "roles": wish})
    if all((server, name) in held for name in wish):
        assert reply.status_code == 201
        assert unpack(decode(settings, reply.json["token"], server)) == {
            name: held[server, name] for name in wish
        }
    else:
        assert reply.status_code in (401, 404)


def test_a_renewed_token_marks_the_one_that_it_replaces(ada: Visitor, script: Script) -> None:
    made = script("POST", "/servers/north/tokens", {"name": "nightly", "roles": ["analyst"]}).json
    script("POST", "/servers/north/tokens", {"name": "other", "roles": ["analyst"]})
    page = ada.post(f"/tokens/{made['id']}/renew", follow_redirects=True).text
    assert "The old one works until its own end." in page
    rows = [row for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL) if "<td" in row]
    # The newest stands first.
    assert [("nightly" in row, "replaced" in row, "/renew" in row) for row in rows] == [
        (True, False, True),
        (False, False, True),
        (True, True, False),
    ]


# Shown once


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_text_is_shown_once_where_the_settings_have_it_so(settings: Settings) -> None:
    with testing.opened(settings.model_copy(update={"show_tokens_once": True})) as app:
        world = build_world(app.extensions["flowauth"])
        script, ada = Script(app, world.user), Visitor(app)
        ada.sign_in(world.user)
        made = script("POST", "/servers/north/tokens", {"name": "fetched", "roles": ["analyst"]}).json
        assert made["token"].count(".") == 2
        assert script("POST", f"/tokens/{made['id']}/reveal").status_code == 410
        ada.post("/servers/north/tokens/new", {"name": "viewed", "roles": ["analyst"]})
        identity = script("GET", "/servers/north/tokens").json[0]["id"]
        assert "Token text" in ada.post(f"/tokens/{identity}/view").text
        again = ada.post(f"/tokens/{identity}/download")
        assert again.status_code == 410
        assert "shown once" in again.text
        # It can still be renewed and revoked.
        assert script("POST", f"/tokens/{identity}/renew").json["token"].count(".") == 2
        assert script("POST", f"/tokens/{identity}/revoke").json["revoked"]
