"""Load cells, sites, device models and boundaries; write only differences.

Loading the same files again changes nothing, not even the version of the cell list, so that stored results
stay fresh.
"""

import csv
import datetime as dt
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values
from psycopg2.sql import SQL, Identifier

from flowetl import dictionary
from flowetl.boundaries import MAXIMUM_LEVEL, read_boundaries, shape
from flowetl.deployment import Deployment
from flowetl.errors import DataFault
from flowetl.placing import examine

_POINT = ", CASE WHEN %s IS NOT NULL THEN ST_SetSRID(ST_MakePoint(%s, %s), 4326) END"


@dataclass(frozen=True)
class Changes:
    """Count what loading one file changed."""

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


def _version(value: str) -> int:
    return int(value) if value else 0


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
    "version": _version,
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


_NEEDED = ("id", "latitude", "longitude")
_FAULTS_SHOWN = 20
_SPELLINGS = {
    "lat": "latitude", "lon": "longitude", "lng": "longitude", "long": "longitude", "cell_id": "id", "cellid": "id",
    "antenna_id": "id", "site": "site_id", "radio": "type",
}  # fmt: skip
"""Other names of columns, which are compared without regard to capitals."""
_PARTS = ("mcc", "net", "area", "cell")
_CELL_DATABASE = {name: name for name in _PARTS} | {"radio": "type", "lon": "longitude", "lat": "latitude"}
"""An export of OpenCelliD: a cell is network, area and number, as ``429-1-1538-11137``; other columns are passed over."""


def load_geography(
    deployment: Deployment,
    folder: Path,
    *,
    repair: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Changes]:
    """Load a folder's ``cells.csv``, ``sites.csv``, ``tacs.csv`` and boundaries.

    Boundaries are ``boundaries/admin<L>.geojson``.

    Everything is one transaction. Cells and sites are added and corrected by (id, version), never removed: past
    events need them. Boundaries of a level are replaced by what the file holds.

    Parameters
    ----------
    repair: whether polygons that cross themselves are made valid rather than refused.
    tell: takes each sentence about what is loaded and doubtful.

    Raises
    ------
    DataFault
        Naming the file, the line and the field of all that is wrong in the first file that is, a folder without any of
        the files, or cells and regions that do not fit together. Nothing is loaded then.
    """
    loaders: list[tuple[Path, Callable[[Cursor, Path], Changes]]] = [
        (folder / "sites.csv", _load_sites),
        (folder / "cells.csv", _load_cells),
        (folder / "tacs.csv", _load_tacs),
    ]
    loaders += [
        (folder / "boundaries" / f"admin{level}.geojson", _boundary_loader(level, repair))
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
            changes = [load(cursor, path) for path, load in present]
            for doubt in examine(cursor):
                tell(doubt)
            return changes


def read_table(
    path: Path, columns: dict[str, Callable[[str], Any]], needed: Sequence[str]
) -> list[dict[str, Any]]:
    """Read and parse a delimited file's records with these columns in any order.

    Only the needed columns must exist.

    Raises
    ------
    DataFault
        Naming the missing and unexpected columns, or every line, field and value that cannot be parsed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataFault(
            f"{path.name} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}; convert it first"
        ) from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        given = [name.strip() for name in reader.fieldnames or []]
        layout = _CELL_DATABASE if _CELL_DATABASE.keys() <= set(given) and "id" in columns else {}
        found = [layout.get(name, _SPELLINGS.get(name.casefold(), name.casefold())) for name in given]
        if layout:
            found = [name if name in columns or name in _PARTS else f"unused {name}" for name in found]
        missing = [name for name in needed if name not in found] if not layout else []
        unexpected = [name for name in found if name not in columns] if not layout else []
        if missing or unexpected or len(set(found)) != len(found):
            raise DataFault(
                f"{path.name}: wrong columns: missing {', '.join(missing) or 'none'}; "
                f"unexpected {', '.join(unexpected) or 'none'}; expected {', '.join(columns)}, of which "
                f"{', '.join(needed)} are needed"
            )
        reader.fieldnames = found
        records, faults = [], []
        for row in reader:
            if layout:
                row["id"] = "-".join(str(row[part]).strip() for part in _PARTS)
            record, wrong = _parse_record(row, columns, len(found))
            faults += [f"line {reader.line_num}: {fault}" for fault in wrong]
            records.append(record)
    except csv.Error as error:
        raise DataFault(f"{path.name} after line {reader.line_num}: {error}") from error
    if faults:
        more = f"; and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
        raise DataFault(f"{path.name} " + "; ".join(faults[:_FAULTS_SHOWN]) + more)
    if not records:
        raise DataFault(f"{path.name} holds no records")
    return records


def _parse_record(
    row: dict[str | Any, str | Any], columns: dict[str, Callable[[str], Any]], width: int
) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a line, and its faults."""
    if None in row or None in row.values():
        return {}, [f"has not {width} fields"]
    record, faults = {}, []
    for name, parse in columns.items():
        value = row.get(name, "")
        try:
            record[name] = parse(value.strip())
        except ValueError as error:
            faults.append(f"{name} {value!r}: {error}")
    if not faults and "latitude" in record and (record["latitude"] is None) != (record["longitude"] is None):
        faults.append(
            f"{record['id']} version {record['version']}: needs both latitude and longitude, or neither"
        )
    return record, faults


def _load_sites(cursor: Cursor, path: Path) -> Changes:
    sites = read_table(path, _PLACE, _NEEDED)
    _check_places(path, sites, _other_versions(cursor, Identifier("infrastructure", "sites"), sites))
    return _correct(cursor, path, Identifier("infrastructure", "sites"), ("id", "version"), sites)


def _load_cells(cursor: Cursor, path: Path) -> Changes:
    cells = read_table(path, CELL_COLUMNS, _NEEDED)
    _check_places(path, cells, _other_versions(cursor, Identifier("infrastructure", "cells"), cells))
    dictionary.location_keys(cursor, sorted({cell["id"] for cell in cells}))
    return _correct(cursor, path, Identifier("infrastructure", "cells"), ("id", "version"), cells)


def _load_tacs(cursor: Cursor, path: Path) -> Changes:
    tacs = read_table(path, TAC_COLUMNS, ("id",))
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
    """Return loaded versions of these places that the file lacks, with service days."""
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
    """Check that versions are distinct and do not share a day.

    An event of a shared day would count for each version. Versions ``loaded`` before stay, so they count
    beside the delivered versions.
    """
    _check_unique(path, ((place["id"], place["version"]) for place in places))
    periods = defaultdict(list)
    for place in places:
        first = place["date_of_first_service"] or dt.date.min
        last = place["date_of_last_service"] or dt.date.max
        where = f"{path.name}: {place['id']} version {place['version']}"
        if last < first:
            raise DataFault(f"{where}: date_of_last_service {last} is before date_of_first_service {first}")
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

    Equal rows stay untouched, because any statement on cells or sites changes the version of the cell list.
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


def _boundary_loader(level: int, repair: bool) -> Callable[[Cursor, Path], Changes]:
    return lambda cursor, path: _load_boundaries(cursor, path, level, repair)


def _load_boundaries(cursor: Cursor, path: Path, level: int, repair: bool) -> Changes:
    """Update one level of ``geography.geoms`` to the file's content."""
    units, system = read_boundaries(path, level)
    cursor.execute(
        "SELECT short_name, long_name, additional_metadata ->> 'parent', ST_AsBinary(geom) FROM geography.geoms "
        "WHERE geo_kind_id = 1 AND spatial_resolution = %s",
        (level,),
    )
    known = {pcod: (name, parent, bytes(shape)) for pcod, name, parent, shape in cursor.fetchall()}
    added = changed = 0
    for pcod, unit in units.items():
        name, parent, _ = unit
        region = shape(cursor, f"{path.name}: {pcod}", unit, system, repair=repair)
        if known.get(pcod) == (name, parent, region):
            continue
        added, changed = (added, changed + 1) if pcod in known else (added + 1, changed)
        cursor.execute(
            "INSERT INTO geography.geoms AS known "
            "(short_name, long_name, geo_kind_id, spatial_resolution, additional_metadata, geom) "
            "VALUES (%s, %s, 1, %s, json_build_object('parent', %s::text), ST_GeomFromWKB(%s, 4326)) "
            "ON CONFLICT (spatial_resolution, short_name) WHERE geo_kind_id = 1 DO UPDATE SET "
            "long_name = excluded.long_name, additional_metadata = excluded.additional_metadata, geom = excluded.geom",
            (pcod, name, level, parent, region),
        )
    gone = sorted(known.keys() - units.keys())
    if gone:
        cursor.execute(
            "DELETE FROM geography.geoms WHERE geo_kind_id = 1 AND spatial_resolution = %s AND short_name = ANY (%s)",
            (level, gone),
        )
    return Changes(path.name, len(units), added, changed, len(gone))
