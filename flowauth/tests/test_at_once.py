"""Run two changes at the same moment; no update is lost and none deadlocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from flowauth import passwords
from flowauth.actions.demo import load_demo
from flowauth.actions.tokens import mint
from flowauth.actions.users import change_user
from flowauth.api_description import ApiDescription
from flowauth.audit import CONSOLE
from flowauth.models import AuditHead, Revocation, Token, User
from flowauth.passwords import Passwords
from flowauth.services import Services
from flowauth.settings import Settings
from flowauth.testing import PASSWORD, SCOPES, Script, Visitor, World, opened, user_named


class Meanwhile:
    """Run a function in a thread until it ends or waits for a lock."""

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
    # Act as an action that calls another: its work is committed with this session.
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
    # An earlier page saves the session, whose later save a user's deletion would block.
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


# Slow work holds no lock


@pytest.fixture
def unlocked(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of hashes and estimates; each checks that no lock is held."""
    done: list[str] = []
    another = services.engine.execution_options(reading=False)

    def watched(name: str, slow: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*arguments: Any, **options: Any) -> Any:
            with another.connect() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SET LOCAL lock_timeout = '1ms'"))
                # On SQLite the transaction has begun by now and holds the only write lock.
                connection.execute(select(AuditHead).with_for_update())
                connection.execute(select(User).with_for_update())
                connection.rollback()
            done.append(name)
            return slow(*arguments, **options)

        return watch

    for name in ("hash", "matches"):
        monkeypatch.setattr(Passwords, name, watched(name, getattr(Passwords, name)))
    monkeypatch.setattr(passwords, "zxcvbn", watched("zxcvbn", passwords.zxcvbn))
    return done


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make lock timeouts immediate."""
    monkeypatch.setattr("flowauth.database.LOCK_SECONDS", 0.05)


NEW = "another-uneven-lantern-8"
ACTS: dict[str, tuple[Callable[[Visitor, Script, int], Any], list[str]]] = {
    "sign in": (lambda root, script, ada: root.sign_in("ada"), ["matches"]),
    "create a user by page": (
        lambda root, script, ada: root.post("/admin/users/new", {"username": "zoe", "password": NEW}),
        ["zxcvbn", "hash"],
    ),
    "create a user by script": (
        lambda root, script, ada: script("POST", "/users", {"username": "zoe", "password": NEW}),
        ["zxcvbn", "hash"],
    ),
    "set another's password": (
        lambda root, script, ada: root.post(f"/admin/users/{ada}", {"username": "ada", "password": NEW}),
        ["zxcvbn", "hash"],
    ),
    "change one's password": (
        lambda root, script, ada: root.post(
            "/account/password", {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
        ),
        ["matches", "zxcvbn", "hash"],
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_nobody_waits_for_a_password_to_be_hashed(
    app: Flask, root: Visitor, database: Session, impatient: None, unlocked: list[str], act: str
) -> None:
    script, ada = Script(app, "root"), user_named(database, "ada").id
    database.rollback()
    root.token()
    unlocked.clear()
    function, slow = ACTS[act]
    assert function(root, script, ada).status_code in (201, 303)
    assert unlocked == slow


def test_nobody_waits_for_a_hash_made_with_other_costs(
    settings: Settings, world: World, impatient: None, unlocked: list[str]
) -> None:
    with opened(settings.model_copy(update={"argon2_time_cost": 2})) as app:
        unlocked.clear()
        Visitor(app).sign_in(world.user)
        assert unlocked == ["matches", "hash"]
        unlocked.clear()
        Visitor(app).sign_in(world.user)
        assert unlocked == ["matches"], "the hash is renewed"


def test_nobody_waits_for_the_demo(services: Services, impatient: None, unlocked: list[str]) -> None:
    with services.session() as database:
        load_demo(database, services, ApiDescription("TEST_SERVER", SCOPES))
    assert set(unlocked) == {"matches", "hash"}


@pytest.fixture
def blocked(settings: Settings, world: World, impatient: None) -> Iterator[Flask]:
    """Provide an app whose database another writer keeps locked."""
    with opened(settings) as app:
        yield app


def test_who_waits_too_long_is_told_to_try_again(blocked: Flask, database: Session, world: World) -> None:
    visitor, script = Visitor(blocked), Script(blocked, world.user)
    visitor.sign_in(world.user)
    visitor.token()
    database.execute(select(AuditHead).with_for_update())
    form = {"name": "t", "roles": ["analyst"]}
    page = visitor.client.post("/servers/north/tokens/new", data={**form, "csrf_token": visitor.token()})
    reply = script("POST", "/servers/north/tokens", form)
    assert (page.status_code, reply.status_code) == (503, 503)
    assert page.headers["Retry-After"] == reply.headers["Retry-After"] == str(reply.json["retry_after"])
    assert "try again" in reply.json["message"]
    assert "Sign out" in page.text
    assert visitor.get("/").status_code == 200, "reading waits for nobody"
    database.rollback()
    assert visitor.post("/servers/north/tokens/new", form).status_code == 303


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_visit_that_cannot_be_stored_is_no_fault(blocked: Flask, database: Session, world: World) -> None:
    database.execute(select(AuditHead).with_for_update())
    reply = Visitor(blocked).get("/sign-in")
    assert reply.status_code == 503
    assert int(reply.headers["Retry-After"]) > 0
