"""An app on a fresh database, SQLite and PostgreSQL alike, and a small world in it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from cryptography.fernet import Fernet
from flask import Flask
from psycopg2 import sql
from sqlalchemy import URL
from sqlalchemy.orm import Session

from flowauth.app import create_app
from flowauth.database import connect, migrate
from flowauth.services import Services
from flowauth.settings import PasswordHashing, Settings
from flowauth.signing import new_key
from flowauth.testing import Visitor, World, build_world


@pytest.fixture(scope="session")
def keys() -> Settings:
    """Settings whose key pair is shared, because making one takes a second."""
    return Settings(
        private_key=new_key(2048),
        fernet=Fernet(Fernet.generate_key()),
        secret_key=secrets.token_hex(),
        database_uri="",
        hashing=PasswordHashing(time_cost=1, memory_cost=8, parallelism=1),
    )


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "flowauth.sqlite"
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@dataclass
class Postgres:
    """Databases on the test cluster, each a copy of a migrated one."""

    cluster: Any
    template: str
    made: list[str] = field(default_factory=list)

    def url(self, name: str) -> str:
        url = URL.create(
            "postgresql", "flowdb", self.cluster.password, self.cluster.host, self.cluster.port, name
        )
        return url.render_as_string(hide_password=False)

    def create(self, template: str | None = None) -> str:
        name = f"flowauth_{secrets.token_hex(6)}"
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template or self.template)
        self.made.append(name)
        return name

    def drop_all(self) -> None:
        for name in self.made:
            self._run("DROP DATABASE {} WITH (FORCE)", name)

    def _run(self, statement: str, *names: str) -> None:
        administration = psycopg2.connect(
            host=self.cluster.host,
            port=self.cluster.port,
            user="flowdb",
            password=self.cluster.password,
            dbname="postgres",
        )
        with closing(administration) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture(scope="session")
def postgres(cluster: Any) -> Iterator[Postgres]:
    databases = Postgres(cluster, "template1")
    template = databases.create()
    engine = connect(databases.url(template))
    migrate(engine)
    engine.dispose()
    databases.template = template
    yield databases
    databases.drop_all()


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(
    request: pytest.FixtureRequest, keys: Settings, migrated_file: Path, tmp_path: Path
) -> Iterator[Settings]:
    """Settings of an app whose database is migrated and empty."""
    if request.param == "sqlite":
        path = tmp_path / "flowauth.sqlite"
        shutil.copy(migrated_file, path)
        yield replace(keys, database_uri=f"sqlite:///{path}")
    else:
        databases = request.getfixturevalue("postgres")
        yield replace(keys, database_uri=databases.url(databases.create()))


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.extensions["flowauth"].engine.dispose()


@pytest.fixture
def services(app: Flask) -> Services:
    return app.extensions["flowauth"]


@pytest.fixture
def database(services: Services) -> Iterator[Session]:
    """A session beside those of the requests; commit or roll back before the next request."""
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
