"""Check that revoked tokens stay listed until expiry, even without their rows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from flowauth import clock, testing
from flowauth.database import _configuration, opened
from flowauth.models import AuditEvent, Revocation, Token, User
from flowauth.settings import Settings
from flowauth.testing import Script, Visitor, World


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return tmp_path / "revoked-tokens"


@pytest.fixture
def settings(settings: Settings, published: Path) -> Settings:
    return settings.model_copy(update={"revocation_file": published})


@pytest.fixture
def script(app: Flask, world: World) -> Script:
    return Script(app, world.user)


def mint(script: Script, name: str, server: str = "north") -> int:
    return int(script("POST", f"/servers/{server}/tokens", {"name": name, "roles": ["analyst"]}).json["id"])


def test_revoked_by_its_holder(script: Script, ada: Visitor, database: Session, published: Path) -> None:
    first, second, kept = (mint(script, name) for name in ("first", "second", "kept"))
    ada.post(f"/tokens/{first}/revoke")
    assert published.read_text() == f"{jti(database, first)}\n"
    script("POST", f"/tokens/{second}/revoke")
    assert set(published.read_text().split()) == {jti(database, first), jti(database, second)}
    assert published.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in published.parent.iterdir() if path.name.startswith(".")] == []
    assert jti(database, kept) not in published.read_text()


def test_an_administrator_revokes_all_that_a_user_has(
    script: Script, root: Visitor, database: Session, published: Path, world: World
) -> None:
    ids = [mint(script, "one"), mint(script, "two", "south")]
    ada = database.scalars(select(User.id).where(User.username == world.user)).one()
    database.rollback()
    assert "2 tokens of this user are running" in root.get(f"/admin/users/{ada}").text
    assert "2 tokens still running" in root.get(f"/admin/users/{ada}/revoke-tokens").text
    assert root.post(f"/admin/users/{ada}/revoke-tokens").status_code == 303
    expected = sorted(jti(database, token) for token in ids)
    assert published.read_text().split() == expected
    event = database.scalars(select(AuditEvent).where(AuditEvent.action == "user.tokens_revoked")).one()
    assert (event.actor, event.subject, event.detail) == ("root", "ada", {"revoked": expected})
    database.rollback()
    assert "tokens of this user" not in root.get(f"/admin/users/{ada}").text
    assert root.get("/admin/revoked-tokens/revoked_tokens.txt").text == published.read_text()
    assert "2 tokens on the list" in root.get("/admin/public-key").text


def test_tokens_of_what_is_deleted_are_revoked(
    script: Script, root: Visitor, database: Session, published: Path, world: World
) -> None:
    north, south = mint(script, "one"), mint(script, "two", "south")
    ids = {jti(database, north), jti(database, south)}
    root.post("/admin/servers/south/delete")
    assert len(published.read_text().split()) == 1
    ada = database.scalars(select(User.id).where(User.username == world.user)).one()
    database.rollback()
    root.post(f"/admin/users/{ada}/delete")
    assert database.scalars(select(Token)).all() == []
    assert set(published.read_text().split()) == ids


def test_what_has_expired_needs_no_line(
    script: Script, ada: Visitor, database: Session, published: Path
) -> None:
    past = clock.now() - timedelta(hours=2)
    token = mint(script, "expired")
    database.add(Revocation(jti="long-expired", expiry=past))
    database.execute(update(Token).values(expiry=past))
    database.commit()
    ada.post(f"/tokens/{token}/revoke")
    assert published.read_text() == ""
    assert database.scalars(select(Revocation)).all() == []


@pytest.mark.parametrize("by", ["readiness", "page", "button"])
def test_a_list_that_cannot_be_written_is_said_until_it_is_written(
    app: Flask, script: Script, ada: Visitor, root: Visitor, database: Session, published: Path, by: str
) -> None:
    token = mint(script, "t")
    published.mkdir()
    reply = ada.post(f"/tokens/{token}/revoke")
    assert reply.status_code == 500
    assert "they still take it" in reply.text
    ready = app.test_client().get("/health/ready")
    assert (ready.status_code, ready.json) == (
        503,
        {"status": "the list of revoked tokens cannot be written"},
    )
    assert "cannot be written to" in root.get("/admin/public-key").text
    assert root.post("/admin/revoked-tokens").status_code == 500
    published.rmdir()
    if by == "readiness":
        assert app.test_client().get("/health/ready").status_code == 200
    elif by == "page":
        assert "cannot be written to" not in root.get("/admin/public-key").text
    else:
        assert root.post("/admin/revoked-tokens").status_code == 303
    assert published.read_text() == f"{jti(database, token)}\n"


def test_a_list_that_was_taken_away_is_written_again(
    app: Flask, script: Script, ada: Visitor, database: Session, published: Path
) -> None:
    token = mint(script, "t")
    ada.post(f"/tokens/{token}/revoke")
    published.unlink()
    assert app.test_client().get("/health/ready").status_code == 200
    assert published.read_text() == f"{jti(database, token)}\n"


def test_what_was_revoked_before_there_was_a_list_is_on_it(settings: Settings) -> None:
    with opened(settings.database_uri) as engine, engine.connect() as connection:
        configuration = _configuration(connection)
        command.downgrade(configuration, "0001")
        connection.execute(
            text("INSERT INTO server (id, name, longest_token_life_minutes) VALUES (1, 's', 1)")
        )
        connection.execute(text("""INSERT INTO "user" (id, username, _password) VALUES (1, 'u', '')"""))
        for number, revoked in ((1, "'2016-01-01'"), (2, "NULL")):
            connection.execute(
                text(
                    "INSERT INTO token_history (id, name, _token, jti, issued, expiry, user_id, server_id, role_names,"
                    f" revoked_at) VALUES ({number}, 't', '', 'jti-{number}', '2016-01-01', '2999-01-01', 1, 1, '[]',"
                    f" {revoked})"
                )
            )
        command.upgrade(configuration, "head")
        assert connection.execute(text("SELECT jti FROM revocation")).scalars().all() == ["jti-1"]
        connection.commit()


def test_an_app_without_the_setting_writes_nothing_and_says_what_to_do(
    settings: Settings, published: Path, world: World
) -> None:
    with testing.opened(settings.model_copy(update={"revocation_file": None})) as app:
        script, ada = Script(app, world.user), Visitor(app)
        ada.sign_in(world.user)
        token = mint(script, "t")
        assert "until you copy the new list" in ada.get(f"/tokens/{token}/revoke").text
        ada.post(f"/tokens/{token}/revoke")
        assert not published.exists()


def jti(database: Session, token_id: int) -> str:
    found = database.scalars(select(Token.jti).where(Token.id == token_id)).one()
    database.rollback()
    return found
