"""Check that the audit trail commits with its change and detects tampering."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from flowauth import audit, clock
from flowauth.actions import trail, users
from flowauth.audit import CONSOLE
from flowauth.errors import Refusal
from flowauth.models import AuditEvent, AuditHead, User
from flowauth.services import Services
from flowauth.testing import PASSWORD, Script, Visitor, World


def actions(database: Session) -> list[str]:
    found = list(database.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))
    database.rollback()
    return found


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["night-job_7"], "night-job_7."),
        (["x" * 64], "x" * 64 + "."),
        (["x" * 65], ""),
        (["two words"], ""),
        (["one", "two"], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_a_callers_request_id_is_kept_in_log_and_trail(
    app: Flask,
    root: Visitor,
    world: World,
    database: Session,
    sent: list[str],
    kept: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = Script(app, world.user)
    headers = [*script.headers.items(), *(("X-Request-ID", one) for one in sent)]
    reply = script.client.post(
        "/api/v1/servers/north/tokens", json={"name": "t", "roles": ["analyst"]}, headers=headers
    )
    assert reply.status_code == 201
    event = database.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert event is not None
    assert event.request_id == reply.headers["X-Request-ID"]
    assert event.request_id.startswith(kept)
    assert len(event.request_id) == (len(kept) + 32 if kept else 36)
    database.rollback()
    assert f"request_id={reply.headers['X-Request-ID']} " in capsys.readouterr().out
    found = root.get(f"/admin/audit?search={reply.headers['X-Request-ID']}").text
    assert "1 event found" in found
    assert "north/t" in found
    assert trail.check(database) is None


def test_every_kind_of_change_leaves_its_event(
    app: Flask, ada: Visitor, root: Visitor, world: World, database: Session
) -> None:
    script = Script(app, world.user)
    token = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json["id"]
    ada.post(f"/tokens/{token}/revoke")
    event = database.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert event is not None
    assert (event.actor, event.action, event.subject) == ("ada", "token.revoked", "north/t")
    assert event.address == "127.0.0.1"
    assert len(event.request_id) == 36
    database.rollback()
    kinds = {
        "user.created",
        "server.registered",
        "role.created",
        "sign_in.succeeded",
        "token.minted",
        "token.revoked",
    }
    assert kinds <= set(actions(database))
    assert trail.check(database) is None


def test_a_change_without_its_event_does_not_happen(
    services: Services, database: Session, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = actions(database)

    def fail(*_arguments: Any, **_details: Any) -> None:
        raise OSError("no room for another event")

    monkeypatch.setattr(audit, "record", fail)
    with pytest.raises(OSError, match="no room"):
        users.create_user(database, services, CONSOLE, "zoe", PASSWORD)
    assert database.scalars(select(User).where(User.username == "zoe")).all() == []
    assert actions(database) == before


def test_an_event_without_its_change_does_not_happen(
    database: Session, services: Services, world: World
) -> None:
    before = actions(database)
    administrator = database.scalars(select(User).where(User.is_admin)).one().id
    with pytest.raises(Exception, match="last administrator"):
        users.delete_user(database, CONSOLE, administrator)
    assert actions(database) == before


@pytest.mark.parametrize("statement", ["UPDATE audit_event SET actor = 'nobody'", "DELETE FROM audit_event"])
def test_the_database_refuses_to_change_the_trail(database: Session, world: World, statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"):
        database.execute(text(statement))
    database.rollback()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "bend",
    [
        "UPDATE audit_event SET actor = 'nobody' WHERE id = 3",
        "UPDATE audit_event SET detail = '{}' WHERE id = 2",
        "DELETE FROM audit_event WHERE id = 2",
        "DELETE FROM audit_event WHERE id = (SELECT max(id) FROM audit_event)",
    ],
)
def test_whoever_goes_round_the_database_is_found_out(
    database: Session, world: World, root: Visitor, bend: str
) -> None:
    for trigger in ("audit_event_is_never_updated", "audit_event_is_never_deleted"):
        database.execute(text(f"DROP TRIGGER {trigger}"))
    database.execute(text(bend))
    database.commit()
    assert trail.check(database)
    database.rollback()
    assert 'role="alert"' in root.get("/admin/audit").text


def test_the_trail_is_searched_and_exported(root: Visitor, database: Session) -> None:
    page = root.get("/admin/audit?search=role.created", headers={"HX-Request": "true"}).text
    assert "north/analyst" in page
    assert "sign_in" not in page
    lines = root.get("/admin/audit.csv").text.strip().splitlines()
    events = database.scalar(select(func.count()).select_from(AuditEvent))
    assert len(lines) - 1 == events == database.scalars(select(AuditHead.length)).one()


def renamed(root: Visitor, database: Session) -> None:
    """Rename ada to grace, then to anna."""
    identity = database.scalars(select(User.id).where(User.username == "ada")).one()
    database.rollback()
    for name in ("grace", "anna"):
        assert root.post(f"/admin/users/{identity}", {"username": name}).status_code == 303


def subjects(page: str) -> list[str]:
    return re.findall(r'data-label="Which">([^<]*)<', page)


def test_a_user_is_found_under_every_name_and_details_are_searched(
    root: Visitor, world: World, database: Session
) -> None:
    renamed(root, database)
    for name in ("ada", "grace", "anna"):
        found = subjects(root.get(f"/admin/audit?who={name}").text)
        assert {"ada", "grace", "anna"} <= set(found), name
        assert "eve" not in found
    assert "north" in subjects(root.get("/admin/audit?search=longest_token_life").text)
    assert subjects(root.get("/admin/audit?search=100%25").text) == []


def test_events_are_found_by_day(root: Visitor, world: World) -> None:
    today = clock.now().date()
    everything = len(subjects(root.get("/admin/audit").text))
    assert everything > 5
    assert len(subjects(root.get(f"/admin/audit?first={today}&last={today}").text)) == everything
    tomorrow = today + timedelta(days=1)
    assert subjects(root.get(f"/admin/audit?first={tomorrow}").text) == []
    assert subjects(root.get(f"/admin/audit?last={today - timedelta(days=1)}").text) == []
    assert root.get("/admin/audit?first=yesterday").status_code == 400


def test_a_change_is_told_as_what_differs(root: Visitor, world: World, database: Session) -> None:
    renamed(root, database)
    page = root.get("/admin/audit?search=user.changed").text
    assert "ada → grace" in page
    assert "require two factor" not in page


def test_a_user_sees_the_own_events_and_nobody_elses(
    root: Visitor, ada: Visitor, world: World, database: Session
) -> None:
    renamed(root, database)
    again = Visitor(root.client.application)
    again.sign_in("anna")
    page = again.get("/account/events").text
    assert "sign_in.succeeded" in page
    assert {"ada", "grace", "anna"} <= set(subjects(page))
    assert "eve" not in subjects(page)


def test_a_file_of_all_events_is_sent_while_it_is_read(root: Visitor, database: Session) -> None:
    count = database.scalars(select(AuditHead.length)).one()
    database.rollback()
    rows = json.loads(root.get("/admin/audit.json").text)
    assert len(rows) == count
    assert {row["action"] for row in rows} >= {"user.created", "sign_in.succeeded"}
    reply = root.client.get("/admin/audit.csv")
    assert reply.is_streamed
    assert len(reply.text.strip().splitlines()) == count + 1
    assert json.loads(root.get("/admin/audit.json?search=no-such-thing").text) == []


def test_only_what_is_new_is_hashed(
    root: Visitor, world: World, database: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trail.check(database) is None
    database.rollback()
    hashed: list[int] = []
    real = audit.hash_of
    monkeypatch.setattr(audit, "hash_of", lambda event: hashed.append(event.id) or real(event))
    assert trail.check(database) is None
    assert len(hashed) == 1, "the last one checked is looked at again"
    database.rollback()
    root.post("/admin/users/new", {"username": "zoe", "password": PASSWORD})
    hashed.clear()
    assert trail.check(database) is None
    new = [event for event in hashed[1:] if event is not None]
    assert len(new) == 1
    hashed.clear()
    assert trail.check(database, everything=True) is None
    assert len(hashed) == database.scalars(select(AuditHead.length)).one()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("bend", "is_seen_at_once"),
    [
        ("UPDATE audit_event SET actor = 'nobody' WHERE id = (SELECT max(id) FROM audit_event)", True),
        ("DELETE FROM audit_event WHERE id = 2", True),
        ("UPDATE audit_event SET actor = 'nobody' WHERE id = 2", False),
    ],
)
def test_what_is_bent_after_it_was_checked_is_found(
    database: Session, world: World, root: Visitor, bend: str, is_seen_at_once: bool
) -> None:
    assert trail.check(database) is None
    for trigger in ("audit_event_is_never_updated", "audit_event_is_never_deleted"):
        database.execute(text(f"DROP TRIGGER {trigger}"))
    database.execute(text(bend))
    database.commit()
    database.expire_all()
    assert bool(trail.check(database)) == is_seen_at_once
    assert trail.check(database, everything=True)
    database.rollback()
    answer = root.post("/admin/audit/check", follow_redirects=True)
    assert "does not hold" in answer.text or "should have" in answer.text


def test_old_events_are_forgotten_and_the_chain_goes_on(
    root: Visitor, services: Services, world: World, database: Session
) -> None:
    count = database.scalars(select(AuditHead.length)).one()
    with pytest.raises(DatabaseError, match="append-only"):
        database.execute(text("DELETE FROM audit_event"))
    database.rollback()
    assert trail.forget(database, CONSOLE, clock.now() - timedelta(days=1)) == 0
    assert trail.forget(database, CONSOLE, clock.now() + timedelta(seconds=5)) == count
    assert actions(database) == ["audit.forgotten"]
    assert trail.check(database) is None
    assert trail.check(database, everything=True) is None
    database.rollback()
    with pytest.raises(DatabaseError, match="append-only"):
        database.execute(text("DELETE FROM audit_event"))
    database.rollback()
    users.create_user(database, services, CONSOLE, "zoe", PASSWORD)
    assert trail.check(database) is None
    database.rollback()
    assert f"{count} older events are deleted" in root.get("/admin/audit").text


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_broken_trail_is_not_forgotten(database: Session, world: World) -> None:
    database.execute(text("DROP TRIGGER audit_event_is_never_updated"))
    database.execute(text("UPDATE audit_event SET actor = 'nobody' WHERE id = 2"))
    database.commit()
    with pytest.raises(Refusal, match="Nothing is deleted"):
        trail.forget(database, CONSOLE, clock.now() + timedelta(seconds=5))
    assert len(actions(database)) > 2


def test_a_user_downloads_what_is_held_about_them(
    app: Flask, ada: Visitor, root: Visitor, world: World, database: Session
) -> None:
    text = Script(app, world.user)(
        "POST", "/servers/north/tokens", {"name": "mine", "roles": ["analyst"]}
    ).json["token"]
    Script(app, world.admin)("POST", "/users", {"username": "zoe", "password": PASSWORD})
    made = ada.post("/account/credentials", {"name": "nightly", "days": "9", "rights": ["read"]}).text
    secret = re.search(r">(flowauth_[^<]+)<", made)
    assert secret
    reply = ada.get("/account/my_data.json")
    assert reply.headers["Content-Disposition"] == "attachment; filename=my_data.json"
    data = reply.json
    assert data["account"]["username"] == "ada"
    assert data["account"]["roles"] == ["north/analyst", "south/analyst"]
    assert [token["name"] for token in data["tokens"]] == ["mine"]
    assert [credential["name"] for credential in data["credentials"]] == ["nightly"]
    actions = {event["action"] for event in data["events"]}
    assert actions >= {"user.created", "sign_in.succeeded", "token.minted", "credential.made"}
    # Nothing that opens anything, and nothing about others.
    for hidden in (text, secret[1], "argon2", "zoe", "password_hash"):
        assert hidden not in reply.text
