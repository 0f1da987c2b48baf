"""Define the engine's settings: `Settings` holds all, its parts serve less code."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field, PlainValidator

from flowmachine.logs import statement_comment
from flowsettings.lookup import Unusable
from flowsettings.service import ServiceSettings
from flowsettings.values import OneOf, Port, Switch, WholeNumber

#: Executors over columnar files and over the database's own tables; each has its own store.
COLUMNAR = "duckdb"
TABLES = "postgres"
EXECUTORS = (COLUMNAR, TABLES)

#: Allowed values of FLOWMACHINE_EXECUTOR: an executor, or the best choice for each query.
CHOICES = ("auto", *EXECUTORS)

#: Seconds without a heartbeat after which a worker's job goes to another worker.
LEASE = 10

#: Time limit of one part of a query, in seconds.
TIME_LIMIT = 3600

#: A row is released only if more than this many subscribers stand behind it.
LOWEST_FLOOR = 15

_MEMORY = re.compile(r"-1|none|[0-9]+(\.[0-9]+)? *(bytes?|b|[kmgt](i?b)?|(kilo|mega|giga|tera)bytes?)", re.I)


def _memory(value: object) -> str:
    """Return an amount of memory as DuckDB reads it."""
    if not _MEMORY.fullmatch(str(value)):
        raise Unusable("an amount of memory, such as 8GB or 512MB")
    return str(value)


def _default_memory() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{memory // 4 // 2**20}MB"


def _number(low: int, high: int = 2**31) -> PlainValidator:
    return PlainValidator(WholeNumber(low, high))


class Database(ServiceSettings):
    """Hold what the engine needs to reach FlowDB."""

    database_host: str = Field("localhost", validation_alias="FLOWDB_HOST")
    database_port: Port = Field(9000, validation_alias="FLOWDB_PORT")
    database_user: str = Field("flowmachine", validation_alias="FLOWMACHINE_FLOWDB_USER")
    database_password: str = Field(validation_alias="FLOWMACHINE_FLOWDB_PASSWORD", repr=False)
    database_name: str = Field("flowdb", validation_alias="FLOWDB_DATABASE")

    @property
    def url(self) -> sa.URL:
        """Return the address of the database, with user and password."""
        return sa.URL.create(
            "postgresql+psycopg2",
            self.database_user,
            self.database_password,
            self.database_host,
            self.database_port,
            self.database_name,
        )

    def engine(self, application: str, pool_size: int = 5, *, durable: bool = True) -> sa.Engine:
        """Create a pool of connections.

        JIT is off because it costs more than it saves on statements that run once. Without ``durable``, a
        commit does not wait for the disk. A crash of the database may then undo a result together with its
        state. The result is computed again when the lease ends.
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
    # The comment comes first because the database's views show only the beginning of a long statement.
    return statement_comment() + statement, parameters


class Computing(ServiceSettings):
    """Hold a worker's folders, memory and threads."""

    columnar_path: Path = Field(validation_alias="FLOWDB_COLUMNAR_PATH")
    cache_path: Path = Field(validation_alias="FLOWMACHINE_CACHE_PATH")
    executor: Annotated[str, PlainValidator(OneOf(CHOICES))] = Field(
        "auto", validation_alias="FLOWMACHINE_EXECUTOR"
    )
    threads: Annotated[int, _number(1)] = Field(
        default_factory=lambda: os.cpu_count() or 1, validation_alias="FLOWMACHINE_THREADS"
    )
    memory_limit: Annotated[str, PlainValidator(_memory)] = Field(
        default_factory=_default_memory, validation_alias="FLOWMACHINE_MEMORY_LIMIT"
    )
    #: The role that may read released results: the API's.
    reader: str = Field("flowapi", validation_alias="FLOWAPI_FLOWDB_USER")


class Gate(ServiceSettings):
    """Set the release floor and whether kinds for tests are allowed."""

    floor: Annotated[int, _number(LOWEST_FLOOR)] = Field(
        LOWEST_FLOOR, validation_alias="FLOWMACHINE_RELEASE_FLOOR"
    )
    test_kinds: Switch = Field(False, validation_alias="FLOWMACHINE_TEST_KINDS")


class Settings(Database, Computing, Gate):
    """Hold all settings of the engine's processes; times are in seconds."""

    bind: str = Field("127.0.0.1", validation_alias="FLOWKIT_BIND")
    port: Port = Field(5555, validation_alias="FLOWMACHINE_PORT")
    metrics_port: Annotated[int, _number(0, 65535)] = Field(0, validation_alias="FLOWMACHINE_METRICS_PORT")
    #: Accept any text: an unknown level is logged and stops nothing.
    log_level: str = Field("error", validation_alias="FLOWMACHINE_LOG_LEVEL")
    queue_limit: Annotated[int, _number(0)] = Field(1000, validation_alias="FLOWMACHINE_QUEUE_LIMIT")
    lease: Annotated[int, _number(1)] = Field(LEASE, validation_alias="FLOWMACHINE_LEASE")
    time_limit: Annotated[int, _number(1)] = Field(
        TIME_LIMIT, validation_alias="FLOWMACHINE_QUERY_TIME_LIMIT"
    )
    #: Seconds between two prunings of the cache; never if negative.
    pruning_frequency: Annotated[int, _number(-(2**31))] = Field(
        86400, validation_alias="FLOWMACHINE_CACHE_PRUNING_FREQUENCY"
    )
    #: Seconds that one pruning may take.
    pruning_timeout: Annotated[int, _number(0)] = Field(
        600, validation_alias="FLOWMACHINE_CACHE_PRUNING_TIMEOUT"
    )
