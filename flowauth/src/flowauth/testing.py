"""A small world and visitors to it, for the tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from flowauth.actions.roles import save_role
from flowauth.actions.servers import register_server
from flowauth.actions.users import create_user
from flowauth.api_description import ApiDescription
from flowauth.audit import CONSOLE
from flowauth.models import Role, User
from flowauth.services import Services

PASSWORD = "uneven-lantern-7-orchard"
DAY = 24 * 60
SCOPES = (
    "admin1:flows:daily_location",
    "admin1:flows:flows",
    "admin3:flows:daily_location",
    "admin3:flows:flows",
    "admin3:flows_of_all:flows",
    "get_available_dates",
    "get_result",
    "run",
)


@dataclass(frozen=True)
class World:
    """Two servers with a role ``analyst`` each; ``ada`` holds both, ``root`` administers, ``eve`` holds nothing."""

    north: str = "north"
    south: str = "south"
    user: str = "ada"
    admin: str = "root"
    stranger: str = "eve"


def add_user(session: Session, services: Services, name: str, **kwargs: Any) -> User:
    return create_user(session, services, CONSOLE, name, PASSWORD, must_change_password=False, **kwargs)


def build_world(services: Services) -> World:
    world = World()
    with services.session() as session:
        ada = add_user(session, services, world.user)
        add_user(session, services, world.admin, is_admin=True)
        add_user(session, services, world.stranger)
        for name, scopes in ((world.north, SCOPES[:2] + SCOPES[5:]), (world.south, SCOPES[2:])):
            server = register_server(session, CONSOLE, ApiDescription(name, scopes), 10 * DAY)
            for role, chosen in (("analyst", scopes[:3]), ("reader", scopes[-2:-1])):
                save_role(
                    session,
                    CONSOLE,
                    server,
                    None,
                    name=role,
                    scopes=chosen,
                    users=[ada.id] if role == "analyst" else [],
                    longest_token_life_minutes=DAY,
                    latest_token_expiry=None,
                )
    return world


def role_named(session: Session, name: str, server: str) -> Role:
    return next(
        role for role in session.scalars(select(Role).where(Role.name == name)) if role.server.name == server
    )


class Visitor:
    """Somebody with a browser that runs no script: forms are sent with the hidden fields of the page before."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.client.get(path, **kwargs)

    def token(self) -> str:
        """The anti-forgery token that any page of this visit carries."""
        for path in ("/sign-in/code", "/sign-in", "/account"):
            found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(path).text)
            if found:
                return found[1]
        raise AssertionError("no page carries a form")

    def post(self, path: str, data: dict[str, Any] | None = None, **kwargs: Any) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.token(), **(data or {})}, **kwargs)

    def sign_in(self, username: str, password: str = PASSWORD) -> TestResponse:
        return self.post("/sign-in", {"username": username, "password": password})

    @property
    def cookie(self) -> str | None:
        cookie = self.client.get_cookie("session")
        return cookie.value if cookie else None


class Script:
    """Somebody with a script, signed in at ``/api/v1``."""

    def __init__(self, app: Flask, username: str, password: str = PASSWORD) -> None:
        self.client = app.test_client()
        reply = self.client.post("/api/v1/session", json={"username": username, "password": password})
        assert reply.status_code == 200, reply.text
        self.headers = {"Authorization": f"Bearer {reply.json['access_token']}"}

    def __call__(self, method: str, path: str, json: Any = None) -> TestResponse:
        return self.client.open(f"/api/v1{path}", method=method, json=json, headers=self.headers)
