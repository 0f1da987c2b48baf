"""Migrate a server to the state this code expects.

Every service may call this at every start.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg2
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import NullPool, create_engine, text

from flowdb.deployment import Deployment
from flowdb.migrations import FOLDER
from flowdb.roles import ensure_roles, secure_database

_LOCK = 0x464C4F57
_CONFIGURE_CACHE = text("UPDATE cache.cache_config SET value = :value WHERE key = :key")
_DAYS_ARE_LOADED = text(
    "SELECT EXISTS (SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhparent"
    " JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = 'events' AND relkind = 'p')"
)
_CURRENT_TIMEZONE = text(
    "SELECT split_part(configured, '=', 2) FROM pg_db_role_setting AS s"
    " JOIN pg_database AS d ON d.oid = s.setdatabase, unnest(setconfig) AS configured"
    " WHERE datname = current_database() AND setrole = 0 AND configured ILIKE 'timezone=%'"
)


class MigrationError(RuntimeError):
    """Report why the database cannot be migrated."""


def migrate(deployment: Deployment, revision: str = "head") -> str:
    """Create missing roles and database, apply migrations, return the newest revision.

    Tests of upgrades stop at an earlier ``revision``.
    Concurrent processes take turns on an advisory lock. All migrations run in one transaction, so a failed
    migration leaves the database unchanged.
    """
    with administration(deployment) as connection:
        # Advisory locks belong to a database, so all processes lock in the maintenance database.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        ensure_roles(connection, deployment)
        _ensure_database(connection, deployment)
        _apply(deployment, revision)
        secure_database(connection, deployment)
        return head()


def head() -> str:
    """Return the newest revision that this version of the code knows."""
    revision = ScriptDirectory.from_config(_configuration()).get_current_head()
    assert revision is not None
    return revision


@contextlib.contextmanager
def administration(deployment: Deployment) -> Iterator[Connection]:
    """Connect as superuser to the maintenance database in autocommit mode."""
    connection = psycopg2.connect(
        host=deployment.host,
        port=deployment.port,
        dbname="postgres",
        user=deployment.superuser.user,
        password=deployment.superuser.password,
        application_name="flowdb-migrate",
    )
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


def _ensure_database(connection: Connection, deployment: Deployment) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", (deployment.database,))
        if cursor.fetchone() is None:
            cursor.execute(
                sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(
                    sql.Identifier(deployment.database)
                )
            )


def _apply(deployment: Deployment, revision: str) -> None:
    # Imported here: it brings pydantic, for which `--help` and the tests' plugin should not wait.
    from flowdb.deployment_settings import CacheSettings

    engine = create_engine(deployment.url(), poolclass=NullPool)
    configuration = _configuration()
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        _refuse_another_timezone(connection, deployment.timezone)
        try:
            command.upgrade(configuration, revision)
        except CommandError as error:
            raise MigrationError(f"The database was migrated by newer code than this: {error}.") from error
        for key, value in CacheSettings.load().model_dump(exclude_none=True).items():
            connection.execute(_CONFIGURE_CACHE, {"key": key, "value": str(value)})


def _refuse_another_timezone(connection: SqlConnection, timezone: str) -> None:
    # The bounds of attached days were computed from their zone's midnights. Under another zone every day
    # would hold hours of its neighbour.
    loaded = connection.execute(_DAYS_ARE_LOADED).scalar()
    current = connection.execute(_CURRENT_TIMEZONE).scalar()
    if loaded and current != timezone:
        raise MigrationError(
            f"FLOWDB_TIMEZONE is {timezone}, but days are already loaded in {current}; "
            "set it back, or load the events into a new database."
        )


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return configuration
