"""Computing over columnar day files with DuckDB; intermediate results are Parquet files in the cache folder."""

from __future__ import annotations

import io
import os
import shutil
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import sqlalchemy as sa
from duckdb_sqlalchemy import Dialect
from sqlalchemy.sql import FromClause, Select

from flowdb import spilling
from flowmachine.columnar import VerifiedFiles, ends_like_parquet
from flowmachine.data import DataState, Day
from flowmachine.executors.base import Stored, released_select, stored_select
from flowmachine.executors.postgres import device_models, drop_table, table_bytes
from flowmachine.maps import UnitMap, outdated_maps, unit_map
from flowmachine.registry import Aggregate, Query
from flowmachine.settings import Computing
from flowmachine.sql.events import EventSelection, in_hours
from flowmachine.sql.statements import Analyze, Grant
from flowmachine.tables import result_name
from flowmachine.units import SpatialUnit

_EVENT_COLUMNS: dict[str, Any] = {
    "subscriber": sa.BigInteger(),
    "time": sa.DateTime(),
    "local_time": sa.DateTime(),
    "cell": sa.Integer(),
    "tac": sa.Integer(),
    "counterpart": sa.BigInteger(),
    "outgoing": sa.Boolean(),
    "event_id": sa.BigInteger(),
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

_dialect = Dialect(paramstyle="numeric_dollar")


#: Seconds without a write after which an unfinished file is taken to be a dead worker's.
ABANDONED = 3600


def parquet(paths: Sequence[str], columns: dict[str, Any], name: str) -> FromClause:
    """Parquet files as a relation with the given columns."""
    bound = sa.bindparam("files", list(paths), type_=sa.ARRAY(sa.Text), unique=True)
    return (
        sa.func.read_parquet(bound).table_valued(*(sa.column(n, t) for n, t in columns.items())).alias(name)
    )


class DuckDBSources:
    """The relations of one query over files."""

    def __init__(
        self,
        settings: Computing,
        data: DataState,
        map_of: Callable[[SpatialUnit], UnitMap],
        devices_path: Callable[[], Path],
    ) -> None:
        self._settings = settings
        self._data = data
        self._map_of = map_of
        self._devices_path = devices_path

    def events(self, selection: EventSelection, columns: Sequence[str]) -> FromClause:
        days = self._data.days_of(selection)
        if not days:
            nothing = sa.select(*(sa.cast(sa.null(), _EVENT_COLUMNS[name]).label(name) for name in columns))
            return nothing.where(sa.false()).subquery("events")
        # Files of several types have the wanted columns in common, and are read best as one relation.
        paths = [str(self._settings.columnar_path / self._data.files[day]) for day in days]
        needed = (*columns, "time", "local_time")
        table = parquet(paths, {name: _EVENT_COLUMNS[name] for name in needed}, "files")
        statement = sa.select(*(table.c[name] for name in columns))
        # A file holds one whole local day, so only a window that cuts a day needs to look at times. It looks at instants,
        # for the clock shows some times twice.
        if selection.start.time() != selection.start.min.time():
            statement = statement.where(table.c.time >= self.utc(selection.start))
        if selection.end.time() != selection.end.min.time():
            statement = statement.where(table.c.time < self.utc(selection.end))
        if selection.hours is not None:
            statement = statement.where(in_hours(selection.hours, table.c.local_time))
        return statement.subquery("events")

    def utc(self, moment: datetime) -> datetime:
        return self._data.utc(moment)

    def cells(self, unit: SpatialUnit) -> FromClause:
        found = self._map_of(unit)
        columns = {
            "cell": sa.Integer(),
            "valid_from": sa.DateTime(),
            "valid_before": sa.DateTime(),
            "location": sa.Integer(),
        }
        return parquet([str(map_path(self._settings, found.cells.name))], columns, "cells")

    def regions(self, unit: SpatialUnit) -> FromClause:
        found = self._map_of(unit)
        columns = {"location": sa.Integer(), **unit.id_columns}
        return parquet([str(map_path(self._settings, found.regions.name))], columns, "regions")

    def region_count(self, unit: SpatialUnit) -> int:
        return self._map_of(unit).region_count

    def moves(self, unit: SpatialUnit) -> Sequence[date]:
        return self._map_of(unit).moves

    def boundaries(self, unit: SpatialUnit) -> FromClause:
        path = map_path(self._settings, self._map_of(unit).boundaries_name)
        exported = parquet([str(path)], {"location": sa.Integer(), "geom": sa.LargeBinary()}, "exported")
        geom = sa.func.ST_GeomFromWKB(exported.c.geom).label("geom")
        return sa.select(exported.c.location, geom).subquery("boundaries")

    def stored(self, query: Query) -> FromClause:
        path = stored_path(self._settings, query.query_id)
        return parquet([str(path)], dict(query.columns), "stored")

    def devices(self) -> FromClause:
        columns = {column.name: column.type for column in device_models().c}
        return parquet([str(self._devices_path())], columns, "devices")


def stored_path(settings: Computing, query_id: str) -> Path:
    """The file of a stored intermediate result."""
    return settings.cache_path / "results" / query_id[:2] / f"{query_id}.parquet"


def map_path(settings: Computing, name: str) -> Path:
    """The file of a cell map's relation."""
    return settings.cache_path / "maps" / f"{name}.parquet"


class DuckDBExecutor:
    """Runs statements in a DuckDB of its own, with a memory limit, a spill folder and a thread budget."""

    name = "duckdb"

    def __init__(self, settings: Computing, reader: str = "flowapi") -> None:
        self._settings = settings
        self._reader = reader
        # Its own: the names of spilled files are the same in every process, and no lock keeps two from writing into one
        # another's.
        spill = settings.cache_path / "spill" / uuid4().hex
        spill.mkdir(parents=True)
        weakref.finalize(self, _remove, spill, spilling.hold(spill))
        self._connection = duckdb.connect(
            config={
                "threads": settings.threads,
                "memory_limit": settings.memory_limit,
                "temp_directory": str(spill),
                "preserve_insertion_order": False,
                # It keeps parts of files by name, and was seen to mix them with those of another file that had taken the
                # name within a second, as a result that is computed anew does. The system keeps files in memory, too.
                "enable_external_file_cache": False,
                # Everything it may read is named by us; nothing is ever fetched.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_unsigned_extensions": False,
            }
        )
        self._threads = settings.threads
        self._connection.load_extension(spatial_extension())
        self._maps: dict[tuple[SpatialUnit, str], tuple[UnitMap, list[Path]]] = {}
        self._day_files = VerifiedFiles(settings.columnar_path)

    def sources(self, data: DataState, connection: sa.Connection) -> DuckDBSources:
        return DuckDBSources(
            self._settings,
            data,
            lambda unit: self._map(unit, data.map_version(unit), connection),
            lambda: self._devices(connection),
        )

    @contextmanager
    def storing(self, query: Query, data: DataState, connection: sa.Connection) -> Iterator[Stored]:
        statement, values = compiled(stored_select(query, self.sources(data, connection)))
        path = stored_path(self._settings, query.query_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            copied = self._connection.execute(
                f"COPY ({statement}) TO '{partial}' (FORMAT parquet, COMPRESSION lz4_raw)", values
            ).fetchall()
            yield Stored(int(copied[0][0]), partial.stat().st_size)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def release(self, query: Aggregate, data: DataState, connection: sa.Connection) -> Stored:
        table = self.query(released_select(query, self.sources(data, connection)))
        name = result_name(query.query_id)
        drop_table(connection, name)
        columns = query.published.columns
        target = sa.Table(name, sa.MetaData(), *(sa.Column(n, t) for n, t in columns.items()), schema="cache")
        target.create(connection)
        copy_into(connection, target, table)
        connection.execute(Analyze("cache", name))
        connection.execute(Grant("cache", name, self._reader))
        return Stored(table.num_rows, table_bytes(connection, name))

    def damaged(self, days: Iterable[Day], data: DataState) -> set[Day]:
        return {
            day
            for day in data.files.keys() & days
            if (path := data.files[day]) in data.checksums
            and not self._day_files.whole(path, *data.checksums[path])
        }

    def can_read(self, query: Query, data: DataState) -> bool:
        return data.columnar(query) and not self.damaged(data.days(query), data)

    def stored_exists(self, query: Query, connection: sa.Connection) -> bool:
        return ends_like_parquet(stored_path(self._settings, query.query_id))

    def discard(self, query_id: str, connection: sa.Connection) -> None:
        stored_path(self._settings, query_id).unlink(missing_ok=True)

    def held(self, connection: sa.Connection) -> set[str]:
        return {path.stem for path in (self._settings.cache_path / "results").glob("*/*.parquet")}

    def tidy(self, cells_version: int, connection: sa.Connection) -> list[str]:
        folder = self._settings.cache_path
        exported = {path.stem: path for path in (folder / "maps").glob("*.parquet")}
        maps = [exported[name] for name in outdated_maps(exported, cells_version)]
        partial = [*folder.glob("*/.*.parquet.*"), *folder.glob("results/*/.*.parquet.*")]
        abandoned = [path for path in partial if _untouched(path)]
        for path in maps + abandoned:
            path.unlink(missing_ok=True)
        return [
            *(path.name for path in maps + abandoned),
            *spilling.remove_abandoned(folder / "spill"),
        ]

    def share(self, among: int) -> None:
        threads = max(1, self._settings.threads // among)
        if threads != self._threads:
            self._connection.execute(f"SET threads = {threads}")
            self._threads = threads

    def interrupt(self) -> None:
        self._connection.interrupt()

    def pseudonyms(self) -> FromClause | None:
        columns = {"subscriber_key": sa.BigInteger(), "pseudonym": sa.Text()}
        pattern = str(self._settings.columnar_path / "subscribers" / "*.parquet")
        # A load that was repeated may have written its pairs twice.
        return sa.select(parquet([pattern], columns, "dictionary")).distinct().subquery("pseudonyms")

    def frame(self, select: Select[Any], connection: sa.Connection) -> pd.DataFrame:
        return self.query(select).to_pandas()

    def rows(self, query: Query, data: DataState, connection: sa.Connection) -> list[tuple[Any, ...]]:
        stored = self.sources(data, connection).stored(query)
        return [tuple(row.values()) for row in self.query(sa.select(stored)).to_pylist()]

    def query(self, select: Select[Any]) -> pa.Table:
        """The rows of a statement."""
        statement, values = compiled(select)
        return self._connection.execute(statement, values).to_arrow_table()

    def _map(self, unit: SpatialUnit, version: str, connection: sa.Connection) -> UnitMap:
        """The unit's map as files, exported from the database once per version."""
        known = self._maps.get((unit, version))
        if known is not None and all(path.exists() for path in known[1]):
            return known[0]
        found = unit_map(connection, unit, version)
        paths = []
        for relation in found.exported:
            path = map_path(self._settings, relation.name)
            if not path.exists():
                export(connection, relation, path)
            paths.append(path)
        self._maps[unit, version] = found, paths
        return found

    def _devices(self, connection: sa.Connection) -> Path:
        """The list of device models as a file, exported once for each content it has had."""
        models = device_models()
        row = sa.func.concat_ws("|", *(sa.func.coalesce(sa.cast(column, sa.Text), "") for column in models.c))
        digest = sa.select(sa.func.count(), sa.func.sum(sa.cast(sa.func.hashtext(row), sa.BigInteger)))
        count, total = connection.execute(digest.select_from(models)).one()
        path = self._settings.cache_path / "devices" / f"{count}_{total}.parquet"
        if not path.exists():
            export(connection, models, path)
        return path


def _remove(folder: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)


def _untouched(path: Path) -> bool:
    """Whether nothing was written to a file for so long that nobody can be at it."""
    try:
        return time.time() - path.stat().st_mtime > ABANDONED
    except FileNotFoundError:
        return False


def compiled(select: Select[Any]) -> tuple[str, list[Any]]:
    """A statement's text for DuckDB and its values in order."""
    statement = select.compile(dialect=_dialect, compile_kwargs={"render_postcompile": True})
    # Asked for once: each asking makes the whole mapping, and a wide modal location binds thousands of values.
    values = statement.params
    return str(statement), [values[name] for name in statement.positiontup or ()]


def export(connection: sa.Connection, relation: FromClause, path: Path) -> None:
    """Write a small relation of the database to a Parquet file, complete or not at all."""
    result = connection.execute(sa.select(relation)).mappings().all()
    kinds = {
        sa.Text: pa.string(),
        sa.Integer: pa.int32(),
        sa.DateTime: pa.timestamp("us"),
        sa.Double: pa.float64(),
        sa.LargeBinary: pa.binary(),
    }
    schema = pa.schema([(column.name, kinds[type(column.type)]) for column in relation.columns])
    table = pa.Table.from_pylist([dict(row) for row in result], schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    pa.parquet.write_table(table, partial)
    partial.replace(path)


def copy_into(connection: sa.Connection, target: sa.Table, table: pa.Table) -> None:
    """COPY rows into a table of the caller's transaction."""
    stream = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=False, quoting_style="needed")
    texts = {name: _as_copied(table[name].combine_chunks()) for name in table.column_names}
    pa.csv.write_csv(pa.table(texts), stream, options)
    stream.seek(0)
    cursor = connection.connection.cursor()
    quote = connection.dialect.identifier_preparer.quote
    cursor.copy_expert(f"COPY {quote('cache')}.{quote(target.name)} FROM STDIN (FORMAT csv)", stream)


def _as_copied(column: pa.Array) -> pa.Array:
    """A column as text that COPY reads, where it does not read what the CSV writer makes of the column."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.string())
    if pa.types.is_list(column.type):
        # None of the values that are published in lists has a comma, a quote or a brace.
        joined = pc.binary_join(column.cast(pa.list_(pa.string())), ",")
        return pc.binary_join_element_wise("{", joined, "}", "")
    return column


@lru_cache(maxsize=1)
def spatial_extension() -> str:
    """The file of the spatial extension that matches the library."""
    folder = package_files("duckdb_extension_spatial") / "extensions" / f"v{duckdb.__version__}"
    return str(folder / "spatial.duckdb_extension")
