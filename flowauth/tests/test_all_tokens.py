"""Find, track and revoke all users' tokens; a lost right needs a decision."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.models import AuditEvent, Revocation, Token
from flowauth.settings import Settings
from flowauth.testing import (
    DAY,
    SCOPES,
    Script,
    Visitor,
    World,
    description_of,
    form_of,
    role_named,
    signed,
    upload,
    user_named,
)


@pytest.fixture
def used(tmp_path: Path) -> Path:
    return tmp_path / "used"


@pytest.fixture
def settings(settings: Settings, used: Path) -> Settings:
    return settings.model_copy(update={"token_use_files": (used,)})


@pytest.fixture
def tokens(app: Flask, world: World) -> dict[str, int]:
    """Return ids of ada's tokens, two from ``analyst`` on each server."""
    script = Script(app, world.user)
    return {
        f"{server}_{number}": script(
            "POST", f"/servers/{server}/tokens", {"name": f"{server}_{number}", "roles": ["analyst"]}
        ).json["id"]
        for server in (world.north, world.south)
        for number in (1, 2)
    }


def revoked(database: Session) -> set[str]:
    """Return the revoked tokens' names; check that all are listed for API servers."""
    database.rollback()
    rows = database.scalars(select(Token).where(Token.revoked_at.is_not(None))).all()
    assert {row.jti for row in rows} == set(database.scalars(select(Revocation.jti)))
    names = {row.name for row in rows}
    database.rollback()
    return names


def rows(page: str) -> list[str]:
    return re.findall(r'<th scope="row">(\w+)</th>', page)


def test_tokens_are_found_by_what_they_are(
    root: Visitor, app: Flask, tokens: dict[str, int], database: Session
) -> None:
    role = role_named(database, "analyst", "south").id
    ended = database.get_one(Token, tokens["north_1"])
    ended.expiry = clock.now() - timedelta(minutes=1)
    database.commit()
    running = {"north_2", "south_1", "south_2"}
    for search, names in {
        "": running,
        "?server=south": {"south_1", "south_2"},
        f"?role={role}": {"south_1", "south_2"},
        "?user=ada": running,
        "?user=ad": set(),
        "?search=AD": running,
        "?search=h_2": {"north_2", "south_2"},
        "?state=ended": {"north_1"},
        "?state=all": running | {"north_1"},
        "?unused_days=999999999": set(),
    }.items():
        page = root.get(f"/admin/tokens{search}").text
        assert set(rows(page)) == names, search
        reply = Script(app, "root")("GET", f"/tokens{search}").json
        assert {token["name"] for token in reply["tokens"]} == names, search
        assert reply["total"] == len(names)
    for search in ("?state=none", "?role=x", "?unused_days=-1"):
        assert root.get(f"/admin/tokens{search}").status_code == 400


def test_when_a_token_was_last_used_is_what_the_api_servers_wrote(
    root: Visitor, app: Flask, tokens: dict[str, int], database: Session, used: Path
) -> None:
    first, second = (database.get_one(Token, tokens[name]) for name in ("north_1", "north_2"))
    long_ago = clock.now() - timedelta(days=40)
    for token in (first, second):
        token.issued = long_ago
    database.commit()
    jti, other = first.jti, second.jti
    database.rollback()
    lately = clock.iso(clock.now() - timedelta(days=1))
    used.write_text(f"{jti} {lately}\n{other} yesterday\nstrange 2016-01-01T00:00:00Z\nhalf\n")
    script = Script(app, "root")
    found = {token["name"]: token["last_used"] for token in script("GET", "/tokens").json["tokens"]}
    assert found == {"north_1": lately, "north_2": None, "south_1": None, "south_2": None}
    assert "north_2" in rows(root.get("/admin/tokens?unused_days=30").text)
    assert "north_1" not in rows(root.get("/admin/tokens?unused_days=30").text)
    used.write_text(f"{jti} 2016-01-01T00:00:00Z\n")
    found = {token["name"]: token["last_used"] for token in script("GET", "/tokens").json["tokens"]}
    assert found["north_1"] == lately, "an older moment does not replace a newer one"
    used.unlink()
    assert root.get("/admin/tokens").status_code == 200


def test_ticked_tokens_are_revoked_with_a_reason_that_their_owner_reads(
    root: Visitor, ada: Visitor, tokens: dict[str, int], database: Session
) -> None:
    chosen = [tokens["north_1"], tokens["south_1"]]
    asked = root.post("/admin/tokens/revoke", {"tokens": chosen})
    assert "Revoke 2 tokens?" in asked.text
    assert revoked(database) == set()
    form = form_of(asked.text.replace('class="card narrow"', 'class="card"'))
    assert form["tokens"] == str(chosen[-1])
    done = root.post("/admin/tokens/revoke", {"tokens": chosen, "sure": "1", "reason": "laptop stolen"})
    assert done.status_code == 303
    assert revoked(database) == {"north_1", "south_1"}
    assert "by root: laptop stolen" in ada.get("/servers/north").text
    event = database.scalars(select(AuditEvent).where(AuditEvent.action == "tokens.revoked")).one()
    assert event.detail["tokens"] == ["ada: north/north_1", "ada: south/south_1"]
    assert event.detail["reason"] == "laptop stolen"


@pytest.mark.parametrize("by", ["user", "server", "role", "search"])
def test_all_tokens_of_a_search_are_revoked_at_once(
    root: Visitor, app: Flask, tokens: dict[str, int], database: Session, by: str
) -> None:
    role = role_named(database, "analyst", "north").id
    database.rollback()
    everything = {"north_1", "north_2", "south_1", "south_2"}
    fields, names = {
        "user": ({"user": "ada"}, everything),
        "server": ({"server": "north"}, {"north_1", "north_2"}),
        "role": ({"role": role}, {"north_1", "north_2"}),
        "search": ({"search": "h_1"}, {"north_1", "south_1"}),
    }[by]
    if by == "search":
        page = root.post("/admin/tokens/revoke", {"found": "1", **fields})
        assert "Revoke 2 tokens?" in page.text
        root.post("/admin/tokens/revoke", {"found": "1", "sure": "1", **fields})
    else:
        assert Script(app, "root")("POST", "/tokens/revoke", fields).json == {"revoked": len(names)}
    assert revoked(database) == names


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "tokens"),
        ({"tokens": []}, "tokens"),
        ({"tokens": [999_999]}, "tokens"),
        ({"tokens": [True]}, "tokens"),
        ({"tokens": [1], "user": "ada"}, "tokens"),
        ({"user": "nobody"}, "user"),
        ({"server": "nowhere"}, "server"),
        ({"role": 999_999}, "role"),
        ({"role": "analyst"}, "role"),
        ({"reason": "no more"}, "tokens"),
        ({"user": "ada", "reason": "x" * 201}, "reason"),
    ],
)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_does_not_say_which_tokens_revokes_none(
    app: Flask, root: Visitor, tokens: dict[str, int], database: Session, body: dict[str, Any], field: str
) -> None:
    reply = Script(app, "root")("POST", "/tokens/revoke", body)
    assert reply.status_code in (400, 404)
    assert reply.json["bad_field"] == field
    assert revoked(database) == set()


# Rights that shrink


def take_role(root: Visitor, database: Session) -> tuple[str, dict[str, Any]]:
    """Take ``analyst`` on north from ada."""
    path, role = f"/admin/users/{user_named(database, 'ada').id}", role_named(database, "analyst", "north").id
    database.rollback()
    form = form_of(root.get(path).text)
    form["roles"].remove(str(role))
    return path, form


def analyst(database: Session) -> str:
    """Return the page of the role ``analyst`` on north."""
    path = f"/admin/roles/{role_named(database, 'analyst', 'north').id}"
    database.rollback()
    return path


def drop_member(root: Visitor, database: Session) -> tuple[str, dict[str, Any]]:
    path = analyst(database)
    return path, {**form_of(root.get(path).text), "users": []}


def narrow_role(root: Visitor, database: Session) -> tuple[str, dict[str, Any]]:
    path = analyst(database)
    form = form_of(root.get(path).text)
    form["scopes"].remove(SCOPES[0])
    return path, form


def shorten_role(root: Visitor, database: Session) -> tuple[str, dict[str, Any]]:
    path = analyst(database)
    return path, {**form_of(root.get(path).text), "longest_token_life_minutes": "60"}


def shorten_server(root: Visitor, database: Session) -> tuple[str, dict[str, Any]]:
    return "/admin/servers/north", {"longest_token_life_minutes": "60", "latest_token_expiry": ""}


def switch_off(root: Visitor, database: Session) -> tuple[str, dict[str, Any]]:
    return "/admin/servers/north/scopes/enabled", {"scopes": [*SCOPES[1:2], *SCOPES[5:]]}


def delete_role(root: Visitor, database: Session) -> tuple[str, dict[str, Any]]:
    return f"{analyst(database)}/delete", {}


def update_server(root: Visitor, database: Session) -> tuple[str, dict[str, Any]]:
    page = upload(root, description_of("north", [*SCOPES[1:2], *SCOPES[5:]]), "north").text
    return "/admin/servers/north/scopes", {"signed": signed(page)}


SHRINKING: list[Callable[[Visitor, Session], tuple[str, dict[str, Any]]]] = [
    take_role,
    drop_member,
    narrow_role,
    shorten_role,
    shorten_server,
    switch_off,
    delete_role,
    update_server,
]


@pytest.mark.parametrize("shrink", SHRINKING)
def test_who_takes_a_right_away_is_asked_about_the_tokens_that_keep_it(
    root: Visitor,
    tokens: dict[str, int],
    database: Session,
    shrink: Callable[[Visitor, Session], tuple[str, dict[str, Any]]],
) -> None:
    path, form = shrink(root, database)
    until = clock.readable(database.get_one(Token, tokens["north_2"]).expiry)
    database.rollback()
    asked = root.post(path, form)
    assert asked.status_code == 409
    assert f"2 running tokens keep it until {until}." in asked.text
    assert '<input type="checkbox" name="revoke" checked>' in asked.text
    assert revoked(database) == set()
    assert root.post(path, {**form, "running": "asked", "revoke": "on"}).status_code == 303
    assert revoked(database) == {"north_1", "north_2"}
    assert database.scalars(select(Token.revoked_because).where(Token.name == "north_1")).one()


@pytest.mark.parametrize("shrink", SHRINKING)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_who_unticks_it_leaves_them_and_the_trail_tells(
    root: Visitor,
    tokens: dict[str, int],
    database: Session,
    shrink: Callable[[Visitor, Session], tuple[str, dict[str, Any]]],
) -> None:
    path, form = shrink(root, database)
    database.rollback()
    assert root.post(path, {**form, "running": "asked"}).status_code == 303
    assert revoked(database) == set()
    event = database.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert event is not None
    assert event.detail["kept_tokens"] == 2


@pytest.mark.parametrize("shrink", SHRINKING)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_where_no_token_keeps_it_nobody_is_asked(
    root: Visitor,
    tokens: dict[str, int],
    database: Session,
    shrink: Callable[[Visitor, Session], tuple[str, dict[str, Any]]],
) -> None:
    path, form = shrink(root, database)
    over = clock.now() - timedelta(seconds=1)
    database.execute(update(Token).where(Token.name.like("north%")).values(expiry=over))
    database.commit()
    assert root.post(path, form).status_code == 303


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_token_that_the_shorter_limit_would_have_allowed_stays(
    root: Visitor, tokens: dict[str, int], database: Session
) -> None:
    short = database.get_one(Token, tokens["north_1"])
    short.expiry = short.issued + timedelta(minutes=60)
    database.commit()
    path, form = shorten_role(root, database)
    database.rollback()
    root.post(path, {**form, "running": "asked", "revoke": "on"})
    assert revoked(database) == {"north_2"}


def test_scripts_say_in_the_same_call_what_becomes_of_tokens(
    app: Flask, root: Visitor, tokens: dict[str, int], database: Session
) -> None:
    script = Script(app, "root")
    north, south = (role_named(database, "analyst", server).id for server in ("north", "south"))
    database.rollback()
    body = {"name": "analyst", "scopes": ["run"], "longest_token_life_minutes": DAY, "users": []}
    assert script("PUT", f"/roles/{north}", body).status_code == 200
    assert revoked(database) == set()
    body["scopes"] = ["get_result"]
    assert script("PUT", f"/roles/{north}", {**body, "revoke_tokens": True}).status_code == 200
    assert revoked(database) == {"north_1", "north_2"}
    assert script("DELETE", f"/roles/{south}", {"revoke_tokens": True}).status_code == 204
    assert revoked(database) == {"north_1", "north_2", "south_1", "south_2"}
