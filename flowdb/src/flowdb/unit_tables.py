"""Manage the tables that queries may name to place cells.

An administrator allows each table; the database keeps the list.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

import psycopg2
from psycopg2 import sql
from psycopg2.errors import InvalidName, UndefinedObject, WrongObjectType
from psycopg2.extensions import cursor as Cursor

from flowdb.deployment import Deployment


class UnitTableError(RuntimeError):
    """Report why a table cannot be allowed or forbidden."""


def change_unit_tables(
    deployment: Deployment, allow: Iterable[str] = (), forbid: Iterable[str] = ()
) -> dict[str, list[str]]:
    """Allow and forbid tables, all or none; return each allowed table's columns.

    Names are ``schema.table`` as written in the database; without a schema, ``flowmachine`` is meant, as in
    queries. Allowing a table again makes stored results that used it stale. Raises UnitTableError.
    """
    with (
        closing(
            psycopg2.connect(
                host=deployment.host,
                port=deployment.port,
                dbname=deployment.database,
                user=deployment.superuser.user,
                password=deployment.superuser.password,
                application_name="flowdb-unit-tables",
            )
        ) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        for function, names in (("allow_unit_table", allow), ("forbid_unit_table", forbid)):
            for name in names:
                _call(cursor, function, name)
        cursor.execute("SELECT name, columns FROM etl.unit_tables ORDER BY name")
        return dict(cursor.fetchall())


def _call(cursor: Cursor, function: str, name: str) -> None:
    schema, _, table = name.rpartition(".")
    # Quoted, because PostgreSQL folds unquoted capitals to small letters.
    cursor.execute(
        "SELECT to_regclass(quote_ident(%s) || '.' || quote_ident(%s))::oid", (schema or "flowmachine", table)
    )
    (found,) = cursor.fetchone() or (None,)
    if found is None:
        raise UnitTableError(f"{name} is not a table; give the name of one as schema.table.")
    try:
        cursor.execute(sql.SQL("SELECT etl.{}(%s::regclass)").format(sql.Identifier(function)), (found,))
    except (InvalidName, WrongObjectType) as error:
        raise UnitTableError(error.diag.message_primary) from error
    except UndefinedObject as error:
        raise UnitTableError(f"{name} is not allowed, so it cannot be forbidden.") from error
