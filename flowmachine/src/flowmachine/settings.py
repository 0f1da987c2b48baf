"""The engine's settings. Each is read from a secret file or the environment (see ``flowdb.settings``)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flowdb.settings import SettingError, integer_setting, setting
from flowmachine.logs import statement_comment
from flowmachine.stores import EXECUTORS

#: What FLOWMACHINE_EXECUTOR may be: an executor, or the choice of the best for each query.
CHOICES = ("auto", *EXECUTORS)


@dataclass(frozen=True)
class Database:
    """How to reach FlowDB as the engine's role."""

    host: str
    port: int
    user: str
    password: str
    name: str

    @classmethod
    def from_environment(cls) -> Database:
        """Read the settings; raises flowdb.settings.SettingError naming what lacks."""
        return cls(
            host=setting("FLOWDB_HOST", default="localhost"),
            port=integer_setting("FLOWDB_PORT", 9000),
            user=setting("FLOWMACHINE_FLOWDB_USER", default="flowmachine"),
            password=setting("FLOWMACHINE_FLOWDB_PASSWORD"),
            name=setting("FLOWDB_DATABASE", default="flowdb"),
        )

    @property
    def url(self) -> sa.URL:
        return sa.URL.create("postgresql+psycopg2", self.user, self.password, self.host, self.port, self.name)

    def engine(self, application: str, pool_size: int = 5, *, durable: bool = True) -> sa.Engine:
        """A pool of connections. JIT is off: it costs more than it saves on statements that run once.

        Without ``durable`` a commit does not wait for the disk. What a crash of the database then takes back is taken
        back as a whole, result and state together, and computed again when the lease ends.
        """
        options = "-c jit=off" if durable else "-c jit=off -c synchronous_commit=off"
        engine = sa.create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=2,
            pool_pre_ping=True,
            connect_args={"application_name": application, "options": options, "connect_timeout": 10},
        )
        sa.event.listen(engine, "before_cursor_execute", _add_comment, retval=True)
        return engine


def _add_comment(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> tuple[str, Any]:
    # In front, since the database's views show only the beginning of a long statement.
    return statement_comment() + statement, parameters


def executor_setting() -> str:
    """The executor that computes queries, or ``auto``; raises SettingError naming what is allowed."""
    executor = setting("FLOWMACHINE_EXECUTOR", default="auto")
    if executor not in CHOICES:
        raise SettingError(f"FLOWMACHINE_EXECUTOR is {executor!r}; it must be one of {', '.join(CHOICES)}.")
    return executor


def reader_setting() -> str:
    """The role that may read released results: the API's."""
    return setting("FLOWAPI_FLOWDB_USER", default="flowapi")


@dataclass(frozen=True)
class Computing:
    """Where and with how much a worker computes."""

    columnar_path: Path
    cache_path: Path
    executor: str
    threads: int
    memory_limit: str

    @classmethod
    def from_environment(cls) -> Computing:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls(
            columnar_path=Path(setting("FLOWDB_COLUMNAR_PATH")),
            cache_path=Path(setting("FLOWMACHINE_CACHE_PATH")),
            executor=executor_setting(),
            threads=integer_setting("FLOWMACHINE_THREADS", os.cpu_count() or 1),
            memory_limit=setting("FLOWMACHINE_MEMORY_LIMIT", default=f"{memory // 4 // 2**20}MB"),
        )
