"""Store Parquet files for loaded days, cell maps and intermediate results."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, time, timedelta
from pathlib import Path
from time import time as clock
from typing import Any, ClassVar, Protocol
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet
import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowdb import spilling
from flowmachine.data import DataState, Day, check_weights
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import EventSelection, Query, holds_subscribers
from flowmachine.sql.events import in_hours
from flowmachine.stores import COLUMNAR
from flowmachine.stores.maps import UnitMap, outdated_maps, unit_map
from flowmachine.stores.verified import VerifiedFiles, ends_like_parquet
from flowmachine.tables import device_models, weights
from flowsettings.owner import give_to_owner, make_folder

#: Seconds without a write after which an unfinished file counts as abandoned.
ABANDONED = 3600

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


_TALLY_COLUMNS: dict[str, Any] = {
    "cell": sa.Integer(),
    "local_time": sa.DateTime(),
    "events": sa.Integer(),
    "bits": sa.BigInteger(),
}

#: Files of a result that an engine on several hosts stored as a folder.
PARTS = "*.parquet"


class Folders(Protocol):
    """Hold the folders of loaded days and of workers' files."""

    @property
    def columnar_path(self) -> Path: ...

    @property
    def cache_path(self) -> Path: ...


class Reader(Protocol):
    """Make a relation of Parquet files with given columns; each engine has its own."""

    def __call__(self, paths: Sequence[str], columns: Mapping[str, Any], name: str) -> FromClause: ...


class ColumnarSources:
    """Provide the relations of one query over files."""

    def __init__(
        self,
        settings: Folders,
        read: Reader,
        data: DataState,
        has_tally: Callable[[Day], bool],
        map_of: Callable[[SpatialUnit], UnitMap],
        devices_path: Callable[[], Path],
        weights_path: Callable[[str, str], Path],
    ) -> None:
        self._settings = settings
        self._read = read
        self._data = data
        self._has_tally = has_tally
        self._map_of = map_of
        self._devices_path = devices_path
        self._weights_path = weights_path

    def events(self, selection: EventSelection, columns: Sequence[str]) -> FromClause:
        days = self._data.days_of(selection)
        if not days:
            nothing = sa.select(*(sa.cast(sa.null(), _EVENT_COLUMNS[name]).label(name) for name in columns))
            return nothing.where(sa.false()).subquery("events")
        # Files of several types share the wanted columns and are read best as one relation.
        paths = [str(self._settings.columnar_path / self._data.files[day]) for day in days]
        needed = (*columns, "time", "local_time")
        table = self._read(paths, {name: _EVENT_COLUMNS[name] for name in needed}, "files")
        statement = sa.select(*(table.c[name] for name in columns))
        # A file holds one whole local day, so only a window that cuts a day needs to compare times. Compare
        # instants, because the clock shows some times twice.
        if selection.start.time() != selection.start.min.time():
            statement = statement.where(table.c.time >= self.utc(selection.start))
        if selection.end.time() != selection.end.min.time():
            statement = statement.where(table.c.time < self.utc(selection.end))
        if selection.hours is not None:
            statement = statement.where(in_hours(selection.hours, table.c.local_time))
        return statement.subquery("events")

    def tallied(self, selection: EventSelection) -> tuple[FromClause | None, list[EventSelection]]:
        first = selection.start.date() + timedelta(days=selection.start.time() != time.min)
        found: dict[date, list[str]] = {}
        for day in selection.days if selection.subset is None else ():
            if first <= day < selection.end.date():
                loaded = [(name, day) for name in selection.types if (name, day) in self._data.loads]
                if all(map(self._has_tally, loaded)):
                    found[day] = [self._data.tallies[name] for name in loaded]
        paths = [str(self._settings.columnar_path / path) for files in found.values() for path in files]
        if not paths:
            return None, [selection]
        table = self._read(paths, _TALLY_COLUMNS, "tallies")
        statement = sa.select(*table.c)
        if selection.hours is not None:
            statement = statement.where(in_hours(selection.hours, table.c.local_time))
        # Cut where days with a tally begin and end.
        spans = selection.split(sorted({day for one in found for day in (one, one + timedelta(days=1))}))
        rest = [span for span in spans if span.start.date() not in found]
        return statement.subquery("tallied"), rest

    def loaded_dates(self, selection: EventSelection) -> list[date]:
        return self._data.dates_of(selection)

    def utc(self, moment: datetime) -> datetime:
        return self._data.utc(moment)

    def local(self, moment: datetime) -> datetime:
        return self._data.local(moment)

    def cells(self, unit: SpatialUnit) -> FromClause:
        found = self._map_of(unit)
        columns = {
            "cell": sa.Integer(),
            "valid_from": sa.DateTime(),
            "valid_before": sa.DateTime(),
            "location": sa.Integer(),
        }
        return self._read([str(map_path(self._settings, found.cells.name))], columns, "cells")

    def regions(self, unit: SpatialUnit) -> FromClause:
        found = self._map_of(unit)
        columns = {"location": sa.Integer(), **unit.id_columns}
        return self._read([str(map_path(self._settings, found.regions.name))], columns, "regions")

    def region_count(self, unit: SpatialUnit) -> int:
        return self._map_of(unit).region_count

    def moves(self, unit: SpatialUnit) -> Sequence[date]:
        return self._map_of(unit).moves

    def boundaries(self, unit: SpatialUnit) -> FromClause:
        path = self._boundaries_path(unit)
        exported = self._read([str(path)], {"location": sa.Integer(), "geom": sa.LargeBinary()}, "exported")
        geom = sa.func.ST_GeomFromWKB(exported.c.geom).label("geom")
        return sa.select(exported.c.location, geom).subquery("boundaries")

    def _boundaries_path(self, unit: SpatialUnit) -> Path:
        """Return the file of the regions' boundaries, as well-known binary."""
        return map_path(self._settings, self._map_of(unit).boundaries_name)

    def parents(self, unit: SpatialUnit) -> FromClause:
        path = map_path(self._settings, self._map_of(unit).parents_name)
        return self._read([str(path)], {"location": sa.Integer(), "parent": sa.Text()}, "parents")

    def weights(self, table: str, column: str) -> FromClause:
        path = self._weights_path(table, column)
        return self._read([str(path)], {"pcod": sa.Text(), "weight": sa.Double()}, "weights")

    def stored(self, query: Query) -> FromClause:
        path = parquet_of(stored_path(self._settings, query.query_id))
        return self._read([path], dict(query.columns), "stored")

    def stored_all(self, queries: Sequence[Query]) -> FromClause:
        paths = [parquet_of(stored_path(self._settings, query.query_id)) for query in queries]
        # Some engines read several files by the types that are given.
        columns = {
            name: sa.BigInteger() if holds_subscribers(name) else type_
            for name, type_ in queries[0].columns.items()
        }
        return self._read(paths, columns, "stored")

    def devices(self) -> FromClause:
        columns = {column.name: column.type for column in device_models().c}
        return self._read([str(self._devices_path())], columns, "devices")


class ColumnarStore:
    """Store files of days, maps and intermediate results.

    ``read`` says how an executor over them reads a file.
    """

    store = COLUMNAR

    def __init__(self, settings: Folders, read: Reader) -> None:
        self._settings = settings
        self._read = read
        self._maps: dict[tuple[SpatialUnit, str], tuple[UnitMap, list[Path]]] = {}
        self._day_files = VerifiedFiles(settings.columnar_path)

    sources_type: ClassVar[type[ColumnarSources]] = ColumnarSources

    def sources(self, data: DataState, connection: sa.Connection) -> ColumnarSources:
        return self.sources_type(
            self._settings,
            self._read,
            data,
            lambda day: self._has_tally(day, data),
            lambda unit: self._map(unit, data.map_version(unit), connection),
            lambda: self._devices(connection),
            lambda table, column: self._weights(table, column, data, connection),
        )

    @contextmanager
    def replacing(self, query_id: str) -> Iterator[Path]:
        """Provide a file for a result.

        The file becomes the stored result when the context ends without an error.
        """
        path = stored_path(self._settings, query_id)
        make_folder(path.parent, 0o777)
        partial = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            yield partial
            if path.is_dir() or (partial.is_dir() and path.exists()):
                # Nothing takes the place of a folder at once. A reader between the two steps plans again.
                _remove(path)
            give_to_owner(partial)
            partial.replace(path)
        finally:
            _remove(partial)

    def damaged(self, days: Iterable[Day], data: DataState) -> set[Day]:
        return {
            day
            for day in data.files.keys() & days
            if (path := data.files[day]) in data.checksums
            and not self._day_files.whole(path, *data.checksums[path])
        }

    def damaged_tallies(self, days: Iterable[Day], data: DataState) -> set[Day]:
        return {day for day in data.tallies.keys() & days if not self._has_tally(day, data)}

    def _has_tally(self, day: Day, data: DataState) -> bool:
        """Return whether a day's tally can be read; without it, its events are."""
        path = data.tallies.get(day)
        return path is not None and self._day_files.whole(path, *data.checksums[path])

    def can_read(self, query: Query, data: DataState) -> bool:
        return data.columnar(query) and not self.damaged(data.days(query), data)

    def stored_exists(self, query: Query, connection: sa.Connection) -> bool:
        path = stored_path(self._settings, query.query_id)
        parts = list(path.glob(PARTS)) if path.is_dir() else [path]
        return bool(parts) and all(map(ends_like_parquet, parts))

    def discard(self, query_id: str, connection: sa.Connection) -> None:
        _remove(stored_path(self._settings, query_id))

    def held(self, connection: sa.Connection) -> set[str]:
        return {path.stem for path in (self._settings.cache_path / "results").glob("*/*.parquet")}

    def tidy(self, cells_version: int, connection: sa.Connection) -> list[str]:
        folder = self._settings.cache_path
        exported = {path.stem: path for path in (folder / "maps").glob("*.parquet")}
        maps = [exported[name] for name in outdated_maps(exported, cells_version)]
        partial = [*folder.glob("*/.*.parquet.*"), *folder.glob("results/*/.*.parquet.*")]
        abandoned = [path for path in partial if _untouched(path)]
        for path in maps + abandoned:
            _remove(path)
        return [
            *(path.name for path in maps + abandoned),
            *spilling.remove_abandoned(folder / "spill"),
        ]

    def _map(self, unit: SpatialUnit, version: str, connection: sa.Connection) -> UnitMap:
        """Return the unit's map as files, exported once per version."""
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
        """Return the device models as a file, exported once per content."""
        models = device_models()
        row = sa.func.concat_ws("|", *(sa.func.coalesce(sa.cast(column, sa.Text), "") for column in models.c))
        digest = sa.select(sa.func.count(), sa.func.sum(sa.cast(sa.func.hashtext(row), sa.BigInteger)))
        count, total = connection.execute(digest.select_from(models)).one()
        path = self._settings.cache_path / "devices" / f"{count}_{total}.parquet"
        if not path.exists():
            export(connection, models, path)
        return path

    def _weights(self, table: str, column: str, data: DataState, connection: sa.Connection) -> Path:
        """Return a table of weights as a file, exported once for each of its versions."""
        check_weights(connection, table, column)
        key = hashlib.sha256(f"{table} {column}".encode()).hexdigest()[:12]
        version = f"{data.versions.get(table, 0)}_{data.cells_version}"
        path = map_path(self._settings, f"weights_t{key}_{version}")
        if not path.exists():
            export(connection, weights(table, column), path)
        return path


def stored_path(settings: Folders, query_id: str) -> Path:
    """Return the file of a stored intermediate result, or the folder of its parts."""
    return settings.cache_path / "results" / query_id[:2] / f"{query_id}.parquet"


def parquet_of(path: Path) -> str:
    """Return what reads a stored result: a file, or the files of a folder."""
    return str(path / PARTS) if path.is_dir() else str(path)


def map_path(settings: Folders, name: str) -> Path:
    """Return the file of a cell map's relation."""
    return settings.cache_path / "maps" / f"{name}.parquet"


def export(connection: sa.Connection, relation: FromClause, path: Path) -> None:
    """Export a small relation of the database to a Parquet file atomically."""
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
    make_folder(path.parent, 0o777)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    pa.parquet.write_table(table, partial)
    give_to_owner(partial)
    partial.replace(path)


def _remove(path: Path) -> None:
    """Remove a file or a folder; a folder disappears at once."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    gone = path.with_name(f".{path.name.strip('.')}.{uuid4().hex}")
    with suppress(FileNotFoundError):
        path.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _untouched(path: Path) -> bool:
    """Return whether a file was unmodified for so long that no process writes it."""
    try:
        return clock() - path.stat().st_mtime > ABANDONED
    except FileNotFoundError:
        return False
