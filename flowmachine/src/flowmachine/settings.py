"""Define the engine's settings: `Settings` holds all, its parts serve less code."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field, PlainValidator

from flowdb.configuration import available_memory, available_processors, machine_memory
from flowmachine.logs import statement_comment
from flowsettings.lookup import Unusable
from flowsettings.service import ServiceSettings
from flowsettings.strength import Secret
from flowsettings.values import OneOf, Port, Switch, WholeNumber

#: Executors: over columnar files on this machine and on a cluster, and over the database's own tables.
DUCKDB = "duckdb"
SPARK = "spark"
POSTGRES = "postgres"
EXECUTORS = (DUCKDB, SPARK, POSTGRES)

#: Allowed values of FLOWMACHINE_SUBSETS.
SUBSETS = ("any", "listed")

#: Allowed values of FLOWMACHINE_EXECUTOR: an executor, or the best choice for each query.
CHOICES = ("auto", *EXECUTORS)

#: Seconds without a heartbeat after which a worker's job goes to another worker.
LEASE = 10

#: Time limit of one part of a query, in seconds.
TIME_LIMIT = 3600

#: Seconds of a day.
DAY = 86400

#: A row is released only if more than this many subscribers stand behind it.
LOWEST_FLOOR = 15

#: Allowed values of FLOWMACHINE_DIFFERENCES: judge answers together, only write down what would be judged, or not.
DIFFERENCES = ("on", "report", "off")


@dataclass(frozen=True)
class Threshold:
    """Hold a number that specs may leave out, and its limits."""

    usual: int
    lowest: int
    highest: int


#: A number of slots or days that fits into the products of a statement.
_MOST = 1_000_000

#: What usual environments are found by, in specs that say nothing else: Eurostat's numbers for signalling data.
PERMANENCE = {
    "min_score": Threshold(1500, 0, _MOST),
    "min_days": Threshold(50, 0, _MOST),
    "gap_share": Threshold(20, 1, 100),
    "gap_score": Threshold(1, 1, _MOST),
    "ue_share": Threshold(70, 0, 100),
    "label_share": Threshold(80, 0, 100),
}

_MEMORY = re.compile(r"-1|none|[0-9]+(\.[0-9]+)? *(bytes?|b|[kmgt](i?b)?|(kilo|mega|giga|tera)bytes?)", re.I)


def _memory(value: object) -> str:
    """Return an amount of memory as DuckDB reads it."""
    if not _MEMORY.fullmatch(str(value)):
        raise Unusable("an amount of memory, such as 8GB or 512MB")
    return str(value)


def _address_of_spark(value: object) -> str | None:
    """Return the address of a Spark Connect server, or None for an empty text."""
    if value in (None, ""):
        return None
    if not re.fullmatch(r"sc://[^\s/]+(/.*)?", str(value)):
        raise Unusable("an address such as sc://spark.internal:15002")
    return str(value)


def _share(value: object) -> float:
    """Return a share of at most a half."""
    text = str(value)
    if not re.fullmatch(r"0?\.[0-9]{1,6}|0", text) or float(text) > 0.5:
        raise Unusable("a share from 0 to 0.5, such as 0.01")
    return float(text)


def _default_memory() -> str:
    memory = available_memory()
    # A container's limit is for one worker, a machine's memory for all services.
    share = 2 if memory < machine_memory() else 4
    return f"{memory // share // 2**20}MB"


def _number(low: int, high: int = 2**31) -> PlainValidator:
    return PlainValidator(WholeNumber(low, high))


def _specs(value: object) -> tuple[dict[str, Any], ...]:
    """Return the specs of a JSON list."""
    if isinstance(value, tuple):
        return value
    unusable = Unusable('a JSON list of query specs, such as [{"query_kind": "daily_location", ...}]')
    found = _json(str(value))
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise unusable
    return tuple(found)


def _thresholds(value: object) -> dict[str, int]:
    """Return all thresholds of permanence.

    Those of a JSON object stand in place of the usual ones.
    """
    given = value if isinstance(value, dict) else _json(str(value) or "{}")
    if not isinstance(given, dict) or not given.keys() <= PERMANENCE.keys():
        raise Unusable(f"a JSON object of whole numbers by {', '.join(PERMANENCE)}")
    for name, number in given.items():
        known = PERMANENCE[name]
        if type(number) is not int or not known.lowest <= number <= known.highest:
            raise Unusable(f"a JSON object with a {name} from {known.lowest} to {known.highest}")
    return {name: threshold.usual for name, threshold in PERMANENCE.items()} | given


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class Divisor:
    """Accept a part of ``whole`` that goes into it without rest."""

    whole: int
    unit: str

    def __call__(self, value: object) -> int:
        text = str(value)
        if not re.fullmatch(r"[0-9]{1,6}", text) or not int(text) or self.whole % int(text):
            raise Unusable(f"a number of {self.unit} that {self.whole} is a multiple of")
        return int(text)


class Database(ServiceSettings):
    """Hold what the engine needs to reach FlowDB."""

    database_host: str = Field("localhost", validation_alias="FLOWDB_HOST")
    database_port: Port = Field(9000, validation_alias="FLOWDB_PORT")
    database_user: str = Field(default="flowmachine", validation_alias="FLOWMACHINE_FLOWDB_USER")
    database_password: str = Field(validation_alias="FLOWMACHINE_FLOWDB_PASSWORD", repr=False)
    database_name: str = Field(default="flowdb", validation_alias="FLOWDB_DATABASE")

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
        # The database stops the statements of a process that was killed.
        options = "-c jit=off -c client_connection_check_interval=5s"
        if not durable:
            options += " -c synchronous_commit=off"
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


@dataclass(frozen=True)
class Choice:
    """Say which executor computes, or from how many events on Spark does."""

    executor: str = "auto"
    #: Spark computes queries that read more events; None if it never does.
    spark_from: int | None = None


class Computing(ServiceSettings):
    """Hold a worker's folders, memory and threads."""

    columnar_path: Path = Field(validation_alias="FLOWDB_COLUMNAR_PATH")
    cache_path: Path = Field(validation_alias="FLOWMACHINE_CACHE_PATH")
    executor: Annotated[str, PlainValidator(OneOf(CHOICES))] = Field(
        "auto", validation_alias="FLOWMACHINE_EXECUTOR"
    )
    threads: Annotated[int, _number(1)] = Field(
        default_factory=available_processors, validation_alias="FLOWMACHINE_THREADS"
    )
    memory_limit: Annotated[str, PlainValidator(_memory)] = Field(
        default_factory=_default_memory, validation_alias="FLOWMACHINE_MEMORY_LIMIT"
    )
    #: Parts of every loaded day that are to be stored, as specs without ``date``.
    standing: Annotated[tuple[dict[str, Any], ...], PlainValidator(_specs)] = Field(
        default_factory=tuple, validation_alias="FLOWMACHINE_STANDING"
    )
    #: Address of a Spark Connect server, Apache Spark or Sail; it may hold a token.
    spark_url: Annotated[str | None, PlainValidator(_address_of_spark)] = Field(
        default=None, validation_alias="FLOWMACHINE_SPARK_URL", repr=False
    )
    #: With ``auto``, queries that read more events than this are computed by Spark; none if negative.
    spark_from: Annotated[int, _number(-1, 2**62)] = Field(
        default=-1, validation_alias="FLOWMACHINE_SPARK_FROM"
    )
    #: The role that may read released results: the API's.
    reader: str = Field(default="flowapi", validation_alias="FLOWAPI_FLOWDB_USER")

    def unusable_folder(self) -> str | None:
        """Return what is wrong with one of the folders, or None."""
        for name, folder, mode in (
            ("FLOWDB_COLUMNAR_PATH", self.columnar_path, os.R_OK | os.X_OK),
            ("FLOWMACHINE_CACHE_PATH", self.cache_path, os.W_OK | os.X_OK),
        ):
            if not os.access(folder, mode):
                return f"The folder that {name} names cannot be {'read' if mode & os.R_OK else 'written to'}."
        return None

    @property
    def choice(self) -> Choice:
        """Return what `stores.choice` needs to know."""
        wanted = self.spark_url is not None and self.spark_from >= 0
        return Choice(self.executor, self.spark_from if wanted else None)


class Gate(ServiceSettings):
    """Set the release floor and whether kinds for tests are allowed."""

    floor: Annotated[int, _number(LOWEST_FLOOR)] = Field(
        LOWEST_FLOOR, validation_alias="FLOWMACHINE_RELEASE_FLOOR"
    )
    #: Whether answers that differ by few subscribers count as one answer.
    differences: Annotated[str, PlainValidator(OneOf(DIFFERENCES))] = Field(
        "on", validation_alias="FLOWMACHINE_DIFFERENCES"
    )
    #: Whether an answer is refused whose rows add up to an earlier answer but for a few subscribers.
    margins: Annotated[str, PlainValidator(OneOf(DIFFERENCES))] = Field(
        "on", validation_alias="FLOWMACHINE_MARGINS"
    )
    #: Share of the smaller of two subsets by which they have to differ to be used both.
    subset_radius: Annotated[float, PlainValidator(_share)] = Field(
        0.01, validation_alias="FLOWMACHINE_SUBSET_RADIUS"
    )
    #: Share of the subscribers by which two results may differ and count as one.
    twin_share: Annotated[float, PlainValidator(_share)] = Field(
        0.0025, validation_alias="FLOWMACHINE_TWIN_SHARE"
    )
    #: Locations of one user and day that may differ by few subscribers from others that the user joins.
    near_inputs: Annotated[int, _number(0)] = Field(30, validation_alias="FLOWMACHINE_NEAR_INPUTS")
    test_kinds: Switch = Field(False, validation_alias="FLOWMACHINE_TEST_KINDS")


class Limits(ServiceSettings):
    """Hold the limits of submitted specs: steps of windows, and allowed subsets."""

    window_step: Annotated[int, PlainValidator(Divisor(DAY, "seconds"))] = Field(
        3600, validation_alias="FLOWMACHINE_WINDOW_STEP"
    )
    subset_step: Annotated[int, PlainValidator(Divisor(DAY, "seconds"))] = Field(
        DAY, validation_alias="FLOWMACHINE_SUBSET_STEP"
    )
    subset_hours: Annotated[int, PlainValidator(Divisor(24, "hours"))] = Field(
        6, validation_alias="FLOWMACHINE_SUBSET_HOURS"
    )
    #: Whether any subset is allowed, or only those of the list that an operator keeps.
    subsets: Annotated[str, PlainValidator(OneOf(SUBSETS))] = Field(
        "any", validation_alias="FLOWMACHINE_SUBSETS"
    )


class Defaults(ServiceSettings):
    """Hold what a deployment gives fields that a spec leaves out."""

    permanence: Annotated[dict[str, int], PlainValidator(_thresholds)] = Field(
        default_factory=lambda: _thresholds({}), validation_alias="FLOWMACHINE_PERMANENCE"
    )


class Settings(Database, Computing, Gate, Limits, Defaults):
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


class ServerSettings(Settings):
    """Hold the settings of the server, which alone needs the secret of its port."""

    key: Secret = Field(validation_alias="FLOWMACHINE_KEY", repr=False)
