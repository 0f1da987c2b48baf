"""A first administrator is led to a server, a role, a user and a token."""

from __future__ import annotations

import pytest
from flask import Flask

from flowauth.__main__ import _say_if_nobody_administers
from flowauth.services import Services
from flowauth.testing import Visitor, add_user, description_of, role_form, signed, upload


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_each_step_is_done_in_turn(app: Flask, services: Services) -> None:
    with services.session() as session:
        add_user(session, services, "first", is_admin=True)
        add_user(session, services, "second")
    visitor = Visitor(app)
    visitor.sign_in("first")
    assert done(visitor) == 0
    preview = upload(visitor, description_of())
    visitor.post(
        "/admin/servers/register", {"signed": signed(preview.text), "longest_token_life_minutes": "1440"}
    )
    assert done(visitor) == 1
    visitor.post("/admin/roles/new/east", role_form())
    assert done(visitor) == 2
    visitor.post("/admin/roles/1", role_form(users=["2"]))
    assert done(visitor) == 3
    assert '<a href="/admin/users/1">Make a token</a>' in visitor.get("/").text
    assert '<a href="/admin/users/1">Give yourself a role</a>' in visitor.get("/").text
    visitor.post("/admin/roles/1", role_form(users=["1", "2"]))
    assert '<a href="/servers/east/tokens/new">Make a token</a>' in visitor.get("/").text
    visitor.post("/servers/east/tokens/new", {"name": "first", "roles": ["planner"]})
    assert "First steps" not in visitor.get("/").text


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_others_see_no_steps(app: Flask, services: Services) -> None:
    with services.session() as session:
        add_user(session, services, "second")
    visitor = Visitor(app)
    visitor.sign_in("second")
    assert "First steps" not in visitor.get("/").text


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_start_says_that_nobody_administers(
    app: Flask, services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    with services.session() as session:
        add_user(session, services, "second")
    _say_if_nobody_administers(services)
    assert "run `python -m flowauth add-admin NAME`" in capsys.readouterr().err
    with services.session() as session:
        add_user(session, services, "first", is_admin=True)
    _say_if_nobody_administers(services)
    assert capsys.readouterr().err == ""


def done(visitor: Visitor) -> int:
    page = visitor.get("/").text
    assert "First steps" in page
    return page.count("chip good")
