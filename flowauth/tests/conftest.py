"""Provide the app and a small world on fresh databases, and a browser."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from cryptography.fernet import Fernet, MultiFernet
from flask import Flask
from playwright.sync_api import Browser, expect, sync_playwright
from psycopg2 import sql
from sqlalchemy import URL
from sqlalchemy.orm import Session

from flowauth import testing
from flowauth.database import migrate, opened
from flowauth.models import Base
from flowauth.services import Services
from flowauth.settings import Settings
from flowauth.signing import new_key
from flowauth.testing import Visitor, World, build_world

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that run for each type of database; `make test-fast` skips them."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if any(value in ("sqlite", "postgresql") for value in parameters.values() if isinstance(value, str)):
            item.add_marker("database")


@pytest.fixture(scope="session")
def keys() -> Settings:
    """Return settings with a shared key pair, because generating keys takes a second."""
    return Settings(
        private_key=new_key(2048),
        fernet=MultiFernet([Fernet(Fernet.generate_key())]),
        secret_key=secrets.token_hex(),
        argon2_time_cost=1,
        argon2_memory_kib=8,
        argon2_parallelism=1,
    )


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "flowauth.sqlite"
    with opened(f"sqlite:///{path}") as engine:
        migrate(engine)
    return path


class Postgres:
    """Provide this run's databases on the test cluster."""

    def __init__(self, cluster: Any) -> None:
        self.server = URL.create("postgresql", "flowdb", cluster.password, cluster.host, cluster.port)
        self.made: list[str] = []

    def create(self) -> str:
        """Return the address of a new, empty database."""
        name = f"flowauth_{secrets.token_hex(6)}"
        self._run("CREATE DATABASE {} TEMPLATE template0", name)
        self.made.append(name)
        return self.server.set(database=name).render_as_string(hide_password=False)

    def drop_all(self) -> None:
        for name in self.made:
            self._run("DROP DATABASE {} WITH (FORCE)", name)

    def _run(self, statement: str, name: str) -> None:
        url = self.server.set(database="postgres").render_as_string(hide_password=False)
        with closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def postgres(cluster: Any) -> Iterator[Postgres]:
    databases = Postgres(cluster)
    yield databases
    databases.drop_all()


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    uri = postgres.create()
    with opened(uri) as engine:
        migrate(engine)
    return uri


def empty(uri: str) -> None:
    """Reset a used database; recreating it would take a hundred times as long."""
    with closing(psycopg2.connect(uri)) as connection, connection, connection.cursor() as cursor:
        # Disable foreign keys, and the trigger that forbids emptying the audit trail.
        cursor.execute("SET session_replication_role = replica")
        # Truncating makes new files for each table and index, which takes five times as long.
        for name in Base.metadata.tables:
            cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
        cursor.execute(
            "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
        )
        cursor.execute("INSERT INTO audit_head VALUES (1, 0, repeat('0', 64))")
        cursor.execute(
            "INSERT INTO audit_anchor SELECT id, 0, 0, repeat('0', 64) FROM generate_series(1, 2) AS id"
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(
    request: pytest.FixtureRequest, keys: Settings, migrated_file: Path, tmp_path: Path
) -> Iterator[Settings]:
    """Return settings of an app with a migrated, empty database."""
    if request.param == "sqlite":
        path = tmp_path / "flowauth.sqlite"
        shutil.copy(migrated_file, path)
        yield keys.model_copy(update={"db_uri": f"sqlite:///{path}"})
    else:
        uri = request.getfixturevalue("migrated_postgres")
        empty(uri)
        yield keys.model_copy(update={"db_uri": uri})


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    with testing.opened(settings, is_migrated=True) as app:
        yield app


@pytest.fixture
def services(app: Flask) -> Services:
    return app.extensions["flowauth"]


@pytest.fixture
def database(services: Services) -> Iterator[Session]:
    """Provide a session beside the requests' sessions.

    Commit or roll back before the next request.
    """
    with services.session() as session:
        yield session


@pytest.fixture
def world(services: Services) -> World:
    return build_world(services)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app)


@pytest.fixture
def ada(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    assert visitor.sign_in(world.user).status_code == 303
    return visitor


@pytest.fixture
def root(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    assert visitor.sign_in(world.admin).status_code == 303
    return visitor


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's chromium for a file of tests."""
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        # A deadline: a busy machine answers late.
        expect.set_options(timeout=30_000)
        yield browser
        browser.close()
