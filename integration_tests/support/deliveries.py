"""Write what a new operator delivers and downloads, each in its public form."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ZONE = "Asia/Kathmandu"
WEST, SOUTH = 80.0, 26.0
PROVINCES = ("North", "South")
DISTRICTS_PER_PROVINCE = 3
PEOPLE_PER_DISTRICT = 40
#: Every person calls as many times a day, and is called as often.
CALLS = 3
OWN_NETWORK, OTHER_NETWORK = "1", "2"

_HEADER = "radio,mcc,net,area,cell,unit,lon,lat,range,samples,changeable,created,updated,averageSignal"


def districts() -> list[tuple[int, int]]:
    """Return province and place of each district."""
    return [(p, d) for p in range(len(PROVINCES)) for d in range(DISTRICTS_PER_PROVINCE)]


def district_code(province: int, district: int) -> str:
    """Return a district's code as GADM writes it."""
    return f"NPL.{province + 1}.{district + 1}_1"


def write_gadm(folder: Path) -> None:
    """Write GADM 4.1's GeoJSON of three levels, the lower ones as archives."""
    folder.mkdir(parents=True, exist_ok=True)
    country = {"GID_0": "NPL", "COUNTRY": "Nepal"}
    wide, high = float(DISTRICTS_PER_PROVINCE), float(len(PROVINCES))
    (folder / "gadm41_NPL_0.json").write_text(
        _collection("gadm41_NPL_0", [(country, (WEST, SOUTH, wide, high))])
    )
    provinces = [
        (country | _level(1, f"NPL.{p + 1}_1", name, "Province"), (WEST, SOUTH + p, wide, 1.0))
        for p, name in enumerate(PROVINCES)
    ]
    _archive(folder / "gadm41_NPL_1.json.zip", _collection("gadm41_NPL_1", provinces))
    smaller = [
        (
            {**country, "GID_1": f"NPL.{p + 1}_1", "NAME_1": PROVINCES[p], "NL_NAME_1": "NA"}
            | _level(2, district_code(p, d), f"{PROVINCES[p]}{d + 1}", "District"),
            (WEST + d, SOUTH + p, 1.0, 1.0),
        )
        for p, d in districts()
    ]
    _archive(folder / "gadm41_NPL_2.json.zip", _collection("gadm41_NPL_2", smaller))


def _level(level: int, code: str, name: str, kind: str) -> dict[str, str]:
    """Return the properties that GADM gives each region of a level."""
    return {
        f"GID_{level}": code,
        f"NAME_{level}": name,
        f"VARNAME_{level}": "NA",
        f"NL_NAME_{level}": "NA",
        f"TYPE_{level}": kind,
        f"ENGTYPE_{level}": kind,
        f"CC_{level}": "NA",
        f"HASC_{level}": "NA",
    }


Box = tuple[float, float, float, float]
"""West, south, width and height."""


def _collection(name: str, features: list[tuple[dict[str, Any], Box]]) -> str:
    return json.dumps(
        {
            "type": "FeatureCollection",
            "name": name,
            "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
            "features": [
                {
                    "type": "Feature",
                    "properties": properties,
                    "geometry": {"type": "MultiPolygon", "coordinates": [[_ring(*box)]]},
                }
                for properties, box in features
            ],
        }
    )


def _ring(west: float, south: float, width: float, height: float) -> list[list[float]]:
    east, north = west + width, south + height
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def _archive(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.name.removesuffix(".zip"), text)


def towers(header: bool) -> bytes:
    """Return OpenCelliD's export of a country, packed, with or without a header.

    Each district has a cell of two networks with the same area and number. The files of one country come
    without a header, that of the world with one.
    """
    lines = [_HEADER] if header else []
    for network in (OWN_NETWORK, OTHER_NETWORK):
        for number, (p, d) in enumerate(districts()):
            # The other network's cells of that name are elsewhere.
            away = 0.0 if network == OWN_NETWORK else 0.3
            lon, lat = WEST + d + 0.2 + away, SOUTH + p + 0.2 + away
            lines.append(
                f"LTE,429,{network},1538,{1000 + number},0,{lon:.6f},{lat:.6f},1000,7,1,1282569574,1300155341,0"
            )
    # One cell was heard as two kinds of radio.
    lines.append(
        f"GSM,429,{OWN_NETWORK},1538,1000,0,{WEST + 0.2},{SOUTH + 0.2},1000,2,1,1282569574,1300155341,0"
    )
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


def calls(day: dt.date) -> str:
    """Return a day of calls as a switch writes them, in the country's local time.

    Caller and called have one line each. Everybody calls from their district. One line in each hundred has a
    withheld caller, and one a service as the called party.
    """
    lines = ["TYPE;CALLING;CALLED;IMSI;IMEI;BEGIN;SECONDS;LAC;CI"]
    lines += [";".join(map(str, record)) for record in _records(day)]
    return "\n".join(lines) + "\n"


def _records(day: dt.date) -> Iterator[tuple[object, ...]]:
    drawn = random.Random(day.toordinal())
    people = len(districts()) * PEOPLE_PER_DISTRICT
    for person in range(people):
        for _ in range(CALLS):
            other = (person + drawn.randrange(1, people)) % people
            begin = dt.datetime.combine(day, dt.time()) + dt.timedelta(seconds=drawn.randrange(86_400))
            when, seconds = begin.strftime("%d.%m.%Y %H:%M:%S"), drawn.randrange(5, 600)
            called = "*123#" if drawn.random() < 0.01 else _number(other)
            yield ("MOC", _number(person), called, *_own(person), when, seconds, *_cell(person))
            calling = "anonymous" if drawn.random() < 0.01 else _number(person)
            yield ("MTC", calling, _number(other), *_own(other), when, seconds, *_cell(other))


def _number(person: int) -> str:
    return f"+977984100{person:04}"


def _own(person: int) -> tuple[str, str]:
    """Return a person's SIM and device."""
    return f"4290100000{person:05}", f"35123456{person:06}0"


def _cell(person: int) -> tuple[int, int]:
    return 1538, 1000 + person // PEOPLE_PER_DISTRICT
