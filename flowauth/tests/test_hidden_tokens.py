"""Users hide ended tokens from their own list; nothing else changes."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowauth.models import AuditEvent, Token
from flowauth.testing import Script, Visitor, World


@pytest.fixture
def ids(app: Flask, world: World, ada: Visitor) -> dict[str, int]:
    """Make three tokens of ada and revoke two of them."""
    script = Script(app, world.user)
    made = {
        name: int(script("POST", "/servers/north/tokens", {"name": name, "roles": ["analyst"]}).json["id"])
        for name in ("first", "second", "running")
    }
    for name in ("first", "second"):
        ada.post(f"/tokens/{made[name]}/revoke")
    return made


def test_an_ended_token_is_hidden_and_shown_again(
    ada: Visitor, root: Visitor, ids: dict[str, int], database: Session
) -> None:
    assert ada.post("/servers/north/tokens/hide", {"token": ids["first"]}).status_code == 303
    page = ada.get("/servers/north").text
    assert "Hide first" not in page
    assert "Hide second" in page
    assert "Show the hidden token" in page
    assert "first" in root.get("/admin/tokens?state=all").text
    ada.post("/servers/north/tokens/show")
    assert "Hide first" in ada.get("/servers/north").text
    events = database.scalars(select(AuditEvent).where(AuditEvent.action.startswith("tokens."))).all()
    assert [(event.action, event.detail) for event in events] == [
        ("tokens.hidden", {"tokens": ["first"]}),
        ("tokens.shown", {"tokens": ["first"]}),
    ]


def test_all_ended_tokens_of_a_server_are_hidden(
    ada: Visitor, ids: dict[str, int], database: Session
) -> None:
    ada.post("/servers/north/tokens/hide")
    page = ada.get("/servers/north").text
    assert "2 tokens are hidden." in page
    assert "Show 2 hidden tokens" in page
    assert "Revoke running" in page
    hidden = database.scalars(select(Token.name).where(Token.is_hidden)).all()
    assert sorted(hidden) == ["first", "second"]


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("token", ["", "none", "-1", "9" * 30])
def test_a_broken_choice_hides_nothing(
    ada: Visitor, ids: dict[str, int], database: Session, token: str
) -> None:
    assert ada.post("/servers/north/tokens/hide", {"token": token}).status_code == 404
    assert database.scalars(select(Token).where(Token.is_hidden)).all() == []


def test_a_running_or_foreign_token_is_not_hidden(
    app: Flask, world: World, ada: Visitor, root: Visitor, ids: dict[str, int], database: Session
) -> None:
    reply = ada.post("/servers/north/tokens/hide", {"token": ids["running"]})
    assert (reply.status_code, "revoke it first" in reply.text) == (409, True)
    eve = Visitor(app)
    eve.sign_in(world.stranger)
    assert eve.post("/servers/north/tokens/hide", {"token": ids["first"]}).status_code == 404
    assert database.scalars(select(Token).where(Token.is_hidden)).all() == []
