"""The audit trail holds with the change or not at all, and cannot be bent."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from flowauth import audit
from flowauth.actions import users
from flowauth.audit import CONSOLE
from flowauth.models import AuditEvent, AuditHead, User
from flowauth.services import Services
from flowauth.testing import PASSWORD, Script, Visitor, World


def actions(database: Session) -> list[str]:
    found = list(database.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))
    database.rollback()
    return found


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
    assert audit.first_break(database) is None


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
    assert audit.first_break(database)
    database.rollback()
    assert 'role="alert"' in root.get("/admin/audit").text


def test_the_trail_is_searched_and_exported(root: Visitor, database: Session) -> None:
    page = root.get("/admin/audit?search=role.created", headers={"HX-Request": "true"}).text
    assert "north/analyst" in page
    assert "sign_in" not in page
    lines = root.get("/admin/audit.csv").text.strip().splitlines()
    events = database.scalar(select(func.count()).select_from(AuditEvent))
    assert len(lines) - 1 == events == database.scalars(select(AuditHead.length)).one()
