"""Test servers: descriptions, limits and scopes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowauth import api_description
from flowauth.actions.servers import exceeding_roles, update_scopes
from flowauth.api_description import ApiDescription
from flowauth.audit import CONSOLE
from flowauth.errors import Refusal
from flowauth.models import AuditEvent, Role, Scope, Server, Token
from flowauth.testing import (
    SCOPES,
    Script,
    Visitor,
    World,
    description_of,
    role_form,
    role_named,
    server_named,
    signed,
    upload,
)

# Descriptions


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_a_description_is_read_as_json_and_as_yaml(write: Any) -> None:
    read = api_description.parse(write(description_of()).encode())
    assert read == ApiDescription("east", tuple(sorted(SCOPES)))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x00\xff", "neither JSON nor YAML"),
        (b"[1, 2]", "not an OpenAPI 3 document"),
        (b'{"swagger": "2.0"}', "not an OpenAPI 3 document"),
        (b'{"openapi": "3.0.1"}', "components.securitySchemes.token"),
        (b'{"openapi": "3.0.1", "components": []}', "components.securitySchemes.token"),
        (json.dumps(description_of(audience=None)).encode(), "x-audience"),  # type: ignore[arg-type]
        (
            json.dumps(description_of(scopes="run")).encode().replace(b'["r", "u", "n"]', b'"run"'),
            "x-security-scopes",
        ),
        (json.dumps(description_of(scopes=["run", "run"])).encode(), "twice"),
        (json.dumps(description_of(scopes=["run&get"])).encode(), "is not a scope"),
        (json.dumps(description_of(scopes=[])).encode(), "0 scopes"),
        (json.dumps(description_of("a/b")).encode(), "server's name"),
        (json.dumps(description_of("urn:flowauth:api")).encode(), "own audience"),
        *(
            (json.dumps(description_of(name)).encode(), "may not be")
            for name in (".", "..", "new", "preview", "register")
        ),
        (json.dumps(description_of("half\ud800")).encode(), "server's name"),
        (b"[" * 100_000, "nests deeper"),
        (b" " * (api_description.LARGEST_BYTES + 1), "larger than"),
        (b"!!python/object/apply:os.getcwd []", "neither JSON nor YAML"),
    ],
)
def test_a_bad_description_is_refused_with_the_reason(content: bytes, text: str) -> None:
    with pytest.raises(Refusal) as refusal:
        api_description.parse(content)
    assert text in refusal.value.message
    assert refusal.value.field in ("description", "name")


# Servers


def test_a_server_is_registered_from_its_description(root: Visitor, database: Session) -> None:
    page = upload(root, description_of())
    assert "Register east" in page.text
    assert f"{len(SCOPES)} scopes offered" in page.text
    assert database.scalar(select(func.count()).select_from(Server)) == 2, "nothing is stored by looking"
    database.rollback()
    form = {"signed": signed(page.text), "longest_token_life_minutes": "60", "latest_token_expiry": ""}
    assert root.post("/admin/servers/register", form).status_code == 303
    east = server_named(database, "east")
    assert {scope.name for scope in east.scopes} == set(SCOPES)
    assert (east.longest_token_life_minutes, east.latest_token_expiry) == (60, None)


def test_an_update_shows_the_difference_and_the_roles_affected_before_saving(
    root: Visitor, database: Session
) -> None:
    kept = {scope.name: scope.id for scope in server_named(database, "north").scopes}
    database.rollback()
    newer = description_of("north", [*SCOPES[1:2], *SCOPES[5:], "admin2:flows:flows"])
    page = upload(root, newer, "north").text
    assert "1 scope added" in page
    assert "1 scope removed" in page
    told = page.replace("<wbr>", "")
    assert re.search(r"<strong>analyst</strong> loses 1: *<code>admin1:flows:daily_location</code>", told)
    root.post("/admin/servers/north/scopes", {"signed": signed(page)})
    north = server_named(database, "north")
    assert {scope.name for scope in north.scopes} == set(
        newer["components"]["securitySchemes"]["token"]["x-security-scopes"]
    )
    for scope in north.scopes:
        assert kept.get(scope.name, scope.id) == scope.id, "a scope that stays keeps its id"
    assert role_named(database, "analyst", "north").scope_names == sorted([SCOPES[1], SCOPES[5]])


def test_a_description_of_another_server_is_refused(root: Visitor) -> None:
    assert "not of north" in upload(root, description_of("south"), "north").text
    again = upload(root, description_of("north"))
    assert again.status_code == 400
    assert "registered already" in again.text


def test_what_was_shown_cannot_be_altered_before_saving(root: Visitor) -> None:
    good = signed(upload(root, description_of()).text)
    form = {"signed": good[:-2] + "xx", "longest_token_life_minutes": "60"}
    assert root.post("/admin/servers/register", form).status_code == 400


def test_updating_with_the_same_description_changes_nothing(database: Session, world: World) -> None:
    north = server_named(database, "north")
    events = database.scalar(select(func.count()).select_from(AuditEvent))
    change = update_scopes(
        database, CONSOLE, north, ApiDescription("north", tuple(scope.name for scope in north.scopes))
    )
    assert change.is_empty
    assert database.scalar(select(func.count()).select_from(AuditEvent)) == events


def test_lowering_a_servers_limit_points_out_the_roles_above_it(root: Visitor, database: Session) -> None:
    root.post("/admin/servers/north", {"longest_token_life_minutes": "60", "latest_token_expiry": ""})
    assert {role.name for role in exceeding_roles(server_named(database, "north"))} == {"analyst", "reader"}
    database.rollback()
    assert "have no effect in" in root.get("/admin/servers/north").text
    listed = root.get("/admin/roles").text
    assert listed.count("the server allows 1 hour") == 2, "of two roles on each of two servers"


@pytest.mark.parametrize("life", ["", "0", "-5", "1.5", "x", "99999999"])
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_bad_limit_is_refused_at_its_field(root: Visitor, life: str) -> None:
    reply = root.post("/admin/servers/north", {"longest_token_life_minutes": life})
    assert reply.status_code == 400
    assert 'id="longest_token_life_minutes-wrong"' in reply.text


def test_scopes_are_switched_off_and_on(root: Visitor, database: Session) -> None:
    root.post("/admin/servers/north/scopes/enabled", {"scopes": ["run"]})
    assert [scope.name for scope in server_named(database, "north").scopes if scope.enabled] == ["run"]


def test_deleting_a_server_names_and_takes_what_hangs_on_it(
    app: Flask, root: Visitor, world: World, database: Session
) -> None:
    Script(app, world.user)("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]})
    page = root.get("/admin/servers/north/delete").text
    assert "2 roles: analyst, reader" in page
    assert "1 user: ada" in page
    assert "record of 1 token" in page
    assert server_named(database, "north"), "asking deletes nothing"
    database.rollback()
    root.post("/admin/servers/north/delete")
    assert [server.name for server in database.scalars(select(Server))] == ["south"]
    assert {role.server.name for role in database.scalars(select(Role))} == {"south"}
    assert database.scalars(select(Token)).all() == []
    assert database.scalar(select(func.count()).select_from(Scope)) == len(SCOPES[2:])


def test_the_public_key_is_shown_and_downloaded(root: Visitor) -> None:
    page, file = root.get("/admin/public-key").text, root.get("/admin/public-key/flowauth_public_key.pub")
    assert file.text.startswith("-----BEGIN PUBLIC KEY-----")
    assert file.text.strip() in page


def test_a_scope_tree_of_hundreds_is_quick_to_make_and_submits_without_script(
    root: Visitor, database: Session
) -> None:
    many = [f"unit{a}:top{b}:kind{c}" for a in range(6) for b in range(21) for c in range(5)]
    page = upload(root, description_of("huge", many)).text
    root.post("/admin/servers/register", {"signed": signed(page), "longest_token_life_minutes": "60"})
    form = role_form(scopes=many, longest_token_life_minutes="60")
    assert root.post("/admin/roles/new/huge", form).status_code == 303
    role = role_named(database, "planner", "huge")
    assert len(role.scopes) == len(many)
    identity = role.id
    database.rollback()
    text = root.get(f"/admin/roles/{identity}").text
    assert text.count('name="scopes"') == text.count(" checked>") == len(many)
