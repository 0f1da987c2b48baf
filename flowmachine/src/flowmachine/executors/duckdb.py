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
import pyarrow as pa
import sqlalchemy as sa
from duckdb_sqlalchemy import Dialect
from sqlalchemy.sql import FromClause, Select

from flowdb import spilling
from flowmachine.data import DataState
from flowmachine.executors.columnar import ColumnarExecutor
from flowmachine.settings import DUCKDB, Computing
from flowmachine.spec.query import Query
from flowmachine.sql.samples import stored_select
from flowmachine.stores.base import Stored
from flowsettings.owner import make_folder

_dialect = Dialect(paramstyle="numeric_dollar")


def parquet(paths: Sequence[str], columns: Mapping[str, Any], name: str) -> FromClause:
    """Return Parquet files as a relation with the given columns."""
    bound = sa.bindparam("files", list(paths), type_=sa.ARRAY(sa.Text), unique=True)
    return (
        sa.func.read_parquet(bound).table_valued(*(sa.column(n, t) for n, t in columns.items())).alias(name)
    )


class DuckDBExecutor(ColumnarExecutor):
    """Run statements in a private DuckDB with memory limit, spill folder and threads."""

    name = DUCKDB

    def __init__(self, settings: Computing, reader: str) -> None:
        super().__init__(settings, parquet, reader)
        self._most_threads = settings.threads
        # Each process needs its own folder, because names of spilled files are equal in all processes and no
        # lock keeps them apart.
        spill = settings.cache_path / "spill" / uuid4().hex
        make_folder(spill, 0o777)
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

    def share(self, among: int) -> None:
        threads = max(1, self._most_threads // among)
        if threads != self._threads:
            self._connection.execute(f"SET threads = {threads}")
            self._threads = threads

    def interrupt(self) -> None:
        self._connection.interrupt()

    def query(self, select: Select[Any]) -> pa.Table:
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
