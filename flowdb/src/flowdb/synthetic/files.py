"""Write the operator's files and the truth behind them.

Every file is written atomically. Compressed files carry no time, so equal content means equal bytes.
"""

from __future__ import annotations

import csv
import io
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from flowdb.synthetic.country import Country
from flowdb.synthetic.draws import Integers, generator
from flowdb.synthetic.events import MIX, Day, Table, World
from flowdb.synthetic.network import Device, Version
from flowdb.synthetic.people import NEVER, People

ROWS_PER_SLICE = 100_000
Content = Iterable[bytes]


def write(path: Path, content: Content) -> None:
    """Write under a temporary name, then rename.

    A name that ends in `.gz` is compressed at a fast level.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    # 31 asks zlib for the gzip container, whose time field it leaves at zero.
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 31) if path.suffix == ".gz" else None
    try:
        with temporary.open("wb") as file:
            for part in content:
                file.write(squeeze.compress(part) if squeeze else part)
            if squeeze:
                file.write(squeeze.flush())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file; `None` becomes empty."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows((header, *rows))
    write(path, [lines.getvalue().encode()])


def write_json(path: Path, value: object) -> None:
    write(path, [json.dumps(value, indent=1).encode(), b"\n"])


# The country and the network


def write_reference(world: World, output: Path) -> None:
    """Write boundaries, sites, cells and device models."""
    for level, regions in enumerate(world.country.levels):
        features = [
            {
                "type": "Feature",
                "properties": {"pcod": region.pcod, "name": region.name, "parent": region.parent},
                "geometry": shapely.geometry.mapping(region.geometry),
            }
            for region in regions
        ]
        collection = {"type": "FeatureCollection", "features": features}
        write(output / f"boundaries/admin{level}.geojson", [json.dumps(collection).encode(), b"\n"])
    service = ("latitude", "longitude", "date_of_first_service", "date_of_last_service")
    write_rows(
        output / "sites.csv",
        ("id", "version", "name", *service),
        ((site.id, site.version, site.name, *_service(site)) for site in world.network.sites),
    )
    write_rows(
        output / "cells.csv",
        ("id", "site_id", "version", "name", "type", *service),
        (
            (cell.id, cell.site_id, cell.version, cell.name, cell.type, *_service(cell))
            for cell in world.network.cells
        ),
    )
    write_rows(
        output / "tacs.csv",
        ("id", "brand", "model", "hnd_type", "software_os_name", "software_os_vendor"),
        (_device(device) for device in world.devices),
    )


def _service(version: Version) -> tuple[object, ...]:
    longitude, latitude = version.position or (None, None)
    return latitude, longitude, version.first_service, version.last_service


def _device(device: Device) -> tuple[object, ...]:
    return device.tac, device.brand, device.model, device.handset_type, device.system, device.vendor


# Days of events


def day_paths(output: Path, day: date) -> dict[str, Path]:
    return {kind: output / f"cdr/{kind}_{day.isoformat()}.csv.gz" for kind in MIX}


def expectation_path(output: Path, day: date) -> Path:
    return output / f"truth/expected/{day.isoformat()}.json"


def write_day(world: World, output: Path, day: date) -> int:
    """Write a day's four files and expected load results; return the row count."""
    made = Day(world, day)
    expected: dict[str, dict[str, Any]] = {}
    for kind, path in day_paths(output, day).items():
        table = made.table(kind)
        random = generator(world.seed, 20, day.toordinal(), list(MIX).index(kind))
        spoilt = _spoil(table, random)
        header = ",".join(table.columns).encode() + b"\n"
        write(path, _lines(table, header, spoilt))
        expected[path.name] = {
            "rows": len(table.order) + len(spoilt),
            "duplicates": table.duplicates,
            "malformed": {fault: sum(found == fault for _, found, _ in spoilt) for fault in FAULTS},
        }
    write_json(expectation_path(output, day), expected)
    return sum(file["rows"] for file in expected.values())


def _lines(table: Table, header: bytes, spoilt: list[tuple[int, str, bytes]]) -> Iterator[bytes]:
    yield header
    at = 0
    for position, _, line in [*spoilt, (len(table.order), "", b"")]:
        while at < position:
            until = min(at + ROWS_PER_SLICE, position)
            yield render(table, table.order[at:until])
            at = until
        yield line


def render(table: Table, rows: Integers) -> bytes:
    """Render rows as CSV.

    Columns have a fixed width padded with NULs until the NULs are dropped.
    """
    columns = [column(rows) for column in table.columns.values()]
    layout = []
    for number, column in enumerate(columns):
        layout += [(f"value{number}", column.dtype), (f"end{number}", "S1")]
    lines = np.empty(len(rows), dtype=layout)
    for number, column in enumerate(columns):
        lines[f"value{number}"] = column
        lines[f"end{number}"] = b"\n" if number == len(columns) - 1 else b","
    return lines.tobytes().translate(None, b"\0")


def _bad_time(fields: list[bytes], names: list[str]) -> list[bytes]:
    place = next(number for number, name in enumerate(names) if name in ("time", "start_time"))
    return [*fields[:place], b"2016-13-45 25:61:00", *fields[place + 1 :]]


def _served(fields: list[bytes], names: list[str]) -> int:
    """Return the column of the served party's number."""
    if "msisdn" in names:
        return names.index("msisdn")
    return names.index("calling" if fields[names.index("record_type")] == b"MOC" else "called")


def _no_subscriber(fields: list[bytes], names: list[str]) -> list[bytes]:
    place = _served(fields, names)
    return [*fields[:place], b"", *fields[place + 1 :]]


def _short(fields: list[bytes], names: list[str]) -> list[bytes]:
    return fields[:-2]


def _withheld(fields: list[bytes], names: list[str]) -> list[bytes]:
    place = _served(fields, names)
    return [*fields[:place], b"anonymous", *fields[place + 1 :]]


Spoiler = Callable[[list[bytes], list[str]], list[bytes]]
FAULTS: dict[str, Spoiler] = {
    "time": _bad_time,
    "msisdn": _no_subscriber,
    "columns": _short,
    "withheld": _withheld,
}


def _spoil(table: Table, random: np.random.Generator) -> list[tuple[int, str, bytes]]:
    """Return a few extra broken rows: position, fault and line of each."""
    names = list(table.columns)
    possible = [fault for fault in FAULTS if fault != "withheld" or {"duration", "amount"} & set(names)]
    faults = [fault for fault in possible for _ in range(min(int(random.poisson(1)), 3))]
    models = random.choice(table.order, min(len(faults), len(table.order)), replace=False)
    places = np.sort(random.integers(0, len(table.order) + 1, len(models)))
    spoilt = []
    for place, fault, row in zip(places.tolist(), faults, models, strict=False):
        fields = render(table, np.array([row])).rstrip(b"\n").split(b",")
        spoilt.append((place, fault, b",".join(FAULTS[fault](fields, names)) + b"\n"))
    return spoilt


# The truth


def write_truth(world: World, output: Path, days: Sequence[date]) -> None:
    """Write subscribers' homes, workplaces and flights; count districts' residents.

    Residents are counted before and after the disaster, and those who are away or have come back by day.
    """
    people, network = world.people, world.network
    pcods = [district.pcod for district in world.country.districts]

    def place(cell: int) -> tuple[object, object]:
        if cell < 0:
            return None, None
        return pcods[network.cell_district[cell]], network.cell_ids[cell].decode()

    header = (
        "msisdn", "home_admin3", "home_cell", "workplace_admin3", "workplace_cell", "destination_admin3",
        "destination_cell", "left", "returned",
    )  # fmt: skip
    columns = (people.msisdn, people.home, people.work, people.destination, people.left, people.returned)
    rows = (
        (msisdn.decode(), *place(home), *place(work), *place(destination), _day(left), _day(returned))
        for msisdn, home, work, destination, left, returned in zip(
            *(column.tolist() for column in columns), strict=True
        )
    )
    write_rows(output / "truth/subscribers.csv.gz", header, rows)
    write_rows(
        output / "truth/displacement.csv",
        ("pcod", "name", "residents", "left", "arrived", "returned", "residents_after"),
        displacement(world.country, people, network.cell_district),
    )
    write_rows(
        output / "truth/displacement_by_day.csv",
        ("pcod", "date", "residents", "away", "back"),
        displacement_by_day(world.country, people, network.cell_district, days),
    )


def displacement_by_day(
    country: Country, people: People, cell_district: Integers, days: Iterable[date]
) -> Iterator[tuple[str, date, int, int, int]]:
    """Count residents, those away and those back, per day and district."""
    count = len(country.districts)
    home = cell_district[people.home]
    residents = np.bincount(home, minlength=count)
    for day in days:
        away = np.bincount(home[people.away(day)], minlength=count)
        back = np.bincount(home[people.returned <= day.toordinal()], minlength=count)
        for number, region in enumerate(country.districts):
            yield region.pcod, day, int(residents[number]), int(away[number]), int(back[number])


def _day(ordinal: int) -> date | None:
    return None if ordinal == NEVER else date.fromordinal(ordinal)


def displacement(
    country: Country, people: People, cell_district: Integers
) -> list[tuple[str, str, int, int, int, int, int]]:
    """Count, per district, residents and people who fled, arrived and returned.

    The last column is the number of residents once all have fled and none has returned.
    """
    count = len(country.districts)
    home = cell_district[people.home]
    fled = people.left < NEVER
    residents = np.bincount(home, minlength=count)
    left = np.bincount(home[fled], minlength=count)
    arrived = np.bincount(cell_district[people.destination[fled]], minlength=count)
    returned = np.bincount(home[people.returned < NEVER], minlength=count)
    return [
        (region.pcod, region.name, int(before), int(gone), int(come), int(back), int(before - gone + come))
        for region, before, gone, come, back in zip(
            country.districts, residents, left, arrived, returned, strict=True
        )
    ]


def write_expected(world: World, output: Path, parameters: dict[str, Any], start: date, days: int) -> None:
    """Collect what each day holds, so that a loader's counts can be checked."""
    files: dict[str, Any] = {}
    for number in range(days):
        files |= json.loads(expectation_path(output, start + timedelta(days=number)).read_text())
    districts = [world.country.districts[district].pcod for district in world.country.disaster]
    write_json(
        output / "truth/expected.json",
        {
            "parameters": parameters,
            "disaster_districts": districts if world.disaster else [],
            "core_district": world.country.districts[world.country.core].pcod,
            "files": files,
        },
    )
