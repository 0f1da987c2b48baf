"""Choose a password by a one-time link."""

from __future__ import annotations

import re
import threading

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.models import AccountLink, ApiCredential, AuditEvent, User
from flowauth.testing import PASSWORD, Script, Visitor, World, user_named

CHOSEN = "sober-violin-41-harbour"
CHOICE = {"new_password": CHOSEN, "new_password_again": CHOSEN}


def link_in(page: str) -> str:
    """Return the path of the link that a page shows."""
    found = re.search(r'<pre id="link"[^>]*>http://localhost(/choose-password/[\w-]+)</pre>', page)
    assert found, page
    return found[1]


def made(root: Visitor, database: Session, name: str) -> str:
    identity = user_named(database, name).id
    database.rollback()
    return link_in(root.post(f"/admin/users/{identity}/link").text)


def test_a_new_user_chooses_the_password(
    app: Flask, root: Visitor, database: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = root.post("/admin/users/new", {"username": "zoe", "password": "", "link": "1"})
    assert reply.status_code == 200
    path = link_in(reply.text)
    zoe = Visitor(app)
    assert "Choose a password for zoe" in zoe.get(path).text
    reply = zoe.post(path, {"new_password": "password1234", "new_password_again": "other"})
    assert reply.status_code == 400
    assert 'id="new_password-wrong"' in reply.text
    assert 'id="new_password_again-wrong"' in reply.text
    assert zoe.post(path, CHOICE).location == "/sign-in"
    assert zoe.sign_in("zoe", CHOSEN).location == "/"
    assert zoe.get("/").status_code == 200, "nothing has to be changed"
    # Once.
    for again in (zoe.get(path), zoe.post(path, CHOICE)):
        assert again.status_code == 404
        assert "used or has ended" in again.text
    trail = database.scalars(select(AuditEvent).where(AuditEvent.subject == "zoe").order_by(AuditEvent.id))
    events = [(event.actor, event.action) for event in trail]
    assert events == [
        ("root", "user.created"),
        ("root", "user.link_made"),
        ("zoe", "password.chosen"),
        ("zoe", "sign_in.succeeded"),
    ]
    code = path.rpartition("/")[2]
    assert code not in capsys.readouterr().out
    assert code not in str([event.detail for event in database.scalars(select(AuditEvent))])


def test_a_refused_user_gets_no_link(root: Visitor, database: Session) -> None:
    reply = root.post("/admin/users/new", {"username": "ada", "password": "", "link": "1"})
    assert reply.status_code == 400
    assert "ada is taken" in reply.text
    assert database.scalars(select(AccountLink)).all() == []


def test_the_present_password_works_until_the_link_is_used(
    app: Flask, root: Visitor, ada: Visitor, world: World, database: Session
) -> None:
    ada.post("/account/credentials", {"name": "nightly", "days": "9", "rights": ["read"]})
    path = made(root, database, world.user)
    assert Visitor(app).sign_in(world.user).status_code == 303
    assert Visitor(app).post(path, CHOICE).status_code == 303
    assert Visitor(app).sign_in(world.user, PASSWORD).status_code == 401
    assert Visitor(app).sign_in(world.user, CHOSEN).status_code == 303
    assert ada.get("/").status_code == 303, "sessions end"
    assert database.scalars(select(ApiCredential)).all() == []


def test_a_link_ends(root: Visitor, world: World, database: Session) -> None:
    first = made(root, database, world.user)
    second = made(root, database, world.user)
    assert root.get(first).status_code == 404, "a new link replaces it"
    assert root.get(second).status_code == 200
    identity = user_named(database, world.user).id
    database.rollback()
    assert "A link waits until" in root.get(f"/admin/users/{identity}").text
    root.post(f"/admin/users/{identity}/link/withdraw")
    assert root.get(second).status_code == 404
    third = made(root, database, world.user)
    database.execute(update(AccountLink).values(expires=clock.now()))
    database.commit()
    assert root.post(third, CHOICE).status_code == 404
    assert "By a link the user chooses" in root.get(f"/admin/users/{identity}").text
    fourth = made(root, database, world.user)
    root.post(f"/admin/users/{identity}/delete")
    assert root.get(fourth).status_code == 404


def test_nobody_makes_a_link_for_the_own_account(root: Visitor, world: World, database: Session) -> None:
    identity = user_named(database, world.admin).id
    database.rollback()
    assert root.post(f"/admin/users/{identity}/link").status_code == 403


def test_of_two_choices_at_once_one_counts(
    app: Flask, root: Visitor, world: World, database: Session
) -> None:
    path, replies = made(root, database, world.stranger), []
    visitors = [Visitor(app), Visitor(app)]
    tokens = [visitor.token() for visitor in visitors]
    together = threading.Barrier(2)

    def choose(visitor: Visitor, token: str) -> None:
        together.wait(timeout=20)
        replies.append(visitor.client.post(path, data={"csrf_token": token, **CHOICE}).status_code)

    threads = [threading.Thread(target=choose, args=one) for one in zip(visitors, tokens, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(replies) == [303, 404]
    chosen = select(AuditEvent).where(AuditEvent.action == "password.chosen")
    assert len(database.scalars(chosen).all()) == 1
    assert (
        database.scalars(select(User.must_change_password).where(User.username == world.stranger)).one()
        is False
    )


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_script_knows_no_links(app: Flask, world: World) -> None:
    body = {"username": "zoe", "password": PASSWORD, "link": True}
    assert Script(app, world.admin)("POST", "/users", body).json["bad_field"] == "link"
