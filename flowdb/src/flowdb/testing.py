"""Provide tests with a private cluster and databases cloned from a template.

This is a Pytest plugin; the template is a migrated database.

``cluster`` starts the cluster of ``.flowkit/test`` in the checkout, or uses the cluster whose state folder
``FLOWKIT_TEST_CLUSTER`` names. The cluster keeps running, because other test processes share it and the next
run starts faster. ``make reset`` stops it. Roles belong to the cluster, so their passwords are made once and
kept in its state folder.

``database`` is a fresh clone for each test, ``module_database`` for each module.
``cluster.database(timezone=...)`` is the context manager behind both, for tests that need another time zone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from sqlalchemy import URL

from flowdb import deployment as deployment_module
from flowdb import migrate as migrate_module
from flowdb import roles as roles_module
from flowdb.configuration import server_settings
from flowdb.deployment import API_ROLE, ENGINE_ROLE, SUPERUSER, Deployment, Login
from flowdb.migrate import administration, migrate
from flowdb.migrations import FOLDER
from flowdb.roles import secure_database

_TEMPLATES_KEPT = 3

FAST_AND_UNSAFE = server_settings(memory=2 * 1024**3) | {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # Automatic statistics would change plans, and thus timings, between runs.
    "autovacuum": "off",
    "max_locks_per_transaction": "1024",
    "log_min_duration_statement": "-1",
    "log_connections": "off",
    "log_disconnections": "off",
}


@dataclass(frozen=True)
class Database:
    """Describe one test database.

    Roles are ``flowdb`` (superuser), ``flowmachine`` and ``flowapi``.
    """

    deployment: Deployment

    @property
    def name(self) -> str:
        return self.deployment.database

    def url(self, role: str = SUPERUSER) -> URL:
        """Return the SQLAlchemy URL of a role; render with ``hide_password=False``."""
        return self.deployment.url(self._login(role))

    def connect(self, role: str = SUPERUSER) -> Connection:
        """Return a new psycopg2 connection that the caller closes."""
        login = self._login(role)
        return psycopg2.connect(
            host=self.deployment.host,
            port=self.deployment.port,
            dbname=self.name,
            user=login.user,
            password=login.password,
        )

    def environment(self, role: str = SUPERUSER) -> dict[str, str]:
        """Return the environment of a service of that role, without other passwords."""
        login = self._login(role)
        common = {
            "FLOWDB_HOST": self.deployment.host,
            "FLOWDB_PORT": str(self.deployment.port),
            "FLOWDB_DATABASE": self.name,
            "FLOWDB_TIMEZONE": self.deployment.timezone,
        }
        if role == SUPERUSER:
            return common | {"FLOWDB_POSTGRES_PASSWORD": login.password}
        prefix = role.upper()
        return common | {f"{prefix}_FLOWDB_USER": login.user, f"{prefix}_FLOWDB_PASSWORD": login.password}

    def _login(self, role: str) -> Login:
        logins = {
            SUPERUSER: self.deployment.superuser,
            ENGINE_ROLE: self.deployment.engine,
            API_ROLE: self.deployment.api,
        }
        if role not in logins:
            raise ValueError(f"role must be one of {sorted(logins)}, not {role!r}.")
        return logins[role]


@dataclass(frozen=True)
class TestCluster:
    """Hold the running cluster and the template of test databases."""

    __test__ = False

    deployment: Deployment
    template: str

    @property
    def host(self) -> str:
        return self.deployment.host

    @property
    def port(self) -> int:
        return self.deployment.port

    @property
    def password(self) -> str:
        """Connect as superuser."""
        return self.deployment.superuser.password

    @contextlib.contextmanager
    def database(self, timezone: str = "UTC") -> Iterator[Database]:
        """Provide a fresh migrated database; drop it at the end despite connections."""
        name = f"test_{os.getpid()}_{secrets.token_hex(4)}"
        clone = Database(replace(self.deployment, database=name, timezone=timezone))
        with administration(self.deployment) as connection:
            # Copying files is ten times quicker here than logging every block, because nothing is flushed to
            # disk.
            _execute(connection, "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, self.template)
            secure_database(connection, clone.deployment)
        try:
            yield clone
        finally:
            with administration(self.deployment) as connection:
                _execute(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the cluster; `make test-fast` skips them."""
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker("database")


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> TestCluster:
    """Provide the tests' private PostgreSQL cluster, started if necessary."""
    tool = cluster_tool(pytestconfig.rootpath)
    named = os.environ.get("FLOWKIT_TEST_CLUSTER")
    state = Path(named) if named else pytestconfig.rootpath / ".flowkit" / "test"
    state.mkdir(parents=True, exist_ok=True)
    with _locked(state / "lock"):
        port = tool.Cluster(state, 0).running_port()
        if port is None:
            port = tool.free_port()
            tool.Cluster(state, port).start(FAST_AND_UNSAFE)
        deployment = Deployment(
            host="127.0.0.1",
            port=port,
            superuser=Login(SUPERUSER, tool.Cluster(state, port).password()),
            engine=Login(ENGINE_ROLE, _password(state, "FLOWMACHINE_FLOWDB_PASSWORD")),
            api=Login(API_ROLE, _password(state, "FLOWAPI_FLOWDB_PASSWORD")),
        )
        template = _ensure_template(deployment)
        _drop_abandoned(deployment)
    return TestCluster(deployment, template)


@pytest.fixture
def database(cluster: TestCluster) -> Iterator[Database]:
    """Provide a fresh migrated database for one test."""
    with cluster.database() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def module_database(cluster: TestCluster) -> Iterator[Database]:
    """Provide a fresh migrated database shared by one module's tests."""
    with cluster.database() as fresh:
        yield fresh


def _ensure_template(deployment: Deployment) -> str:
    name = f"template_{_state_of_the_code()}"
    with administration(deployment) as connection:
        if _databases(connection, name):
            return name
        unfinished = f"{name}_unfinished"
        _execute(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", unfinished)
        migrate(deployment.named(unfinished))
        _execute(connection, "ALTER DATABASE {} WITH ALLOW_CONNECTIONS false", unfinished)
        _execute(connection, "ALTER DATABASE {} RENAME TO {}", unfinished, name)
        # Test processes that started before a change of migrations still clone the previous template.
        for old in _databases(connection, "template\\_%")[:-_TEMPLATES_KEPT]:
            _execute(connection, "DROP DATABASE {}", old)
    return name


def _state_of_the_code() -> str:
    modules = [deployment_module, migrate_module, roles_module]
    files = [Path(str(module.__file__)) for module in modules]
    files += [path for path in FOLDER.rglob("*") if path.suffix in (".sql", ".py")]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _drop_abandoned(deployment: Deployment) -> None:
    with administration(deployment) as connection:
        for name in _databases(connection, "test\\_%"):
            owner = name.split("_")[1]
            if not Path("/proc", owner).exists():
                _execute(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _databases(connection: Connection, pattern: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s ORDER BY oid", (pattern,))
        return [name for (name,) in cursor.fetchall()]


def _execute(connection: Connection, statement: str, *names: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _password(state: Path, name: str) -> str:
    path = state / "secrets" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text().strip()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cluster_tool(root: Path) -> Any:
    """Import ``tools/cluster.py`` by path.

    The file is in no package because it must run before any is installed.
    """
    path = root / "tools" / "cluster.py"
    specification = importlib.util.spec_from_file_location("flowkitcluster_tool", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Dataclasses look up their own module by name during execution.
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module
