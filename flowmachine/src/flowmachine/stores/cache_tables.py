"""Store results as tables of schema ``cache``.

These are released results and PostgreSQL's intermediate results.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa

from flowmachine.data import DataState, Day
from flowmachine.spec.query import Query
from flowmachine.stores import TABLES
from flowmachine.stores.base import Stored
from flowmachine.tables import intermediate_name


class TableStore:
    """Store intermediate results as tables; PostgreSQL's executor inherits from this."""

    store = TABLES

    def damaged_tallies(self, days: Iterable[Day], data: DataState) -> set[Day]:
        return set()

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


def copy_table(connection: sa.Connection, target: sa.Table, table: pa.Table) -> None:
    """COPY rows into a table of the caller's transaction."""
    stream = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    texts = {name: _as_copied(table[name].combine_chunks()) for name in table.column_names}
    pa.csv.write_csv(pa.table(texts), stream, options)
    stream.seek(0)
    cursor = connection.connection.cursor()
    name = connection.dialect.identifier_preparer.format_table(target)
    cursor.copy_expert(f"COPY {name} FROM STDIN (FORMAT csv)", stream)


def _as_copied(column: pa.Array) -> pa.Array:
    """Return a column as text that COPY reads, where the CSV writer's text differs."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.string())
    if pa.types.is_list(column.type):
        # No value published in lists has a comma, a quote or a brace.
        joined = pc.binary_join(column.cast(pa.list_(pa.string())), ",")
        return pc.binary_join_element_wise("{", joined, "}", "")
    return column


def stored_table(query: Query) -> sa.TableClause:
    """Return the table of a stored intermediate result."""
    return sa.table(
        intermediate_name(query.query_id),
        *(sa.column(name, type_) for name, type_ in query.columns.items()),
        schema="cache",
    )


def drop_table(connection: sa.Connection, name: str) -> None:
    """Drop a table of schema ``cache`` if it exists."""
    connection.execute(sa.schema.DropTable(sa.Table(name, sa.MetaData(), schema="cache"), if_exists=True))


def table_ids(connection: sa.Connection, prefix: str) -> set[str]:
    """Return the query ids of tables named by this prefix and an id."""
    names = sa.inspect(connection).get_table_names(schema="cache")
    return {name[1:] for name in names if name[0] == prefix and len(name) == 33}


def table_size(connection: sa.Connection, name: str) -> Stored:
    """Return rows and disk bytes of a table of schema ``cache``."""
    table = sa.table(name, schema="cache")
    rows = sa.select(sa.func.count()).select_from(table).scalar_subquery()
    return Stored(*connection.execute(sa.select(rows, _bytes(name))).one())


def table_bytes(connection: sa.Connection, name: str) -> int:
    """Return disk bytes of a table of schema ``cache``."""
    return int(connection.execute(sa.select(_bytes(name))).scalar_one())


def _bytes(name: str) -> sa.ColumnElement[int]:
    return sa.func.pg_total_relation_size(f'cache."{name}"')
