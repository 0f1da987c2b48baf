"""Load tiny worlds of regions, cells and events into both stores.

A `Stage` is a database with fixed regions and cells. A `World` is the events of some days; `Stage.evaluate` loads one,
runs a query on it with a real executor and takes everything back, so that thousands of worlds can follow each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet
import sqlalchemy as sa
from psycopg2.extras import execute_values

from flowdb.keys import subscriber_key
from flowdb.testing import Database
from flowetl.tally import write_tally
from flowmachine.data import DataState, read_data_state
from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.executors.postgres import PostgresExecutor
from flowmachine.queries.catalogue import load
from flowmachine.server.geojson import result_statement
from flowmachine.settings import Computing
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.places import NETWORK_UNITS, UNITS, SpatialUnit
from flowmachine.spec.query import Query, holds_subscribers
from flowmachine.stores.base import Executor
from flowmachine.stores.maps import unit_map

from .land import CELL_NAMES, CELLS, MAPPED_UNITS, Cell, set_up

DAYS = (date(2016, 1, 1), date(2016, 1, 2), date(2016, 1, 3))
#: The first days of months: those after January are loaded only in worlds that say so.
MONTHS = tuple(date(2016 + number // 12, number % 12 + 1, 1) for number in range(14))
#: Five Fridays: those after the first are loaded only in worlds that say so.
FRIDAYS = tuple(DAYS[0] + timedelta(weeks=number) for number in range(5))
TYPES = ("calls", "sms", "mds", "topups")
EXECUTORS = ("duckdb", "postgres")
#: Sail takes minutes to plan the clusters of these kinds.
SLOW_ON_SAIL = {
    "meaningful_locations_aggregate",
    "meaningful_locations_between_dates_od_matrix",
    "meaningful_locations_between_label_od_matrix",
}


@dataclass(frozen=True)
class Event:
    """Hold one event.

    ``time`` is wall-clock time of the deployment's zone, with ``fold`` set in a repeated hour.
    """

    subscriber: str
    time: datetime
    cell: str | None = None
    type: str = "calls"
    id: str = "e"
    outgoing: bool | None = True
    counterpart: str | None = None
    duration: float | None = 60.0
    tac: int | None = None
    volume_total: float | None = 1.0
    volume_upload: float | None = 0.5
    volume_download: float | None = 0.5
    recharge_amount: float | None = None
    airtime_fee: float | None = None
    tax_and_fee: float | None = None
    pre_event_balance: float | None = None
    post_event_balance: float | None = None


_COLUMNS: dict[str, tuple[str, ...]] = {
    "calls": ("id", "outgoing", "counterpart", "duration", "tac"),
    "sms": ("id", "outgoing", "counterpart", "tac"),
    "mds": ("id", "duration", "volume_total", "volume_upload", "volume_download", "tac"),
    "topups": (
        "id",
        "recharge_amount",
        "airtime_fee",
        "tax_and_fee",
        "pre_event_balance",
        "post_event_balance",
        "tac",
    ),
}

_PARQUET: dict[str, Any] = {
    "outgoing": pa.bool_(),
    "counterpart": pa.int64(),
    "event_id": pa.int64(),
    "tac": pa.int32(),
}


@dataclass(frozen=True)
class World:
    """Events, and the (type, day) that are loaded; all of them if not said otherwise.

    ``tallied`` are the days whose events are also counted by cell and hour.
    """

    events: Sequence[Event]
    loaded: frozenset[tuple[str, date]] = frozenset((t, d) for t in TYPES for d in DAYS)
    tallied: frozenset[tuple[str, date]] = frozenset()

    @property
    def visible(self) -> list[Event]:
        """The events of loaded days."""
        return [event for event in self.events if (event.type, event.time.date()) in self.loaded]


@dataclass
class Stage:
    """A database and a columnar folder with the stage's regions, cells and devices."""

    engine: sa.Engine
    folder: Path
    zone: ZoneInfo
    cells: tuple[Cell, ...] = CELLS
    executors: dict[str, Executor] = field(default_factory=dict)

    @contextlib.contextmanager
    def loaded(
        self, world: World, more: Callable[[Any], None] | None = None
    ) -> Iterator[tuple[sa.Connection, DataState]]:
        """A transaction, as the engine's role, in which the world's events are there.

        ``more`` adds rows that are no events, by a cursor.
        """
        with self.engine.connect() as connection, connection.begin() as transaction:
            self._load(connection, world)
            if more is not None:
                more(connection.connection.cursor())
            connection.execute(sa.text("SET LOCAL ROLE flowmachine"))
            yield connection, read_data_state(connection)
            transaction.rollback()

    def evaluate(self, query: Query, world: World, executor: str) -> list[tuple[Any, ...]]:
        """Return an aggregate's released rows in order, or other kinds' rows sorted.

        Regions have their names.
        """
        with self.loaded(world) as (connection, data):
            return self.run(query, world, executor, connection, data)

    def run(
        self, query: Query, world: World, executor: str, connection: sa.Connection, data: DataState
    ) -> list[tuple[Any, ...]]:
        """As ``evaluate``, in the transaction of ``loaded``."""
        data.check(query)
        chosen = self.executors[executor]
        *parts, root = query.graph()
        for part in parts:
            with chosen.storing(part, data, connection):
                pass
        if isinstance(root, Aggregate):
            chosen.release(root, data, connection)
            return [tuple(row) for row in connection.execute(result_statement(root))]
        with chosen.storing(root, data, connection):
            pass
        rows = chosen.rows(root, data, connection)
        return self._named(root, rows, world, executor, connection, data)

    def _named(
        self,
        query: Query,
        rows: list[tuple[Any, ...]],
        world: World,
        executor: str,
        connection: sa.Connection,
        data: DataState,
    ) -> list[tuple[Any, ...]]:
        people = {person for event in world.events for person in (event.subscriber, event.counterpart)}
        names = {subscriber_key(person): person for person in people if person is not None}
        sources = self.executors["postgres"].sources(data, connection)
        regions: dict[str, dict[int | None, Any]] = {}
        for column, unit in query.places.items():
            found = connection.execute(sa.select(sources.regions(unit))).all()
            named = {location: ids[0] if len(ids) == 1 else tuple(ids) for location, *ids in found}
            regions[column] = {None: None, **named}

        def name(column: str, value: Any) -> Any:
            if holds_subscribers(column) and executor == "duckdb":
                return names[value]
            return regions[column][value] if column in regions else value

        shown = [
            tuple(name(column, value) for column, value in zip(query.columns, row, strict=True))
            for row in rows
        ]
        return sorted(shown, key=repr)

    def _load(self, connection: sa.Connection, world: World) -> None:
        cursor = connection.connection.cursor()
        for event_type in TYPES:
            names = _COLUMNS[event_type]
            physical = [{"counterpart": "msisdn_counterpart"}.get(name, name) for name in names]
            rows = [
                (
                    event.subscriber,
                    event.time.replace(tzinfo=self.zone),
                    event.cell,
                    *(getattr(event, name) for name in names),
                )
                for event in world.visible
                if event.type == event_type
            ]
            if rows:
                columns = ", ".join(["msisdn", "datetime", "location_id", *physical])
                execute_values(
                    cursor, f"INSERT INTO events.{event_type} ({columns}) VALUES %s", rows, page_size=5000
                )
        self._load_manifest(cursor, world)

    def _load_manifest(self, cursor: Any, world: World) -> None:
        keys = {name: key for key, name in enumerate(sorted(filter(None, CELL_NAMES)))}
        by_day: dict[tuple[str, date], list[Event]] = {day: [] for day in world.loaded}
        for event in world.visible:
            by_day[event.type, event.time.date()].append(event)
        loads, files = [], []
        for (event_type, day), events in sorted(by_day.items()):
            load_id = str(uuid.uuid4()) if events else _NO_EVENTS
            path = f"events/type={event_type}/date={day}/{load_id}.parquet"
            target = self.folder / path
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                pa.parquet.write_table(self._table(event_type, events, keys), target)
            loads.append((event_type, day, "ingested", load_id))
            files.append(
                (
                    event_type,
                    day,
                    load_id,
                    path,
                    len(events),
                    0,
                    "",
                    *self._tally(world, event_type, day, target),
                )
            )
        insert = "INSERT INTO etl.etl_records (cdr_type, cdr_date, state, load_id) VALUES %s"
        execute_values(cursor, insert, loads)
        insert = "INSERT INTO etl.columnar_files (cdr_type, cdr_date, load_id, path, rows, bytes, sha256, tally_path, tally_bytes, tally_sha256) VALUES %s"
        execute_values(cursor, insert, files)

    def _tally(self, world: World, event_type: str, day: date, events: Path) -> tuple[Any, Any, Any]:
        """Return path, size and digest of a day's tally, or nulls."""
        if (event_type, day) not in world.tallied:
            return None, None, None
        target = self.folder / "tallies" / events.relative_to(self.folder)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            write_tally(events, target)
        content = target.read_bytes()
        path = str(target.relative_to(self.folder))
        return path, len(content), hashlib.sha256(content).hexdigest()

    def _table(self, event_type: str, events: Sequence[Event], keys: dict[str, int]) -> pa.Table:
        events = sorted(events, key=lambda event: (subscriber_key(event.subscriber), event.time))
        columns: dict[str, Any] = {
            "subscriber": pa.array([subscriber_key(event.subscriber) for event in events], pa.int64()),
            "time": pa.array([self.utc(event.time) for event in events], pa.timestamp("us")),
            "local_time": pa.array([event.time for event in events], pa.timestamp("us")),
            "cell": pa.array([keys.get(event.cell or "") for event in events], pa.int32()),
        }
        for name in _COLUMNS[event_type]:
            values = [getattr(event, name) for event in events]
            if name in ("counterpart", "id"):
                values = [None if value is None else subscriber_key(value) for value in values]
            column = "event_id" if name == "id" else name
            columns[column] = pa.array(values, _PARQUET.get(column, pa.float64()))
        return pa.table(columns)

    def utc(self, local: datetime) -> datetime:
        """A wall-clock time as a naive time in UTC."""
        return local.replace(tzinfo=self.zone).astimezone(UTC).replace(tzinfo=None)


_NO_EVENTS = str(uuid.UUID(int=0))


@contextlib.contextmanager
def stage(
    database: Database,
    folder: Path,
    cells: tuple[Cell, ...] = CELLS,
    days: Sequence[date] = (*DAYS, *FRIDAYS[1:], *MONTHS[1:]),
) -> Iterator[Stage]:
    """A stage in a fresh database, for worlds of events on the days."""
    zone = ZoneInfo(database.deployment.timezone)
    engine = sa.create_engine(database.url("flowdb"), pool_size=1)
    with engine.begin() as connection:
        set_up(connection.connection.cursor(), cells, days, TYPES, zone)
        # Made once here: each world's transaction is rolled back, and would make the maps again.
        connection.execute(sa.text("SET LOCAL ROLE flowmachine"))
        state = read_data_state(connection)
        mapped = [load({"query_kind": "geography", **fields}).unit for fields in MAPPED_UNITS]
        for unit in (*map(SpatialUnit, (*UNITS, *NETWORK_UNITS)), *mapped):
            assert unit is not None
            unit_map(connection, unit, state.map_version(unit))
    computing = Computing(
        columnar_path=folder, cache_path=folder / "cache", executor="auto", threads=1, memory_limit="512MB"
    )
    executors: dict[str, Executor] = {
        "duckdb": DuckDBExecutor(computing, "flowapi"),
        "postgres": PostgresExecutor("flowapi"),
    }
    try:
        yield Stage(engine, folder, zone, cells, executors)
    finally:
        engine.dispose()


def moment(text: str) -> datetime:
    """``2 13:45`` is that time on 2 January 2016."""
    day, _, clock = text.partition(" ")
    return datetime.fromisoformat(f"2016-01-{int(day):02} {clock or '00:00'}")


def drawn(text: str) -> World:
    """Parse a world drawn as a table: column names, then one event a line.

    Columns are those of `Event`, separated by ``|``; ``-`` is null. ``subscriber`` may be a range ``s1..16``: the event
    happens to each of them.
    """
    header, *lines = [line for line in text.strip().splitlines() if line.strip()]
    names = [name.strip() for name in header.split("|")]
    types = {f.name: str(f.type) for f in fields(Event)}
    events = []
    for line in lines:
        cells = dict(zip(names, (value.strip() for value in line.split("|")), strict=True))
        values: dict[str, Any] = {name: _value(types[name], text) for name, text in cells.items()}
        for subscriber in _subscribers(cells["subscriber"]):
            events.append(Event(**values | {"subscriber": subscriber}))
    return World(events)


def _value(type_: str, text: str) -> Any:
    if text == "-":
        return None
    if type_ == "datetime":
        return moment(text)
    if type_.startswith("bool"):
        return {"out": True, "in": False}[text]
    if type_.startswith("float"):
        return float(text)
    return int(text) if type_.startswith("int") else text.strip('"')


def _subscribers(text: str) -> list[str]:
    """``s1..3`` stands for s1, s2 and s3."""
    first, dots, last = text.partition("..")
    if not dots:
        return [text]
    name = first.rstrip("0123456789")
    return [f"{name}{number}" for number in range(int(first[len(name) :]), int(last) + 1)]
