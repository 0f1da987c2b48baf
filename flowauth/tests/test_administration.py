"""Administer users and roles through the pages."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.actions.users import change_user, delete_user
from flowauth.audit import CONSOLE
from flowauth.errors import Refusal
from flowauth.models import AuditEvent, Role, Token, TwoFactor, User
from flowauth.services import Services
from flowauth.testing import (
    DAY,
    PASSWORD,
    SCOPES,
    Script,
    Visitor,
    World,
    description_of,
    form_of,
    role_form,
    role_named,
    server_named,
    signed,
    upload,
    user_named,
)
from flowauth.throttle import ACCOUNT_TRIES

# Roles


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
    assert "0 members lose this role" in root.get(f"/admin/roles/{identity}/delete").text
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
    page = upload(root, description_of()).text
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
        assert "Type the password again" in reply.text
        assert PASSWORD not in reply.text


# Requests that no form of ours sends


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


# Concurrent changes


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


@pytest.mark.parametrize("name", ["Ada", "ADA"])
def test_names_that_differ_in_case_alone_are_one(
    root: Visitor, database: Session, world: World, name: str
) -> None:
    taken = root.post("/admin/users/new", {"username": name, "password": PASSWORD})
    assert taken.status_code == 400
    assert "The user name ada is taken." in taken.text
    ada = user_named(database, world.user).id
    database.rollback()
    assert root.post(f"/admin/users/{ada}", {"username": name}).status_code == 303, "one's own may change"


def test_users_are_found_by_what_is_true_of_them(
    app: Flask, root: Visitor, database: Session, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A lock of seconds would end on a busy machine before it is looked for.
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    eve = user_named(database, world.stranger)
    eve.two_factor = TwoFactor(enabled=True, encrypted_secret="")
    role = role_named(database, "analyst", "north").id
    database.commit()
    for _ in range(ACCOUNT_TRIES):
        Visitor(app).sign_in(world.user, "wrong-password-here")
    for search, names in {
        "": ["ada", "eve", "root"],
        f"role={role}": ["ada"],
        "only=administrators": ["root"],
        "only=two_factor": ["eve"],
        "only=no_two_factor": ["ada", "root"],
        "only=locked": ["ada"],
        "only=no_roles": ["eve", "root"],
        "only=no_roles&search=ro": ["root"],
    }.items():
        page = root.get(f"/admin/users?{search}").text
        assert re.findall(r'<th scope="row">(\w+)', page) == names, search
        assert f"{len(names)} user" in page
