"""Read administrative boundaries as operators have or download them."""

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
from psycopg2.extensions import cursor as Cursor

from flowetl.errors import DataFault
from flowetl.mappings import BoundaryMapping
from flowetl.streams import content_of
from flowetl.vectorfiles import read_layer

DEGREES = 4326
_FAULTS_SHOWN = 20
_EPSG = re.compile(r"EPSG:{1,2}(?:[0-9.]*:)?([0-9]{4,6})$|^EPSG:([0-9]{4,6})$")


class Properties(NamedTuple):
    """Name the properties of a boundary; ``parent`` is empty where files have none."""

    pcod: str
    name: str
    parent: str


def _layouts(level: int, present: Iterable[str] = ()) -> list[Properties]:
    """List our property names and those of GADM 3 and 4, HDX and geoBoundaries.

    HDX's names are in the languages of a country, of which a file that has no English ``present`` has others.
    """
    languages = sorted(name for name in present if re.fullmatch(rf"ADM{level}_[A-Z]{{2}}", name))
    return [
        Properties("pcod", "name", "parent"),
        *(
            Properties(f"GID_{level}", name, f"GID_{level - 1}")
            # GADM 3 named the country's name as those of the levels below.
            for name in (("COUNTRY", "NAME_0") if level == 0 else (f"NAME_{level}",))
        ),
        *(
            Properties(f"ADM{level}_PCODE", name, f"ADM{level - 1}_PCODE")
            for name in (f"ADM{level}_EN", *languages)
        ),
        Properties(f"adm{level}_pcode", f"adm{level}_name", f"adm{level - 1}_pcode"),
        # Its shapeGroup is the country, whatever the level.
        Properties("shapeID", "shapeName", ""),
    ]


class Unit(NamedTuple):
    """Hold one region; ``geometry`` is GeoJSON or well-known binary as in the file."""

    name: str
    parent: str | None
    geometry: str | bytes


class Boundaries(NamedTuple):
    """Hold one file's regions by place code, and their coordinate system (EPSG)."""

    units: dict[str, Unit]
    system: int


def read_boundaries(path: Path, level: int, given: BoundaryMapping | None = None) -> Boundaries:
    """The regions of a file of GeoJSON, or of any that ``vectorfiles`` reads.

    Raises
    ------
    DataFault
        Naming every feature that is wrong, and the property or value.
    """
    features, system = _features(path, given.layer if given else None)
    units: dict[str, Unit] = {}
    faults: list[str] = []
    names = _names_of([properties for properties, _, _ in features], level)
    if given is not None and given.pcod is not None and given.name is not None:
        names = Properties(given.pcod, given.name, given.parent or "")
    elif given is not None and given.parent is not None:
        names = names._replace(parent=given.parent)
    needs_parent = bool(level and names.parent)
    for number, (properties, kind, geometry) in enumerate(features, 1):
        code, name, parent = (_code(properties.get(given_name)) for given_name in names)
        needed = {names.pcod: code, names.name: name} | ({names.parent: parent} if needs_parent else {})
        missing = [given_name for given_name, value in needed.items() if value is None]
        if missing:
            faults.append(f"feature {number}: property {', '.join(missing)} is missing")
        elif kind not in ("Polygon", "MultiPolygon") or geometry is None:
            faults.append(f"{code} is a {kind}; allowed: Polygon, MultiPolygon")
        elif code in units:
            faults.append(f"{code} occurs twice")
        elif code is not None and name is not None:
            units[code] = Unit(name, parent, geometry)
    if faults:
        known = ", ".join(f"{layout.pcod}/{layout.name}" for layout in _layouts(level))
        more = f"; and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
        raise DataFault(
            f"{path.name}: "
            + "; ".join(faults[:_FAULTS_SHOWN])
            + more
            + f". Names of properties that are known: {known}"
        )
    if level == 0 and len(units) != 1:
        raise DataFault(f"{path.name} holds {len(units)} units; level 0 is the country and has exactly one")
    return Boundaries(units, system)


Described = tuple[dict[str, Any], str | None, str | bytes | None]
"""The properties of a feature, the kind of its geometry, and the geometry."""


def _features(path: Path, layer: str | None) -> tuple[list[Described], int]:
    """The features of a file, and the EPSG code of their coordinates."""
    if path.suffix not in (".geojson", ".json", ".zip"):
        found = read_layer(path, layer)
        return [(one.properties, _kind(one.geometry), one.geometry) for one in found.features], found.system
    try:
        content = json.loads(content_of(path).decode("utf-8-sig"))
        features = content["features"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataFault(f"{path.name} is not a GeoJSON FeatureCollection: {error}") from error
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise DataFault(f"{path.name} is not a GeoJSON FeatureCollection: features is not a list of features")
    described: list[Described] = []
    for feature in features:
        geometry = feature.get("geometry") or {}
        described.append((feature.get("properties") or {}, geometry.get("type"), json.dumps(geometry)))
    return described, _system(path, content.get("crs"))


_POLYGON, _MULTIPOLYGON = 3, 6


def _kind(geometry: bytes | None) -> str:
    """The kind of a geometry of well-known binary, whose second to fifth byte tell it."""
    if not geometry:
        return "none"
    number = int.from_bytes(geometry[1:5], "little" if geometry[0] else "big") % 1000
    return {_POLYGON: "Polygon", _MULTIPOLYGON: "MultiPolygon"}.get(number, f"geometry of kind {number}")


def _names_of(properties: list[dict[str, Any]], level: int) -> Properties:
    """The names of properties that the file uses; ours if it uses none that is known."""
    present = set(properties[0] if properties else ())
    layouts = _layouts(level, present)
    return next((layout for layout in layouts if {layout.pcod, layout.name} <= present), layouts[0])


def _code(value: object) -> str | None:
    """Return a code or name as text, or None.

    A whole number may be written as a fraction; true is no code.
    """
    if value is None or isinstance(value, bool | list | dict):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _system(path: Path, given: object) -> int:
    """Return the EPSG code of the coordinates.

    GeoJSON without a coordinate system is in degrees.
    """
    if given is None:
        return DEGREES
    properties = given.get("properties") if isinstance(given, dict) else None
    name = str(properties.get("name", "")) if isinstance(properties, dict) else ""
    if name.upper().endswith(("CRS84", "WGS84")):
        return DEGREES
    found = _EPSG.search(name.upper())
    if not found:
        raise DataFault(
            f"{path.name}: crs {name!r} is not known; convert it to degrees (EPSG:4326), or name it as EPSG:<code>"
        )
    return int(found[1] or found[2])


def shape(cursor: Cursor, where: str, unit: Unit, system: int, *, repair: bool) -> bytes:
    """Return a region as WKB of a valid multipolygon in degrees.

    Raises
    ------
    DataFault
        When it is empty, is not in degrees, or crosses itself and shall not be repaired; the place is named.
    """
    try:
        # Heights, which some programs write along, say nothing about where a boundary is.
        read = (
            "ST_GeomFromGeoJSON(%(given)s)" if isinstance(unit.geometry, str) else "ST_GeomFromWKB(%(given)s)"
        )
        cursor.execute(
            f"WITH given AS (SELECT ST_Transform(ST_SetSRID(ST_Force2D(ST_Multi({read})), %(system)s), 4326) AS shape), "  # noqa: S608 - constants
            "mended AS (SELECT CASE WHEN %(repair)s AND NOT ST_IsValid(shape) "
            "THEN ST_Multi(ST_CollectionExtract(ST_MakeValid(shape), 3)) ELSE shape END AS shape FROM given) "
            "SELECT ST_AsBinary(shape), ST_IsValid(shape), ST_IsValidReason(shape), ST_IsEmpty(shape), ST_XMin(shape) >= -180 "
            "AND ST_XMax(shape) <= 180 AND ST_YMin(shape) >= -90 AND ST_YMax(shape) <= 90 FROM mended",
            {"given": unit.geometry, "system": system, "repair": repair},
        )
    except (psycopg2.InternalError, psycopg2.DataError) as error:
        raise DataFault(f"{where}: {str(error).splitlines()[0]}") from error
    found, valid, reason, empty, in_degrees = cursor.fetchone() or (b"", False, "", True, False)
    if empty:
        raise DataFault(f"{where} is an empty polygon")
    if not in_degrees:
        raise DataFault(
            f"{where}: coordinates are beyond 180 and 90, so that they are not degrees: name their system in the file "
            '("crs": {"type": "name", "properties": {"name": "EPSG:<code>"}}), or convert it to EPSG:4326'
        )
    if not valid:
        raise DataFault(f"{where} is not a valid polygon: {reason}; correct it, or load it with --repair")
    return bytes(found)
