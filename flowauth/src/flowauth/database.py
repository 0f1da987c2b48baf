"""Provide the database's engine, sessions and schema."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask_babel import gettext
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.orm import Session

from flowauth.errors import Refusal

# Any constant that no other program of this database uses as advisory lock.
_MIGRATION_LOCK = 0x666C6F7761757468
_HOUR = 3600
#: Seconds a statement waits for another transaction's lock before the request is refused as busy.
LOCK_SECONDS = 10.0
#: The databases' drivers refuse larger numbers.
LARGEST_ID = 2**63 - 1


def connect(uri: str) -> Engine:
    """Create an engine for PostgreSQL or SQLite; errors never quote bound values."""
    url = make_url(uri)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": LOCK_SECONDS}, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    waiting = {"options": f"-c lock_timeout={round(LOCK_SECONDS * 1000)}ms"}
    return create_engine(
        url, pool_pre_ping=True, pool_recycle=_HOUR, hide_parameters=True, connect_args=waiting
    )


@contextlib.contextmanager
def opened(uri: str) -> Iterator[Engine]:
    """Provide an engine and close its connections at the end."""
    engine = connect(uri)
    try:
        yield engine
    finally:
        engine.dispose()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("foreign_keys = ON", "journal_mode = WAL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # SQLite cannot upgrade a transaction that read first if another writer has written meanwhile: it answers
    # "database is locked" at once. Taking the write lock at the start makes the transaction wait instead.
    # Readers never wait.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


P = ParamSpec("P")
R = TypeVar("R")


def transaction(action: Callable[Concatenate[Session, P], R]) -> Callable[Concatenate[Session, P], R]:
    """Run a function, whose first argument is a session, as one transaction.

    An action called by another action joins the outer transaction. Rows that the session has read before are
    read again. On SQLite this transaction holds the only write lock, so nothing slow may happen inside.
    """

    @wraps(action)
    def whole(database: Session, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if database.info.get("in_action"):
            return action(database, *args, **kwargs)
        database.info["in_action"] = True
        try:
            database.rollback()
            database.connection(execution_options={"reading": False})
            result = action(database, *args, **kwargs)
            database.commit()
        except BaseException:
            database.rollback()
            raise
        finally:
            database.info["in_action"] = False
        return result

    return whole


def all_of(database: Session, kind: type[R], ids: Iterable[object], field: str) -> list[R]:
    """Return the rows of these ids, without repeats; refuse unknown ids by name."""
    found = []
    for identity in dict.fromkeys(ids):
        # In Python True is an integer and equals 1.
        known = type(identity) is int and 0 < identity <= LARGEST_ID
        row = database.get(kind, identity) if known else None
        if row is None:
            raise Refusal(
                gettext(
                    "There is no %(kind)s with id %(identity)s.",
                    kind=gettext(kind.__name__.lower()),
                    identity=str(identity)[:20],
                ),
                field=field,
            )
        found.append(row)
    return found


def migrate(engine: Engine) -> None:
    """Migrate the schema to the newest version; concurrent processes take turns."""
    with _migration_lock(engine), engine.connect() as connection:
        command.upgrade(_configuration(connection), "head")
        connection.commit()


def reset(engine: Engine) -> None:
    """Drop everything and build the schema again."""
    with _migration_lock(engine), engine.connect() as connection:
        command.downgrade(_configuration(connection), "base")
        command.upgrade(_configuration(connection), "head")
        connection.commit()


def is_current(engine: Engine) -> bool:
    """Return whether the database answers with the newest schema version."""
    with engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        newest = ScriptDirectory.from_config(_configuration(connection)).get_current_head()
    return present == newest


def _configuration(connection: Connection) -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["connection"] = connection
    return configuration


@contextlib.contextmanager
def _migration_lock(engine: Engine) -> Iterator[None]:
    if engine.dialect.name == "sqlite":
        path = engine.url.database
        if not path or path == ":memory:":
            yield
            return
        with Path(f"{path}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    with engine.connect() as connection:
        # Another process may be migrating for longer than a request's lock timeout. A request must never
        # inherit the endless wait, so this connection does not go back to the pool.
        connection.detach()
        connection.execute(text("SET lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
        connection.commit()
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()
