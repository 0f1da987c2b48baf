"""Compute over columnar day files with DuckDB.

Intermediate results are Parquet files in the cache folder.
"""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from duckdb_sqlalchemy import Dialect
from sqlalchemy.sql import FromClause, Select

from flowdb import spilling
from flowmachine.data import DataState
from flowmachine.settings import Computing
from flowmachine.spec.query import Aggregate, Query
from flowmachine.sql.samples import released_select, stored_select
from flowmachine.sql.statements import Analyze, Grant
from flowmachine.stores import COLUMNAR
from flowmachine.stores.base import Stored
from flowmachine.stores.cache_tables import copy_table, drop_table, table_bytes
from flowmachine.stores.columnar import ColumnarStore
from flowmachine.tables import result_name

_dialect = Dialect(paramstyle="numeric_dollar")


def parquet(paths: Sequence[str], columns: Mapping[str, Any], name: str) -> FromClause:
    """Return Parquet files as a relation with the given columns."""
    bound = sa.bindparam("files", list(paths), type_=sa.ARRAY(sa.Text), unique=True)
    return (
        sa.func.read_parquet(bound).table_valued(*(sa.column(n, t) for n, t in columns.items())).alias(name)
    )


class DuckDBExecutor(ColumnarStore):
    """Run statements in a private DuckDB with memory limit, spill folder and threads."""

    name = COLUMNAR

    def __init__(self, settings: Computing, reader: str) -> None:
        super().__init__(settings, parquet)
        self._most_threads = settings.threads
        self._reader = reader
        # Each process needs its own folder, because names of spilled files are equal in all processes and no
        # lock keeps them apart.
        spill = settings.cache_path / "spill" / uuid4().hex
        spill.mkdir(parents=True)
        weakref.finalize(self, _remove, spill, spilling.hold(spill))
        self._connection = duckdb.connect(
            config={
                "threads": settings.threads,
                "memory_limit": settings.memory_limit,
                "temp_directory": str(spill),
                "preserve_insertion_order": False,
                # This cache keys file parts by name and was seen to mix them with parts of a file that took
                # the name within a second, as a recomputed result does. The system caches files anyway.
                "enable_external_file_cache": False,
                # We name every file to read; nothing is ever fetched.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_unsigned_extensions": False,
            }
        )
        self._threads = settings.threads
        self._connection.load_extension(spatial_extension())

    @contextmanager
    def storing(self, query: Query, data: DataState, connection: sa.Connection) -> Iterator[Stored]:
        statement, values = compiled(stored_select(query, self.sources(data, connection)))
        with self.replacing(query.query_id) as partial:
            copied = self._connection.execute(
                f"COPY ({statement}) TO '{partial}' (FORMAT parquet, COMPRESSION lz4_raw)", values
            ).fetchall()
            yield Stored(int(copied[0][0]), partial.stat().st_size)

    def release(self, query: Aggregate, data: DataState, connection: sa.Connection) -> Stored:
        table = self.query(released_select(query, self.sources(data, connection)))
        name = result_name(query.query_id)
        drop_table(connection, name)
        columns = query.published.columns
        target = sa.Table(name, sa.MetaData(), *(sa.Column(n, t) for n, t in columns.items()), schema="cache")
        target.create(connection)
        copy_table(connection, target, table)
        connection.execute(Analyze("cache", name))
        connection.execute(Grant("cache", name, self._reader))
        return Stored(table.num_rows, table_bytes(connection, name))

    def share(self, among: int) -> None:
        threads = max(1, self._most_threads // among)
        if threads != self._threads:
            self._connection.execute(f"SET threads = {threads}")
            self._threads = threads

    def interrupt(self) -> None:
        self._connection.interrupt()

    def pseudonyms(self) -> FromClause | None:
        columns = {"subscriber_key": sa.BigInteger(), "pseudonym": sa.Text()}
        pattern = str(self._settings.columnar_path / "subscribers" / "*.parquet")
        # A repeated load may have written its pairs twice.
        return sa.select(parquet([pattern], columns, "dictionary")).distinct().subquery("pseudonyms")

    def frame(self, select: Select[Any], connection: sa.Connection) -> pd.DataFrame:
        # As objects, because pandas would make floats of whole numbers beside a null.
        return self.query(select).to_pandas(integer_object_nulls=True)

    def rows(self, query: Query, data: DataState, connection: sa.Connection) -> list[tuple[Any, ...]]:
        stored = self.sources(data, connection).stored(query)
        return [tuple(row.values()) for row in self.query(sa.select(stored)).to_pylist()]

    def query(self, select: Select[Any]) -> pa.Table:
        """Return the rows of a statement."""
        statement, values = compiled(select)
        return self._connection.execute(statement, values).to_arrow_table()


def _remove(folder: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)


def compiled(select: Select[Any]) -> tuple[str, list[Any]]:
    """Return a statement's text for DuckDB and its values in order."""
    statement = select.compile(dialect=_dialect, compile_kwargs={"render_postcompile": True})
    # Read once: each access builds the whole mapping, and a wide modal location binds thousands of values.
    values = statement.params
    return str(statement), [values[name] for name in statement.positiontup or ()]


@lru_cache(maxsize=1)
def spatial_extension() -> str:
    """Return the file of the spatial extension that matches the library."""
    folder = package_files("duckdb_extension_spatial") / "extensions" / f"v{duckdb.__version__}"
    return str(folder / "spatial.duckdb_extension")
