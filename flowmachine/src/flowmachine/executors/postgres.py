"""Computing over the event partitions in PostgreSQL; intermediate results are unlogged, analysed tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.data import DataState, Day
from flowmachine.executors.base import Stored, released_select, stored_select
from flowmachine.maps import UnitMap, drop_old_maps, unit_map
from flowmachine.registry import Aggregate, Query
from flowmachine.sql.events import COLUMNS_OF_TYPES, NAMES_IN_TABLES, EventSelection, in_hours
from flowmachine.sql.statements import Analyze, CreateTableAs, Grant
from flowmachine.tables import intermediate_name, result_name
from flowmachine.units import SpatialUnit

#: Columns of the event tables by the name that queries use, with the type that queries see.
_COLUMN_TYPES: dict[str, Any] = {
    "event_id": sa.Text(),
    "counterpart": sa.Text(),
    "outgoing": sa.Boolean(),
    "tac": sa.Integer(),
    "duration": sa.Double(),
    "volume_total": sa.Double(),
    "volume_upload": sa.Double(),
    "volume_download": sa.Double(),
    "recharge_amount": sa.Double(),
    "airtime_fee": sa.Double(),
    "tax_and_fee": sa.Double(),
    "pre_event_balance": sa.Double(),
    "post_event_balance": sa.Double(),
}


class PostgresSources:
    """The relations of one query over the database."""

    def __init__(self, data: DataState, map_of: Callable[[SpatialUnit], UnitMap]) -> None:
        self._data = data
        self._map_of = lru_cache(maxsize=None)(map_of)

    def events(self, selection: EventSelection, columns: Sequence[str]) -> FromClause:
        parts = [self._events_of_type(event_type, selection, columns) for event_type in selection.types]
        return (parts[0] if len(parts) == 1 else sa.union_all(*parts)).subquery("events")

    def _events_of_type(
        self, event_type: str, selection: EventSelection, columns: Sequence[str]
    ) -> sa.Select[Any]:
        table = sa.table(event_type, sa.column("datetime", sa.DateTime(timezone=True)), schema="events")
        local_time = sa.func.timezone(self._data.zone_name, table.c.datetime, type_=sa.DateTime())
        selected: dict[str, ColumnElement[Any]] = {
            "subscriber": sa.column("msisdn", sa.Text),
            "time": sa.func.timezone("UTC", table.c.datetime, type_=sa.DateTime()),
            "local_time": local_time,
            "cell": sa.func.nullif(sa.column("location_id", sa.Text), ""),
        }
        for name, type_ in _COLUMN_TYPES.items():
            if event_type in COLUMNS_OF_TYPES.get(name, (event_type,)):
                selected[name] = sa.cast(sa.column(NAMES_IN_TABLES.get(name, name)), type_)
        statement = (
            sa.select(*(selected[name].label(name) for name in columns))
            .select_from(table)
            .where(
                # Instants rather than wall-clock times, so that the planner prunes partitions.
                table.c.datetime >= self.utc(selection.start).replace(tzinfo=UTC),
                table.c.datetime < self.utc(selection.end).replace(tzinfo=UTC),
            )
        )
        return (
            statement if selection.hours is None else statement.where(in_hours(selection.hours, local_time))
        )

    def utc(self, moment: datetime) -> datetime:
        return self._data.utc(moment)

    def cells(self, unit: SpatialUnit) -> FromClause:
        cells = self._map_of(unit).cells
        return sa.select(
            cells.c.location_id.label("cell"), cells.c.valid_from, cells.c.valid_before, cells.c.location
        ).subquery("cells")

    def regions(self, unit: SpatialUnit) -> FromClause:
        return self._map_of(unit).regions

    def region_count(self, unit: SpatialUnit) -> int:
        return self._map_of(unit).region_count

    def moves(self, unit: SpatialUnit) -> Sequence[date]:
        return self._map_of(unit).moves

    def boundaries(self, unit: SpatialUnit) -> FromClause:
        return self._map_of(unit).boundaries

    def stored(self, query: Query) -> FromClause:
        return stored_table(query)

    def devices(self) -> FromClause:
        return device_models()


def device_models() -> sa.Subquery:
    """Device models: the code that events hold as ``tac``, and what is known of each."""
    names = ("hnd_type", "brand", "model", "software_os_name", "software_os_vendor")
    tacs = sa.table(
        "tacs", sa.column("id"), *(sa.column(name, sa.Text) for name in names), schema="infrastructure"
    )
    return sa.select(sa.cast(tacs.c.id, sa.Integer).label("tac"), *(tacs.c[name] for name in names)).subquery(
        "devices"
    )


def stored_table(query: Query) -> sa.TableClause:
    """The table of a stored intermediate result."""
    return sa.table(
        intermediate_name(query.query_id),
        *(sa.column(name, type_) for name, type_ in query.columns.items()),
        schema="cache",
    )


class PostgresExecutor:
    """Runs everything inside the database, in the caller's transaction."""

    name = "postgres"

    def __init__(self, reader: str = "flowapi") -> None:
        self._reader = reader
        self._running: Any = None

    def sources(self, data: DataState, connection: sa.Connection) -> PostgresSources:
        return PostgresSources(data, lambda unit: unit_map(connection, unit, data.map_version(unit)))

    @contextmanager
    def storing(self, query: Query, data: DataState, connection: sa.Connection) -> Iterator[Stored]:
        select = stored_select(query, self.sources(data, connection))
        self.discard(query.query_id, connection)
        # Nobody sees it before the caller's transaction commits.
        yield self._create(connection, intermediate_name(query.query_id), select, unlogged=True)

    def release(self, query: Aggregate, data: DataState, connection: sa.Connection) -> Stored:
        select = released_select(query, self.sources(data, connection))
        name = result_name(query.query_id)
        drop_table(connection, name)
        size = self._create(connection, name, select, unlogged=False)
        connection.execute(Grant("cache", name, self._reader))
        return size

    def damaged(self, days: Iterable[Day], data: DataState) -> set[Day]:
        return set()

    def can_read(self, query: Query, data: DataState) -> bool:
        return True

    def stored_exists(self, query: Query, connection: sa.Connection) -> bool:
        return sa.inspect(connection).has_table(intermediate_name(query.query_id), schema="cache")

    def discard(self, query_id: str, connection: sa.Connection) -> None:
        drop_table(connection, intermediate_name(query_id))

    def held(self, connection: sa.Connection) -> set[str]:
        return table_ids(connection, intermediate_name(""))

    def tidy(self, cells_version: int, connection: sa.Connection) -> list[str]:
        return drop_old_maps(connection, cells_version)

    def share(self, among: int) -> None:
        """Nothing to do: the database shares its processors by itself."""

    def interrupt(self) -> None:
        running = self._running
        if running is not None:
            running.cancel()

    def pseudonyms(self) -> FromClause | None:
        return None

    def frame(self, select: sa.Select[Any], connection: sa.Connection) -> pd.DataFrame:
        result = connection.execute(select)
        return pd.DataFrame(result.all(), columns=list(result.keys()))

    def rows(self, query: Query, data: DataState, connection: sa.Connection) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.execute(sa.select(stored_table(query)))]

    def _create(
        self, connection: sa.Connection, name: str, select: sa.Select[Any], *, unlogged: bool
    ) -> Stored:
        self._running = connection.connection.driver_connection
        try:
            connection.execute(CreateTableAs("cache", name, select, unlogged=unlogged))
        finally:
            self._running = None
        # Without statistics the planner takes a parent's joins for tiny and falls into nested loops.
        connection.execute(Analyze("cache", name))
        return table_size(connection, name)


def drop_table(connection: sa.Connection, name: str) -> None:
    """Drop a table of schema ``cache`` if it is there."""
    connection.execute(sa.schema.DropTable(sa.Table(name, sa.MetaData(), schema="cache"), if_exists=True))


def table_ids(connection: sa.Connection, prefix: str) -> set[str]:
    """Query ids of the tables of schema ``cache`` whose names are the prefix and an id."""
    names = sa.inspect(connection).get_table_names(schema="cache")
    return {name[1:] for name in names if name[0] == prefix and len(name) == 33}


def table_size(connection: sa.Connection, name: str) -> Stored:
    """Rows and bytes on disk of a table of schema ``cache``."""
    table = sa.table(name, schema="cache")
    rows = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    return Stored(rows, table_bytes(connection, name))


def table_bytes(connection: sa.Connection, name: str) -> int:
    """Bytes on disk of a table of schema ``cache``."""
    size = sa.func.pg_total_relation_size(f'cache."{name}"')
    return int(connection.execute(sa.select(size)).scalar_one())
