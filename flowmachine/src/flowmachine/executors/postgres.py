"""Compute over the event partitions in PostgreSQL.

Intermediate results are unlogged, analysed tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.data import DataState, check_weights
from flowmachine.ledger.inputs import Stores
from flowmachine.ledger.releasing import release
from flowmachine.settings import POSTGRES
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import COLUMNS_OF_TYPES, NAMES_IN_TABLES, EventSelection, Query
from flowmachine.spec.subsets import SubscriberSet
from flowmachine.sql.events import in_hours
from flowmachine.sql.samples import stored_select
from flowmachine.sql.statements import Analyze, CreateTableAs
from flowmachine.stores.base import Stored
from flowmachine.stores.cache_tables import TableStore, stored_table, table_size
from flowmachine.stores.maps import UnitMap, drop_old_maps, unit_map
from flowmachine.tables import device_models, intermediate_name, subscriber_keys, weights

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the event tables by the names that queries use, with the types that queries see.
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


_NESTED_LOOPS = sa.select(sa.func.set_config("enable_nestloop", sa.bindparam("switch", type_=sa.Text), True))


class PostgresSources:
    """Provide the relations of one query over the database."""

    def __init__(
        self,
        data: DataState,
        map_of: Callable[[SpatialUnit], UnitMap],
        check_weights: Callable[[str, str], None],
    ) -> None:
        self._data = data
        self._map_of = lru_cache(maxsize=None)(map_of)
        self._check_weights = check_weights

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
                # Instants instead of wall-clock times let the planner prune partitions.
                table.c.datetime >= self.utc(selection.start).replace(tzinfo=UTC),
                table.c.datetime < self.utc(selection.end).replace(tzinfo=UTC),
            )
        )
        return (
            statement if selection.hours is None else statement.where(in_hours(selection.hours, local_time))
        )

    def tallied(self, selection: EventSelection) -> tuple[FromClause | None, list[EventSelection]]:
        return None, [selection]

    def loaded_dates(self, selection: EventSelection) -> list[date]:
        return self._data.dates_of(selection)

    def utc(self, moment: datetime) -> datetime:
        return self._data.utc(moment)

    def local(self, moment: datetime) -> datetime:
        return self._data.local(moment)

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

    def parents(self, unit: SpatialUnit) -> FromClause:
        return self._map_of(unit).parents

    def weights(self, table: str, column: str) -> FromClause:
        self._check_weights(table, column)
        return weights(table, column)

    def stored(self, query: Query) -> FromClause:
        return stored_table(query)

    def stored_all(self, queries: Sequence[Query]) -> FromClause:
        return sa.union_all(*(sa.select(stored_table(query)) for query in queries)).subquery("stored")

    def devices(self) -> FromClause:
        return device_models()


class PostgresExecutor(TableStore):
    """Run everything inside the database, in the caller's transaction."""

    name = POSTGRES

    def __init__(self, reader: str) -> None:
        self._reader = reader

    def sources(self, data: DataState, connection: sa.Connection) -> PostgresSources:
        return PostgresSources(
            data,
            lambda unit: unit_map(connection, unit, data.map_version(unit)),
            lambda table, column: check_weights(connection, table, column),
        )

    @contextmanager
    def storing(self, query: Query, data: DataState, connection: sa.Connection) -> Iterator[Stored]:
        select = stored_select(query, self.sources(data, connection))
        self.discard(query.query_id, connection)
        # The table is invisible until the caller's transaction commits.
        yield self._create(connection, intermediate_name(query.query_id), select)

    @contextmanager
    def storing_set(
        self, query: SubscriberSet, members: Sequence[int], connection: sa.Connection
    ) -> Iterator[Stored]:
        keys = subscriber_keys.c
        (name,) = query.columns
        select = sa.select(keys.pseudonym.label(name)).where(
            keys.subscriber_key == sa.any_(sa.literal(list(members)))
        )
        self.discard(query.query_id, connection)
        yield self._create(connection, intermediate_name(query.query_id), select)

    def release(self, query: Aggregate, data: DataState, connection: sa.Connection) -> Stored:
        stores = Stores(self.sources(data, connection), lambda part: self.stored_exists(part, connection))
        return release(query, data, stores, self._fill, connection, self._reader)

    def _fill(self, connection: sa.Connection, table: sa.Table, select: sa.Select[Any]) -> None:
        with _hash_joins(connection):
            connection.execute(CreateTableAs(table.schema, table.name, select))

    def tidy(self, cells_version: int, connection: sa.Connection) -> list[str]:
        return drop_old_maps(connection, cells_version)

    def share(self, among: int) -> None:
        """Do nothing: the database shares its processors by itself."""

    def interrupt(self) -> None:
        """Do nothing: the worker cancels what runs on its connection."""

    def pseudonyms(self) -> FromClause | None:
        return None

    def frame(self, select: sa.Select[Any], connection: sa.Connection) -> pd.DataFrame:
        import pandas as pd

        with _hash_joins(connection):
            result = connection.execute(select)
        # As objects, because pandas would make floats of whole numbers beside a null.
        return pd.DataFrame(result.all(), columns=list(result.keys()), dtype=object)

    def rows(self, query: Query, data: DataState, connection: sa.Connection) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.execute(sa.select(stored_table(query)))]

    def _create(self, connection: sa.Connection, name: str, select: sa.Select[Any]) -> Stored:
        with _hash_joins(connection):
            connection.execute(CreateTableAs("cache", name, select, unlogged=True))
        # Without statistics the planner underestimates a parent's joins and chooses nested loops.
        connection.execute(Analyze("cache", name))
        return table_size(connection, name)


@contextmanager
def _hash_joins(connection: sa.Connection) -> Iterator[None]:
    """Let the planner join by hashes wherever the condition allows it.

    Common table expressions have no statistics. The planner takes them for small, and would compare each of
    thousands of rows with thousands of others in nested loops.
    """
    connection.execute(_NESTED_LOOPS, {"switch": "off"})
    yield
    # After an error the transaction ends, and the setting with it.
    connection.execute(_NESTED_LOOPS, {"switch": "on"})
