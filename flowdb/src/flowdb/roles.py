"""Create roles and passwords.

Roles belong to the cluster, so they are created before any database and outside migrations.
"""

from __future__ import annotations

import psycopg2.extensions
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from flowdb.deployment import API_ROLE, ENGINE_ROLE, Deployment, Login


def ensure_roles(connection: Connection, deployment: Deployment) -> None:
    """Create missing roles and set every password to its setting.

    Changing a setting thus rotates the password. Roles ``flowmachine`` and ``flowapi`` always exist because
    grants name them. A login under another name becomes a member, and the literal role then cannot log in.
    The administrator drops logins that no setting names any more. Passwords are hashed here (SCRAM-SHA-256),
    so none travels in the clear.
    """
    with connection.cursor() as cursor:
        # Keep even password hashes out of the server's log and statement statistics.
        cursor.execute("SET log_statement = 'none'")
        cursor.execute("SET log_min_duration_statement = -1")
        cursor.execute("SET log_min_error_statement = 'panic'")
        cursor.execute("SET pg_stat_statements.track = 'none'")
        for role in (ENGINE_ROLE, API_ROLE):
            _ensure_role(cursor, role)
        for role, login in ((ENGINE_ROLE, deployment.engine), (API_ROLE, deployment.api)):
            if login.user != role:
                _ensure_role(cursor, login.user)
                cursor.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))
                cursor.execute(
                    sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(login.user))
                )
        for login in deployment.logins:
            _set_password(connection, login)


def secure_database(connection: Connection, deployment: Deployment) -> None:
    """Set properties of the database that migrations and templates do not carry.

    These are its time zone, which the bounds of daily partitions depend on, and the right to connect.
    """
    database = sql.Identifier(deployment.database)
    statements = [
        sql.SQL("ALTER DATABASE {} SET timezone = {}").format(database, sql.Literal(deployment.timezone)),
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database),
        sql.SQL("REVOKE ALL ON DATABASE {} FROM {}, {}").format(
            database, sql.Identifier(ENGINE_ROLE), sql.Identifier(API_ROLE)
        ),
        sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
            database, sql.Identifier(ENGINE_ROLE)
        ),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(API_ROLE)),
    ]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _ensure_role(cursor: psycopg2.extensions.cursor, name: str) -> None:
    cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,))
    if cursor.fetchone() is None:
        cursor.execute(
            sql.SQL("CREATE ROLE {} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION").format(
                sql.Identifier(name)
            )
        )


def _set_password(connection: Connection, login: Login) -> None:
    hashed = psycopg2.extensions.encrypt_password(
        login.password, login.user, scope=connection, algorithm="scram-sha-256"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(login.user), sql.Literal(hashed))
        )
