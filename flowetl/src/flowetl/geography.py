"""Load cells, sites, device models and boundaries; write only differences.

Loading the same files again changes nothing, not even the version of the cell list, so that stored results
stay fresh.
"""

import datetime as dt
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values
from psycopg2.sql import SQL, Identifier

from flowetl import dictionary
from flowetl.boundaries import read_boundaries, shape
from flowetl.boundaryfiles import boundary_files, named
from flowetl.deployment import Deployment
from flowetl.errors import DataFault
from flowetl.mappings import BoundaryMapping, TableMapping, read_table_mapping
from flowetl.placing import examine
from flowetl.tables import CELL_COLUMNS, PLACE_COLUMNS, PLACE_NEEDS, TAC_COLUMNS, read_table

_POINT = ", CASE WHEN %s IS NOT NULL THEN ST_SetSRID(ST_MakePoint(%s, %s), 4326) END"


@dataclass(frozen=True)
class Changes:
    """Count what loading one file changed."""

    file: str
    records: int
    added: int
    changed: int
    removed: int


def load_geography(
    deployment: Deployment,
    folder: Path,
    *,
    repair: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Changes]:
    """Load a folder's lists and boundaries, by our names or by their mappings.

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
    doubts: list[str] = []
    present = [*_tables(folder, doubts.append), *_boundaries(folder, repair)]
    if not present:
        there = sorted(
            path.name for path in (*folder.glob("*"), *folder.glob("boundaries/*")) if path.is_file()
        )
        found = ", ".join(there[:5]) or "no file"
        raise DataFault(
            f"{folder} holds neither cells.csv, sites.csv, tacs.csv nor boundaries/admin<level>.geojson, nor a mapping of "
            "theirs (cells.yml, sites.yml, tacs.yml, boundaries/boundaries.yml), nor boundaries named as downloaded. "
            f"There is {found}: unpack archives of several files, and name a list of another name in its mapping"
        )
    with deployment.connect() as connection:
        connection.autocommit = False
        with connection, connection.cursor() as cursor:
            changes = [load(cursor, path) for path, load in present]
            unread = _unread(folder, {path for path, _ in present})
            for doubt in (*doubts, *examine(cursor), *unread):
                tell(doubt)
            return changes


Loader = Callable[[Cursor, Path], Changes]


def _tables(folder: Path, tell: Callable[[str], None]) -> list[tuple[Path, Loader]]:
    """The lists of a folder, each by its own name or by that which its mapping gives."""
    found: list[tuple[Path, Loader]] = []
    for name, load in (("sites", _load_sites), ("cells", _load_cells), ("tacs", _load_tacs)):
        mapping = folder / f"{name}.yml"
        if mapping.exists():
            given = read_table_mapping(mapping)
            found.append((named(mapping, given.file), partial(load, given=given, tell=tell)))
            continue
        there = [path for path in (folder / f"{name}.csv", folder / f"{name}.csv.gz") if path.exists()]
        if there:
            found.append((there[0], partial(load, given=None, tell=tell)))
    return found


def _boundaries(folder: Path, repair: bool) -> list[tuple[Path, Loader]]:
    """Find each level's boundaries; see ``boundary_files``."""
    return [
        (path, partial(_load_boundaries, level=level, repair=repair, given=mapping))
        for level, path, mapping in boundary_files(folder)
    ]


_LIKE_OURS = re.compile(
    r"(?i)((cell|site|antenna|tower|tac|admin|boundar|gadm|adm).*\.(csv|txt|xlsx?|geojson|json|gpkg|shp|zip|gz)"
    # An export of OpenCelliD has the number of its country.
    r"|^[2-7][0-9]{2}\.csv(\.gz)?)$"
)


def _unread(folder: Path, read: set[Path]) -> list[str]:
    """The files of a folder that look as if they were meant and were not read."""
    found = [
        path.name
        for place in (folder, folder / "boundaries")
        for path in sorted(place.glob("*"))
        if path.is_file() and path not in read and _LIKE_OURS.search(path.name)
    ]
    return [f"{name} was not read: give it one of our names, or name it in a mapping" for name in found]


def _load_sites(
    cursor: Cursor, path: Path, given: TableMapping | None, tell: Callable[[str], None]
) -> Changes:
    sites = read_table(path, PLACE_COLUMNS, PLACE_NEEDS, given, tell)
    _check_places(path, sites, _other_versions(cursor, Identifier("infrastructure", "sites"), sites))
    return _correct(cursor, path, Identifier("infrastructure", "sites"), ("id", "version"), sites)


def _load_cells(
    cursor: Cursor, path: Path, given: TableMapping | None, tell: Callable[[str], None]
) -> Changes:
    cells = read_table(path, CELL_COLUMNS, PLACE_NEEDS, given, tell)
    _check_places(path, cells, _other_versions(cursor, Identifier("infrastructure", "cells"), cells))
    dictionary.location_keys(cursor, sorted({cell["id"] for cell in cells}))
    return _correct(cursor, path, Identifier("infrastructure", "cells"), ("id", "version"), cells)


def _load_tacs(
    cursor: Cursor, path: Path, given: TableMapping | None, tell: Callable[[str], None]
) -> Changes:
    tacs = read_table(path, TAC_COLUMNS, ("id",), given, tell)
    _check_unique(path, ((tac["id"],) for tac in tacs))
    return _correct(cursor, path, Identifier("infrastructure", "tacs"), ("id",), tacs)


_FAULTS_SHOWN = 20


def _require_none(path: Path, faults: Sequence[str]) -> None:
    """Raise ``DataFault`` with the first of the faults and the number of the others."""
    if faults:
        more = f"; and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
        raise DataFault(f"{path.name}: " + "; ".join(faults[:_FAULTS_SHOWN]) + more)


def _check_unique(path: Path, keys: Iterable[tuple[Any, ...]]) -> None:
    faults = []
    for key, count in Counter(keys).items():
        if count > 1:
            faults.append(f"{' version '.join(map(str, key))} occurs {count} times")
    _require_none(path, faults)


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
    faults = []
    periods = defaultdict(list)
    for place in places:
        first = place["date_of_first_service"] or dt.date.min
        last = place["date_of_last_service"] or dt.date.max
        if last < first:
            faults.append(
                f"{place['id']} version {place['version']}: date_of_last_service {last} is before "
                f"date_of_first_service {first}"
            )
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
                faults.append(
                    f"versions {one} and {other} of {identifier} are both in service on {first}{cure}"
                )
    _require_none(path, faults)


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


def _load_boundaries(
    cursor: Cursor, path: Path, level: int, repair: bool, given: BoundaryMapping | None
) -> Changes:
    """Bring one level of ``geography.geoms`` to what the file says."""
    units, system = read_boundaries(path, level, given)
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
        parent = parent or _region_around(cursor, level - 1, region)
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


def _region_around(cursor: Cursor, level: int, region: bytes) -> str | None:
    """Return the region of a level in which a point of another region lies."""
    cursor.execute(
        "SELECT short_name FROM geography.geoms WHERE geo_kind_id = 1 AND spatial_resolution = %s "
        "AND ST_Contains(geom, ST_PointOnSurface(ST_GeomFromWKB(%s, 4326))) ORDER BY short_name LIMIT 1",
        (level, region),
    )
    ((found,),) = cursor.fetchall() or [(None,)]
    return found
