"""Users, servers and roles, as an administrator sees them."""

from __future__ import annotations

import html
import io
import json
import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from flowauth import api_description, clock
from flowauth.actions.servers import exceeding_roles, update_scopes
from flowauth.actions.tokens import mint
from flowauth.actions.users import change_user, delete_user
from flowauth.api_description import ApiDescription
from flowauth.audit import CONSOLE
from flowauth.errors import Refusal
from flowauth.models import AuditEvent, Revocation, Role, Scope, Server, Token, TwoFactor, User
from flowauth.services import Services
from flowauth.testing import DAY, PASSWORD, SCOPES, Script, Visitor, World, role_named


def document(audience: str = "east", scopes: Any = SCOPES) -> dict[str, Any]:
    scheme = {"type": "http", "x-audience": audience, "x-security-scopes": list(scopes)}
    return {"openapi": "3.0.1", "components": {"securitySchemes": {"token": scheme}}}


def user_named(database: Session, name: str) -> User:
    return database.scalars(select(User).where(User.username == name)).one()


def server_named(database: Session, name: str) -> Server:
    return database.scalars(select(Server).where(Server.name == name)).one()


# Descriptions


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_a_description_is_read_as_json_and_as_yaml(write: Any) -> None:
    read = api_description.parse(write(document()).encode())
    assert read == ApiDescription("east", tuple(sorted(SCOPES)))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x00\xff", "neither JSON nor YAML"),
        (b"[1, 2]", "not an OpenAPI 3 document"),
        (b'{"swagger": "2.0"}', "not an OpenAPI 3 document"),
        (b'{"openapi": "3.0.1"}', "components.securitySchemes.token"),
        (b'{"openapi": "3.0.1", "components": []}', "components.securitySchemes.token"),
        (json.dumps(document(audience=None)).encode(), "x-audience"),  # type: ignore[arg-type]
        (
            json.dumps(document(scopes="run")).encode().replace(b'["r", "u", "n"]', b'"run"'),
            "x-security-scopes",
        ),
        (json.dumps(document(scopes=["run", "run"])).encode(), "twice"),
        (json.dumps(document(scopes=["run&get"])).encode(), "is not a scope"),
        (json.dumps(document(scopes=[])).encode(), "0 scopes"),
        (json.dumps(document("a/b")).encode(), "server's name"),
        (json.dumps(document("urn:flowauth:api")).encode(), "own audience"),
        *(
            (json.dumps(document(name)).encode(), "may not be")
            for name in (".", "..", "new", "preview", "register")
        ),
        (json.dumps(document("half\ud800")).encode(), "server's name"),
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


def upload(visitor: Visitor, content: dict[str, Any], server: str = "") -> Any:
    file = (io.BytesIO(json.dumps(content).encode()), "openapi.json")
    return visitor.post("/admin/servers/preview", {"description": file, "server": server})


def signed(page: str) -> str:
    found = re.search(r'name="signed" value="([^"]+)"', page)
    assert found
    return found[1]


def test_a_server_is_registered_from_its_description(root: Visitor, database: Session) -> None:
    page = upload(root, document())
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
    newer = document("north", [*SCOPES[1:2], *SCOPES[5:], "admin2:flows:flows"])
    page = upload(root, newer, "north").text
    assert "1 scope added" in page
    assert "1 scope removed" in page
    assert re.search(r"<strong>analyst</strong> loses 1: *<code>admin1:flows:daily_location</code>", page)
    root.post("/admin/servers/north/scopes", {"signed": signed(page)})
    north = server_named(database, "north")
    assert {scope.name for scope in north.scopes} == set(
        newer["components"]["securitySchemes"]["token"]["x-security-scopes"]
    )
    for scope in north.scopes:
        assert kept.get(scope.name, scope.id) == scope.id, "a scope that stays keeps its id"
    assert role_named(database, "analyst", "north").scope_names == sorted([SCOPES[1], SCOPES[5]])


def test_a_description_of_another_server_is_refused(root: Visitor) -> None:
    assert "not of north" in upload(root, document("south"), "north").text
    again = upload(root, document("north"))
    assert again.status_code == 400
    assert "registered already" in again.text


def test_what_was_shown_cannot_be_altered_before_saving(root: Visitor) -> None:
    good = signed(upload(root, document()).text)
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


# Roles


def role_form(**changes: Any) -> dict[str, Any]:
    return {
        "name": "planner",
        "scopes": [SCOPES[0], "run"],
        "longest_token_life_minutes": str(DAY),
        "latest_token_expiry": "",
        **changes,
    }


def test_a_role_is_made_changed_and_deleted(root: Visitor, database: Session, world: World) -> None:
    ada = user_named(database, world.user).id
    database.rollback()
    assert root.post("/admin/roles/new/north", role_form(users=[ada])).status_code == 303
    role = role_named(database, "planner", "north")
    assert (role.scope_names, [user.username for user in role.users]) == (sorted([SCOPES[0], "run"]), ["ada"])
    identity = role.id
    database.rollback()
    root.post(f"/admin/roles/{identity}", role_form(name="surveyor", scopes=["run"]))
    database.expire_all()
    role = database.get_one(Role, identity)
    assert (role.name, role.scope_names, role.users) == ("surveyor", ["run"], [])
    database.rollback()
    assert "0 members lose it" in root.get(f"/admin/roles/{identity}/delete").text
    root.post(f"/admin/roles/{identity}/delete")
    database.expire_all()
    assert database.get(Role, identity) is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "analyst"}, "has a role analyst already"),
        ({"name": "a b"}, "letters, digits and underscores"),
        ({"name": ""}, "letters, digits and underscores"),
        ({"scopes": []}, "at least one scope"),
        ({"scopes": [SCOPES[4]]}, "does not offer the scope"),
        ({"longest_token_life_minutes": str(10 * DAY + 1)}, "no more than the server"),
        ({"latest_token_expiry": "tomorrow"}, "not a date and time"),
        ({"users": [999_999]}, "no user with id 999999"),
    ],
)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_bad_role_is_refused(root: Visitor, changes: dict[str, Any], text: str, database: Session) -> None:
    reply = root.post("/admin/roles/new/north", role_form(**changes))
    assert reply.status_code == 400
    assert text in reply.text
    assert database.scalar(select(func.count()).select_from(Role)) == 4


def test_a_role_may_not_outlast_its_server(root: Visitor, database: Session) -> None:
    server_named(database, "north").latest_token_expiry = clock.now() + timedelta(days=5)
    database.commit()
    for latest in ("", clock.picker(clock.now() + timedelta(days=6))):
        reply = root.post("/admin/roles/new/north", role_form(latest_token_expiry=latest))
        assert "no later than the server" in reply.text
    near = clock.picker(clock.now() + timedelta(days=4))
    assert root.post("/admin/roles/new/north", role_form(latest_token_expiry=near)).status_code == 303


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_latest_expiry_in_the_past_is_refused_unless_it_was_there(root: Visitor, database: Session) -> None:
    past = clock.now() - timedelta(days=1)
    form = {"longest_token_life_minutes": str(DAY), "latest_token_expiry": clock.picker(past)}
    page = upload(root, document()).text
    identity = role_named(database, "analyst", "north").id
    database.rollback()
    for path, more in (
        ("/admin/servers/register", {"signed": signed(page)}),
        ("/admin/servers/north", {}),
        ("/admin/roles/new/north", role_form()),
        (f"/admin/roles/{identity}", role_form(name="analyst")),
    ):
        reply = root.post(path, {**more, **form})
        assert reply.status_code == 400, path
        assert "must be in the future" in reply.text
    role_named(database, "analyst", "north").latest_token_expiry = past
    database.commit()
    page = root.get(f"/admin/roles/{identity}").text
    assert f'min="{clock.picker(past)}"' in page
    assert root.post(f"/admin/roles/{identity}", form_of(page)).status_code == 303
    assert root.post(f"/admin/roles/{identity}", role_form(name="analyst")).status_code == 303


def test_the_same_name_may_stand_on_two_servers(root: Visitor) -> None:
    assert root.post("/admin/roles/new/north", role_form()).status_code == 303
    assert root.post("/admin/roles/new/south", role_form(scopes=["run"])).status_code == 303


def test_saving_a_role_untouched_changes_nothing(root: Visitor, database: Session) -> None:
    role = role_named(database, "analyst", "north")
    role.latest_token_expiry = clock.now() + timedelta(days=3, seconds=7)
    identity = role.id
    database.commit()
    page = root.get(f"/admin/roles/{identity}").text
    fields = dict(
        re.findall(
            r'name="(name|longest_token_life_minutes|latest_token_expiry)" type="[^"]+" value="([^"]*)"', page
        )
    )
    assert len(fields) == 3
    fields["scopes"] = re.findall(r'name="scopes" value="([^"]+)" checked', page)
    fields["users"] = re.findall(r'name="users" value="([^"]+)" checked', page)
    assert root.post(f"/admin/roles/{identity}", fields).status_code == 303
    assert database.scalars(select(AuditEvent).where(AuditEvent.action == "role.changed")).all() == []


# Users


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"username": "a b", "password": PASSWORD}, "username"),
        ({"username": "", "password": PASSWORD}, "username"),
        ({"username": "ada", "password": PASSWORD}, "username"),
        ({"username": "zoe", "password": ""}, "password"),
        ({"username": "zoe", "password": "password1234"}, "password"),
    ],
)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_bad_user_is_refused_at_the_field(root: Visitor, form: dict[str, str], field: str) -> None:
    reply = root.post("/admin/users/new", form)
    assert reply.status_code == 400
    assert f'id="{field}-wrong"' in reply.text
    assert 'value="password1234"' not in reply.text


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_password_that_is_not_kept_is_asked_for_again(
    root: Visitor, database: Session, world: World
) -> None:
    stranger = user_named(database, world.stranger).id
    database.rollback()
    for path in ("/admin/users/new", f"/admin/users/{stranger}"):
        assert "Type it again" not in root.get(path).text
        reply = root.post(path, {"username": "a b", "password": PASSWORD})
        assert "Type it again" in reply.text
        assert PASSWORD not in reply.text


# What no form of ours sends


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("DELETE", f"/users/{2**63}", None, 404),
        ("POST", f"/tokens/{2**63}/reveal", None, 404),
        ("POST", "/users", {"roles": [True]}, 400),
        ("POST", "/users", {"roles": [2**63]}, 400),
        ("POST", "/users", {"roles": [-(2**70)]}, 400),
        ("POST", "/roles", {"users": [True]}, 400),
        ("POST", "/roles", {"latest_token_expiry": "9999-12-31T23:59:59-14:00"}, 400),
        ("POST", "/roles", {"latest_token_expiry": "0001-01-01T00:00:00+14:00"}, 400),
        ("POST", "/roles", {"latest_token_expiry": "9999-12-31T23:59:59Z"}, 400),
        ("POST", "/roles", {"scopes": ["\0"]}, 400),
        ("POST", "/roles", {"name": "\0"}, 400),
        ("POST", "/users", {"password": "uneven-lantern-7-\ud800"}, 400),
        ("POST", "/session", {"username": "a\0", "password": PASSWORD}, 400),
        ("POST", "/session", {"username": "a\ud800", "password": PASSWORD}, 400),
        ("POST", "/session", {"username": "root", "password": "\ud800"}, 400),
        ("DELETE", "/servers/%00", None, 404),
        ("GET", "/servers/a%00/tokens", None, 404),
    ],
)
def test_what_cannot_be_stored_is_refused_and_breaks_nothing(
    app: Flask, world: World, database: Session, method: str, path: str, body: Any, status: int
) -> None:
    whole = {
        "/users": {"username": "zoe", "password": PASSWORD},
        "/roles": {"server": "north", "name": "planner", "scopes": ["run"], "longest_token_life_minutes": 9},
    }
    reply = Script(app, world.admin)(method, path, body and {**whole.get(path, {}), **body})
    assert reply.status_code == status
    assert reply.json["code"] == status
    assert database.scalars(select(User).where(User.username == "zoe")).all() == []


def test_pages_refuse_what_cannot_be_stored(root: Visitor, app: Flask, world: World) -> None:
    assert Visitor(app).sign_in("a\0").status_code == 400
    assert root.get("/admin/users?search=%00").status_code == 400
    assert root.get("/admin/servers/%00").status_code == 404
    assert root.get(f"/admin/users/{2**63}").status_code == 404
    assert root.post("/admin/roles/new/north", role_form(users=["9" * 5000])).status_code == 400
    far = role_form(latest_token_expiry="9999-12-31T23:59:59-14:00")
    assert root.post("/admin/roles/new/north", far).status_code == 400


def test_the_last_administrator_stays(
    root: Visitor, services: Services, database: Session, world: World
) -> None:
    identity = user_named(database, world.admin).id
    database.rollback()
    assert root.post(f"/admin/users/{identity}/delete").status_code == 400
    reply = root.post(f"/admin/users/{identity}", {"username": world.admin})
    assert reply.status_code == 400
    assert "last administrator" in reply.text
    ada = user_named(database, world.user)
    change_user(database, services, CONSOLE, ada.id, is_admin=True)
    delete_user(database, CONSOLE, identity)
    with pytest.raises(Refusal, match="last administrator"):
        delete_user(database, CONSOLE, ada.id)


def test_an_empty_password_leaves_the_password(
    app: Flask, root: Visitor, database: Session, world: World
) -> None:
    stranger = user_named(database, world.stranger).id
    database.rollback()
    root.post(f"/admin/users/{stranger}", {"username": "eva", "password": ""})
    assert Script(app, "eva")


def test_an_administrators_own_password_and_second_factor_are_not_changed_under_users(
    root: Visitor, services: Services, database: Session, world: World
) -> None:
    own = user_named(database, world.admin)
    identity, before = own.id, own.password_hash
    own.two_factor = TwoFactor(enabled=True, encrypted_secret="!")
    database.commit()
    page = root.get(f"/admin/users/{identity}").text
    assert 'href="/account">My account' in page
    assert 'name="password"' not in page
    assert "remove_two_factor" not in page
    for secret in ({"password": "quite-another-9-harbour-bench"}, {"remove_two_factor": "on"}):
        reply = root.post(f"/admin/users/{identity}", {"username": "root", "is_admin": "on", **secret})
        assert reply.status_code == 403
        assert "under My account" in reply.text
    database.expire_all()
    own = user_named(database, world.admin)
    assert own.password_hash == before
    assert own.has_two_factor


def test_renaming_oneself_keeps_the_own_session_and_ends_the_others(
    app: Flask, root: Visitor, database: Session, world: World
) -> None:
    other = Visitor(app)
    other.sign_in(world.admin)
    script = Script(app, world.admin)
    identity = user_named(database, world.admin).id
    database.rollback()
    assert root.post(f"/admin/users/{identity}", {"username": "chief", "is_admin": "on"}).status_code == 303
    assert "chief" in root.get("/account").text
    assert other.get("/account").status_code == 303
    assert script("GET", "/servers").status_code == 401


def test_users_are_found_by_search_and_by_page(services: Services, root: Visitor, database: Session) -> None:
    database.add_all(User(username=f"crowd_{number:03}", password_hash="!") for number in range(60))
    database.commit()
    first, second = root.get("/admin/users").text, root.get("/admin/users?page=2").text
    assert "Page 1 of 2" in first
    assert "crowd_059" not in first
    assert "crowd_059" in second
    found = root.get("/admin/users?search=CROWD_05", headers={"HX-Request": "true"}).text
    assert found.count('<th scope="row">') == 10
    assert "<html" not in found


def test_deleting_a_user_takes_tokens_and_leaves_roles(
    app: Flask, root: Visitor, database: Session, world: World
) -> None:
    Script(app, world.user)("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]})
    identity = user_named(database, world.user).id
    database.rollback()
    assert "record of 1 token" in root.get(f"/admin/users/{identity}/delete").text
    root.post(f"/admin/users/{identity}/delete")
    assert database.scalars(select(Token)).all() == []
    assert database.scalar(select(func.count()).select_from(Role)) == 4


def test_the_public_key_is_shown_and_downloaded(root: Visitor) -> None:
    page, file = root.get("/admin/public-key").text, root.get("/admin/public-key/flowauth_public_key.pub")
    assert file.text.startswith("-----BEGIN PUBLIC KEY-----")
    assert file.text.strip() in page


def test_a_scope_tree_of_hundreds_is_quick_to_make_and_submits_without_script(
    root: Visitor, database: Session
) -> None:
    many = [f"unit{a}:top{b}:kind{c}" for a in range(6) for b in range(21) for c in range(5)]
    page = upload(root, document("huge", many)).text
    root.post("/admin/servers/register", {"signed": signed(page), "longest_token_life_minutes": "60"})
    form = role_form(scopes=many, longest_token_life_minutes="60")
    assert root.post("/admin/roles/new/huge", form).status_code == 303
    role = role_named(database, "planner", "huge")
    assert len(role.scopes) == len(many)
    identity = role.id
    database.rollback()
    text = root.get(f"/admin/roles/{identity}").text
    assert text.count('name="scopes"') == text.count(" checked>") == len(many)


# Two at one moment


def form_of(page: str) -> dict[str, Any]:
    """The fields of a page's form as a browser would send them untouched."""
    form: dict[str, Any] = {}
    for tag in re.findall(r"<input [^>]*>", page.split('class="card">')[1].split("</form>")[0]):
        attributes = {name: html.unescape(value) for name, value in re.findall(r'([a-z_]+)="([^"]*)"', tag)}
        if "name" not in attributes or attributes["name"] == "csrf_token":
            continue
        if attributes["type"] != "checkbox":
            form[attributes["name"]] = attributes.get("value", "")
        elif tag.endswith(" checked>"):
            form.setdefault(attributes["name"], []).append(attributes.get("value", "on"))
    return form


def test_a_role_that_another_changed_meanwhile_is_replaced_only_after_a_look(
    app: Flask, root: Visitor, database: Session, world: World
) -> None:
    identity = role_named(database, "analyst", "north").id
    eve = user_named(database, world.stranger).id
    database.rollback()
    path = f"/admin/roles/{identity}"
    mine, others = form_of(root.get(path).text), form_of(root.get(path).text)
    others["users"].append(str(eve))
    others["scopes"].remove(SCOPES[0])
    assert root.post(path, others).status_code == 303
    mine["name"] = "surveyor"
    refused = root.post(path, mine)
    assert refused.status_code == 409
    assert f"scopes removed {SCOPES[0]}; users added eve." in refused.text
    again = form_of(refused.text)
    assert {**again, "shown": ""} == {**mine, "shown": ""}, "the input is kept"
    database.expire_all()
    assert database.get_one(Role, identity).name == "analyst"
    database.rollback()
    assert root.post(path, again).status_code == 303
    role = database.get_one(Role, identity)
    database.refresh(role)
    assert (role.name, [user.username for user in role.users]) == ("surveyor", ["ada"])


def test_a_user_whom_another_changed_meanwhile_is_replaced_only_after_a_look(
    root: Visitor, database: Session, world: World
) -> None:
    identity = user_named(database, world.user).id
    database.rollback()
    path = f"/admin/users/{identity}"
    mine = form_of(root.get(path).text)
    others = {**mine, "roles": [], "require_two_factor": "on"}
    assert root.post(path, others).status_code == 303
    refused = root.post(path, {**mine, "username": "adah"})
    assert refused.status_code == 409
    assert "require two factor is now on; roles removed north/analyst, south/analyst." in refused.text
    database.expire_all()
    assert user_named(database, world.user).roles == []
    database.rollback()
    assert root.post(path, form_of(refused.text)).status_code == 303
    database.expire_all()
    assert len(user_named(database, "adah").roles) == 2


@pytest.mark.parametrize("shown", ["", "[]", "{}", '{"name": 1}', "[" * 9999])
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_no_form_shows_is_refused(root: Visitor, database: Session, shown: str) -> None:
    identity = role_named(database, "analyst", "north").id
    database.rollback()
    reply = root.post(f"/admin/roles/{identity}", role_form(shown=shown))
    assert reply.status_code == 400
    assert "out of date" in reply.text


class Meanwhile:
    """A function run in a thread of its own, until it ends or waits for a lock."""

    def __init__(self, services: Services, function: Callable[[], Any]) -> None:
        self._services = services
        self._result: list[Any] = []
        self._thread = threading.Thread(target=lambda: self._result.append(function()))
        self._thread.start()

    def until_it_waits(self) -> None:
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        deadline = time.monotonic() + 30
        with self._services.engine.connect() as connection:
            while not connection.execute(waiting).scalar_one():
                connection.rollback()
                assert self._thread.is_alive(), "it has to wait for the other"
                assert time.monotonic() < deadline

    def result(self) -> Any:
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()
        return self._result[0]


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
@pytest.mark.parametrize("deleted", ["user", "server"])
def test_what_is_deleted_takes_along_a_token_that_is_just_being_made(
    app: Flask, services: Services, root: Visitor, database: Session, world: World, deleted: str
) -> None:
    ada = user_named(database, world.user)
    path = f"/admin/users/{ada.id}/delete" if deleted == "user" else "/admin/servers/north/delete"
    # As an action calling another: what it does is committed with this session.
    database.info["in_action"] = True
    with app.test_request_context():
        token, _ = mint(database, services, CONSOLE, ada, "north", "t", ["analyst"])
    jti = token.jti
    root.token()
    deleting = Meanwhile(services, lambda: root.post(path))
    deleting.until_it_waits()
    database.commit()
    assert deleting.result().status_code == 303
    assert database.scalars(select(Token)).all() == []
    assert database.scalars(select(Revocation.jti)).all() == [jti]


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_two_administrators_who_demote_each_other_do_not_wait_for_each_other(
    services: Services, database: Session, world: World
) -> None:
    change_user(database, services, CONSOLE, user_named(database, world.user).id, is_admin=True)
    first, second = sorted(user_named(database, name).id for name in (world.user, world.admin))

    def demote_second() -> Any:
        with services.session() as own:
            return change_user(own, services, CONSOLE, second, is_admin=False)

    lock = select(User.id).with_for_update(nowait=True)
    database.execute(lock.where(User.id == first))
    demoting = Meanwhile(services, demote_second)
    demoting.until_it_waits()
    database.execute(lock.where(User.id == second))
    database.rollback()
    demoting.result()
    assert not database.get_one(User, second).is_admin


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_a_name_taken_at_the_same_moment_is_refused_with_a_sentence(
    services: Services, root: Visitor, database: Session
) -> None:
    database.add(User(username="zoe", password_hash="!"))
    database.flush()
    form = {"username": "zoe", "password": PASSWORD}
    creating = Meanwhile(services, lambda: root.post("/admin/users/new", form))
    creating.until_it_waits()
    database.commit()
    reply = creating.result()
    assert reply.status_code == 409
    assert "at the same moment" in reply.text


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_who_is_deleted_while_making_a_token_is_refused_with_a_sentence(
    services: Services, ada: Visitor, database: Session, world: World
) -> None:
    # The page before has the session saved, which a user being deleted would hold up.
    ada.token()
    database.delete(user_named(database, world.user))
    database.flush()
    making = Meanwhile(
        services, lambda: ada.post("/servers/north/tokens/new", {"name": "t", "roles": ["analyst"]})
    )
    making.until_it_waits()
    database.commit()
    reply = making.result()
    assert reply.status_code == 409
    assert "at the same moment" in reply.text
    assert "Sign out" not in reply.text
