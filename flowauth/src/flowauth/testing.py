"""Provide a small world and visitors for tests."""

from __future__ import annotations

import contextlib
import html
import io
import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from flowauth.actions import signing_keys
from flowauth.actions.roles import save_role
from flowauth.actions.servers import register_server
from flowauth.actions.users import create_user
from flowauth.api_description import ApiDescription
from flowauth.app import create_app
from flowauth.audit import CONSOLE
from flowauth.database import migrate
from flowauth.models import Role, Server, User
from flowauth.services import Services
from flowauth.settings import Settings
from flowauth.signing import new_key, private_pem, public_pem

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
    """Hold two servers with a role ``analyst`` each.

    ``ada`` holds both roles, ``root`` administers, ``eve`` holds nothing.
    """

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


def user_named(session: Session, name: str) -> User:
    return session.scalars(select(User).where(User.username == name)).one()


def server_named(session: Session, name: str) -> Server:
    return session.scalars(select(Server).where(Server.name == name)).one()


class _CompiledTemplates(BytecodeCache):
    """Keep compiled templates for the apps of this process.

    Each test has an app of its own. Compiling the templates again took a fifth of the tests' time.
    """

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _CompiledTemplates()


@contextlib.contextmanager
def opened(settings: Settings, *, is_migrated: bool = False) -> Iterator[Flask]:
    """Provide an app and close its database connections at the end."""
    app = create_app(settings)
    app.jinja_env.bytecode_cache = _COMPILED
    if not is_migrated:
        migrate(app.extensions["flowauth"].engine)
    signing_keys.enrol(app.extensions["flowauth"])
    with app.extensions["flowauth"]:
        yield app


class Visitor:
    """Browse without scripts: send forms with the hidden fields of the last page."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.client.get(path, **kwargs)

    def token(self) -> str:
        """Return the anti-forgery token that every page of this visit carries."""
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


def upload(visitor: Visitor, content: dict[str, Any], server: str = "") -> Any:
    file = (io.BytesIO(json.dumps(content).encode()), "openapi.json")
    return visitor.post("/admin/servers/preview", {"description": file, "server": server})


def signed(page: str) -> str:
    found = re.search(r'name="signed" value="([^"]+)"', page)
    assert found
    return found[1]


def role_form(**changes: Any) -> dict[str, Any]:
    return {
        "name": "planner",
        "scopes": [SCOPES[0], "run"],
        "longest_token_life_minutes": str(DAY),
        "latest_token_expiry": "",
        **changes,
    }


def form_of(page: str) -> dict[str, Any]:
    """Return the fields of a page's form as a browser would send them untouched."""
    form: dict[str, Any] = {}
    for tag in re.findall(r"<input [^>]*>", page.split('class="card">')[1].split("</form>")[0]):
        attributes = {name: html.unescape(value) for name, value in re.findall(r'([a-z_]+)="([^"]*)"', tag)}
        if "name" not in attributes or attributes["name"] == "csrf_token":
            continue
        if attributes.get("type", "text") != "checkbox":
            form[attributes["name"]] = attributes.get("value", "")
        elif tag.endswith(" checked>"):
            form.setdefault(attributes["name"], []).append(attributes.get("value", "on"))
    return form


class Script:
    """Act as a script signed in at ``/api/v1``."""

    def __init__(self, app: Flask, username: str, password: str = PASSWORD) -> None:
        self.client = app.test_client()
        reply = self.client.post("/api/v1/session", json={"username": username, "password": password})
        assert reply.status_code == 200, reply.text
        assert reply.json is not None
        self.headers = {"Authorization": f"Bearer {reply.json['access_token']}"}

    def __call__(self, method: str, path: str, json: Any = None) -> TestResponse:
        return self.client.open(f"/api/v1{path}", method=method, json=json, headers=self.headers)


@dataclass(frozen=True)
class Deployment:
    """Hold the app as a separate process: address, environment and log."""

    address: str
    environment: dict[str, str]
    process: subprocess.Popen[str]
    log: Path


def command(environment: dict[str, str], *arguments: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run ``python -m flowauth`` to its end."""
    program = [sys.executable, "-m", "flowauth", *arguments]
    return subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=300, check=False, **kwargs
    )


@cache
def _signing_key() -> RSAPrivateKey:
    """Return one key for all deployments of a test run, because making one takes long."""
    return new_key(2048)


def new_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a fresh installation below the folder."""
    environment = {
        **os.environ,
        "FLOWKIT_SECRETS": str(folder / "secrets"),
        "DB_URI": f"sqlite:///{folder / 'flowauth.sqlite'}",
        "FLOWAUTH_PORT": "0",
        "FLOWAUTH_ARGON2_TIME_COST": "1",
        "FLOWAUTH_ARGON2_MEMORY_KIB": "1024",
    }
    (folder / "secrets").mkdir(parents=True)
    for name, text in (("PRIVATE", private_pem(_signing_key())), ("PUBLIC", public_pem(_signing_key()))):
        (folder / "secrets" / f"{name}_JWT_SIGNING_KEY").write_text(text)
    (folder / "secrets" / "FLOWAUTH_FERNET_KEY").write_text(Fernet.generate_key().decode())
    (folder / "secrets" / "SECRET_KEY").write_text(secrets.token_hex())
    return environment


def description_of(audience: str = "east", scopes: Sequence[str] = SCOPES) -> dict[str, Any]:
    """Build the part of an API server's OpenAPI document that this app reads."""
    scheme = {"type": "http", "x-audience": audience, "x-security-scopes": list(scopes)}
    return {"openapi": "3.0.1", "components": {"securitySchemes": {"token": scheme}}}


@contextlib.contextmanager
def served(folder: Path, scopes: Sequence[str], **settings: str) -> Iterator[Deployment]:
    """Serve the app by its own command with demo data for these scopes."""
    # A code may pass its half minute on the way.
    environment = new_environment(folder) | {"TWO_FACTOR_VALID_WINDOW": "1"} | settings
    description = folder / "openapi.json"
    description.write_text(json.dumps(description_of("TEST_SERVER", scopes)))
    loaded = command(environment, "demo-data", "--api-description", str(description))
    assert loaded.returncode == 0, loaded.stderr
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flowauth", "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        follow = threading.Thread(target=_copy, args=(process.stdout, log))
        follow.start()
        try:
            yield Deployment(f"http://127.0.0.1:{started['port']}", environment, process, log)
        finally:
            process.terminate()
            process.wait(timeout=30)
            follow.join(timeout=30)
            process.stdout.close()


def _copy(source: IO[str], log: Path) -> None:
    # Drain the pipe, because a full pipe blocks the server.
    with log.open("a") as file:
        for line in source:
            file.write(line)
            file.flush()
