"""Cells, sites, device models and boundaries, loaded whole and only where they differ.

Loading the same files again changes nothing, not even the version of the cell list: a stored result stays fresh.
"""

import csv
import datetime as dt
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values
from psycopg2.sql import SQL, Identifier

from flowetl import dictionary
from flowetl.deployment import Deployment
from flowetl.errors import DataFault

MAXIMUM_LEVEL = 3
_POINT = ", CASE WHEN %s IS NOT NULL THEN ST_SetSRID(ST_MakePoint(%s, %s), 4326) END"


@dataclass(frozen=True)
class Changes:
    """What loading one file changed."""

    file: str
    records: int
    added: int
    changed: int
    removed: int


def _text(value: str) -> str | None:
    return value or None


def _required(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _date(value: str) -> dt.date | None:
    return dt.date.fromisoformat(value) if value else None


def _degrees(limit: float) -> Callable[[str], float | None]:
    def parse(value: str) -> float | None:
        if not value:
            return None
        degrees = float(value)
        if not -limit <= degrees <= limit:
            raise ValueError(f"is not within {limit:g} degrees of zero")
        return degrees

    return parse


_PLACE: dict[str, Callable[[str], Any]] = {
    "id": _required,
    "version": int,
    "name": _text,
    "latitude": _degrees(90),
    "longitude": _degrees(180),
    "date_of_first_service": _date,
    "date_of_last_service": _date,
}
CELL_COLUMNS: dict[str, Callable[[str], Any]] = {**_PLACE, "site_id": _text, "type": _text}
TAC_COLUMNS: dict[str, Callable[[str], Any]] = {
    "id": int,
    **dict.fromkeys(("brand", "model", "hnd_type", "software_os_name", "software_os_vendor"), _text),
}


def load_geography(deployment: Deployment, folder: Path) -> list[Changes]:
    """Load what a folder holds of ``cells.csv``, ``sites.csv``, ``tacs.csv`` and ``boundaries/admin<L>.geojson``.

    Everything is one transaction. Cells and sites are added and corrected by (id, version), never removed: past
    events need them. Boundaries of a level are replaced by what the file holds.

    Raises
    ------
    DataFault
        Naming the file, the line and the field that is wrong, or a folder without any of the files.
    """
    loaders: list[tuple[Path, Callable[[Cursor, Path], Changes]]] = [
        (folder / "sites.csv", _load_sites),
        (folder / "cells.csv", _load_cells),
        (folder / "tacs.csv", _load_tacs),
    ]
    loaders += [
        (folder / "boundaries" / f"admin{level}.geojson", _boundary_loader(level))
        for level in range(MAXIMUM_LEVEL + 1)
    ]
    present = [(path, load) for path, load in loaders if path.exists()]
    if not present:
        raise DataFault(
            f"{folder} holds neither cells.csv, sites.csv, tacs.csv nor boundaries/admin<level>.geojson"
        )
    with deployment.connect() as connection:
        connection.autocommit = False
        with connection, connection.cursor() as cursor:
            return [load(cursor, path) for path, load in present]


def read_table(path: Path, columns: dict[str, Callable[[str], Any]]) -> list[dict[str, Any]]:
    """The records of a comma-separated file with exactly these columns, in any order, each parsed.

    Raises
    ------
    DataFault
        Naming the missing and unexpected columns, or the line, field and value that cannot be parsed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataFault(
            f"{path.name} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}; convert it first"
        ) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        found = reader.fieldnames or []
        missing = [name for name in columns if name not in found]
        unexpected = [name for name in found if name not in columns]
        if missing or unexpected or len(set(found)) != len(found):
            raise DataFault(
                f"{path.name}: wrong columns: missing {', '.join(missing) or 'none'}; "
                f"unexpected {', '.join(unexpected) or 'none'}; expected {', '.join(columns)}"
            )
        records = [_parse_record(f"{path.name} line {reader.line_num}", row, columns) for row in reader]
    except csv.Error as error:
        raise DataFault(f"{path.name} after line {reader.line_num}: {error}") from error
    if not records:
        raise DataFault(f"{path.name} holds no records")
    return records


def _parse_record(
    where: str, row: dict[str | Any, str | Any], columns: dict[str, Callable[[str], Any]]
) -> dict[str, Any]:
    record = {}
    for name, parse in columns.items():
        value = row[name]
        if value is None or None in row:
            raise DataFault(f"{where}: has not {len(columns)} fields")
        try:
            record[name] = parse(value.strip())
        except ValueError as error:
            raise DataFault(f"{where}: {name} {value!r}: {error}") from error
    return record


def _load_sites(cursor: Cursor, path: Path) -> Changes:
    sites = read_table(path, _PLACE)
    _check_places(path, sites, _other_versions(cursor, Identifier("infrastructure", "sites"), sites))
    return _correct(cursor, path, Identifier("infrastructure", "sites"), ("id", "version"), sites)


def _load_cells(cursor: Cursor, path: Path) -> Changes:
    cells = read_table(path, CELL_COLUMNS)
    _check_places(path, cells, _other_versions(cursor, Identifier("infrastructure", "cells"), cells))
    dictionary.location_keys(cursor, sorted({cell["id"] for cell in cells}))
    return _correct(cursor, path, Identifier("infrastructure", "cells"), ("id", "version"), cells)


def _load_tacs(cursor: Cursor, path: Path) -> Changes:
    tacs = read_table(path, TAC_COLUMNS)
    _check_unique(path, ((tac["id"],) for tac in tacs))
    return _correct(cursor, path, Identifier("infrastructure", "tacs"), ("id",), tacs)


def _check_unique(path: Path, keys: Iterable[tuple[Any, ...]]) -> None:
    seen = set()
    for key in keys:
        if key in seen:
            raise DataFault(f"{path.name}: {' version '.join(map(str, key))} occurs twice")
        seen.add(key)


def _other_versions(
    cursor: Cursor, table: Identifier, places: Sequence[dict[str, Any]]
) -> list[tuple[str, int, dt.date | None, dt.date | None]]:
    """The loaded versions of these places that the file does not hold, each with its days of service."""
    cursor.execute(
        SQL(
            "SELECT id, version, date_of_first_service, date_of_last_service FROM {} WHERE id = ANY (%s)"
        ).format(table),
        ([place["id"] for place in places],),
    )
    delivered = {(place["id"], place["version"]) for place in places}
    return [row for row in cursor.fetchall() if (row[0], row[1]) not in delivered]


def _check_places(
    path: Path,
    places: Sequence[dict[str, Any]],
    loaded: Sequence[tuple[str, int, dt.date | None, dt.date | None]],
) -> None:
    """Versions must be distinct and may not share a day: an event of that day would count for each of them.

    Those ``loaded`` before stay, so they are versions beside the delivered ones.
    """
    _check_unique(path, ((place["id"], place["version"]) for place in places))
    periods = defaultdict(list)
    for place in places:
        first = place["date_of_first_service"] or dt.date.min
        last = place["date_of_last_service"] or dt.date.max
        where = f"{path.name}: {place['id']} version {place['version']}"
        if last < first:
            raise DataFault(f"{where}: date_of_last_service {last} is before date_of_first_service {first}")
        if (place["latitude"] is None) != (place["longitude"] is None):
            raise DataFault(f"{where}: needs both latitude and longitude, or neither")
        periods[place["id"]].append((first, last, place["version"]))
    for identifier, version, first, last in loaded:
        periods[identifier].append((first or dt.date.min, last or dt.date.max, version))
    stays = {(identifier, version) for identifier, version, _, _ in loaded}
    for identifier, versions in periods.items():
        versions.sort()
        for (_, last, one), (first, _, other) in pairwise(versions):
            if first <= last:
                cure = "".join(
                    f"; version {version} is loaded already and not in the file: "
                    "deliver it too, with its date_of_last_service"
                    for version in (one, other)
                    if (identifier, version) in stays
                )
                raise DataFault(
                    f"{path.name}: versions {one} and {other} of {identifier} are both in service on {first}{cure}"
                )


def _correct(
    cursor: Cursor, path: Path, table: Identifier, key: tuple[str, ...], delivered: Sequence[dict[str, Any]]
) -> Changes:
    """Add the records that a table lacks and correct those that differ.

    Rows that are the same are not touched, since any statement on cells or sites moves the version of the cell list.
    """
    names = list(delivered[0])
    located = "latitude" in names
    plain = [name for name in names if name not in ("latitude", "longitude")]
    order = [*plain, "latitude", "longitude"] if located else plain
    columns = [Identifier(name) for name in plain]
    coordinates = [SQL("ST_Y(geom_point)"), SQL("ST_X(geom_point)")] if located else []
    cursor.execute(SQL("SELECT {} FROM {}").format(SQL(", ").join([*columns, *coordinates]), table))
    known = {tuple(row[order.index(name)] for name in key): row for row in cursor.fetchall()}

    rows = [tuple(record[name] for name in order) for record in delivered]
    by_key = [(tuple(record[name] for name in key), row) for record, row in zip(delivered, rows, strict=True)]
    added = [row for identity, row in by_key if identity not in known]
    changed = [row for identity, row in by_key if identity in known and known[identity] != row]
    if added or changed:
        stored = [*columns, Identifier("geom_point")] if located else columns
        assignments = SQL(", ").join(SQL("{0} = excluded.{0}").format(name) for name in stored)
        statement = SQL("INSERT INTO {} ({}) VALUES %s ON CONFLICT ({}) DO UPDATE SET {}").format(
            table, SQL(", ").join(stored), SQL(", ").join(map(Identifier, key)), assignments
        )
        values = ", ".join(["%s"] * len(plain)) + (_POINT if located else "")
        execute_values(
            cursor,
            statement.as_string(cursor),
            [_with_point(row) if located else row for row in (*added, *changed)],
            template=f"({values})",
            page_size=1000,
        )
    return Changes(path.name, len(rows), len(added), len(changed), 0)


def _with_point(row: tuple[Any, ...]) -> tuple[Any, ...]:
    *values, latitude, longitude = row
    return (*values, longitude, longitude, latitude)


def _boundary_loader(level: int) -> Callable[[Cursor, Path], Changes]:
    return lambda cursor, path: _load_boundaries(cursor, path, level)


def _load_boundaries(cursor: Cursor, path: Path, level: int) -> Changes:
    """Bring one level of ``geography.geoms`` to what the file says."""
    units = _read_boundaries(path, level)
    cursor.execute(
        "SELECT short_name, long_name, additional_metadata ->> 'parent', ST_AsBinary(geom) FROM geography.geoms "
        "WHERE geo_kind_id = 1 AND spatial_resolution = %s",
        (level,),
    )
    known = {pcod: (name, parent, bytes(shape)) for pcod, name, parent, shape in cursor.fetchall()}
    added = changed = 0
    for pcod, (name, parent, geometry) in units.items():
        shape = _shape(cursor, f"{path.name}: {pcod}", geometry)
        if known.get(pcod) == (name, parent, shape):
            continue
        added, changed = (added, changed + 1) if pcod in known else (added + 1, changed)
        cursor.execute(
            "INSERT INTO geography.geoms AS known "
            "(short_name, long_name, geo_kind_id, spatial_resolution, additional_metadata, geom) "
            "VALUES (%s, %s, 1, %s, json_build_object('parent', %s::text), ST_GeomFromWKB(%s, 4326)) "
            "ON CONFLICT (spatial_resolution, short_name) WHERE geo_kind_id = 1 DO UPDATE SET "
            "long_name = excluded.long_name, additional_metadata = excluded.additional_metadata, geom = excluded.geom",
            (pcod, name, level, parent, shape),
        )
    gone = sorted(known.keys() - units.keys())
    if gone:
        cursor.execute(
            "DELETE FROM geography.geoms WHERE geo_kind_id = 1 AND spatial_resolution = %s AND short_name = ANY (%s)",
            (level, gone),
        )
    return Changes(path.name, len(units), added, changed, len(gone))


def _read_boundaries(path: Path, level: int) -> dict[str, tuple[str, str | None, str]]:
    """Name, parent's code and GeoJSON geometry of each unit, by place code."""
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataFault(f"{path.name} is not a GeoJSON FeatureCollection: {error}") from error
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise DataFault(f"{path.name} is not a GeoJSON FeatureCollection: features is not a list of features")
    units: dict[str, tuple[str, str | None, str]] = {}
    for number, feature in enumerate(features, 1):
        properties, geometry = feature.get("properties") or {}, feature.get("geometry") or {}
        missing = [
            name for name in ("pcod", "name", *(["parent"] if level else [])) if not properties.get(name)
        ]
        if missing:
            raise DataFault(f"{path.name} feature {number}: property {', '.join(missing)} is missing")
        pcod = str(properties["pcod"])
        if geometry.get("type") not in ("Polygon", "MultiPolygon"):
            raise DataFault(
                f"{path.name}: {pcod} is a {geometry.get('type')}; allowed: Polygon, MultiPolygon"
            )
        if pcod in units:
            raise DataFault(f"{path.name}: {pcod} occurs twice")
        units[pcod] = (
            str(properties["name"]),
            str(properties["parent"]) if properties.get("parent") else None,
            json.dumps(geometry),
        )
    if level == 0 and len(units) != 1:
        raise DataFault(f"{path.name} holds {len(units)} units; level 0 is the country and has exactly one")
    return units


def _shape(cursor: Cursor, where: str, geometry: str) -> bytes:
    """A GeoJSON polygon as the well-known binary of a valid multipolygon."""
    try:
        # Heights, which some programs write along, say nothing about where a boundary is.
        cursor.execute(
            "SELECT ST_AsBinary(shape), ST_IsValid(shape) FROM "
            "(SELECT ST_Force2D(ST_Multi(ST_GeomFromGeoJSON(%s))) AS shape) AS given",
            (geometry,),
        )
    except (psycopg2.InternalError, psycopg2.DataError) as error:
        raise DataFault(f"{where}: {str(error).splitlines()[0]}") from error
    shape, valid = cursor.fetchone() or (b"", False)
    if not valid:
        raise DataFault(f"{where} is not a valid polygon: its outline crosses itself")
    return bytes(shape)
