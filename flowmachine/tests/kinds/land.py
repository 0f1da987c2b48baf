"""The land of these tests: regions, cells and the tables that describe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2.extras import execute_values


@dataclass(frozen=True)
class Cell:
    """One version of a cell; service dates are inclusive and open where null."""

    id: str
    point: tuple[float, float] | None
    first: date | None = None
    last: date | None = None
    version: int = 0
    site: str | None = None


@dataclass(frozen=True)
class Site:
    """One version of a site; service dates are inclusive and open where null."""

    id: str
    point: tuple[float, float] | None
    first: date | None = None
    last: date | None = None
    version: int = 0


Square = tuple[float, float, float, float]

#: Regions of the stage, by unit: west, south, east, north. Two of admin3 overlap; names sort differently by locale.
REGIONS: dict[str, dict[str, Square]] = {
    "admin3": {
        "b": (84.0, 27.0, 85.0, 28.0),
        "B": (85.0, 27.0, 86.0, 28.0),
        "a 1": (84.0, 28.0, 85.0, 29.0),
        "é": (85.0, 28.0, 86.0, 29.0),
        "a": (84.5, 28.0, 85.0, 29.0),
    },
    "admin2": {"W": (84.0, 27.0, 85.0, 29.0), "E": (85.0, 27.0, 86.0, 29.0)},
}

CELLS = (
    Cell("in-b", (84.25, 27.25), site="p"),
    Cell("in-B", (85.5, 27.5), site="beside p"),
    Cell("in-a1", (84.25, 28.5), date(2015, 1, 1), date(2016, 12, 31), site="near p"),
    Cell("in-é", (85.75, 28.125), site="é"),
    Cell("beside", (85.75, 28.125), site="é"),
    Cell("in-two-regions", (84.75, 28.5), site="two"),
    Cell("moves", (84.25, 27.25), None, date(2016, 1, 2), version=0, site="p"),
    Cell("moves", (85.25, 28.5), date(2016, 1, 3), None, version=1, site="moved"),
    Cell("meets", (84.5, 27.5), None, date(2016, 1, 2), version=0, site="p"),
    Cell("meets", (85.5, 27.25), date(2016, 1, 2), None, version=1, site="p"),
    Cell("outside", (90.0, 10.0), site="outside"),
    Cell("nowhere", None, site="nowhere"),
    Cell("closed", (84.25, 27.25), None, date(2015, 12, 31)),
)

#: Sites, not at their cells' points so that the two are told apart. Three lie in a row, each about 500 m from the next.
SITES = (
    Site("p", (84.25, 27.25)),
    Site("beside p", (84.255, 27.25)),
    Site("near p", (84.26, 27.25)),
    Site("é", (85.625, 28.8125)),
    Site("two", (84.8125, 28.6875)),
    Site("moved", (85.5, 27.5), None, date(2016, 1, 2), version=0),
    Site("moved", (84.2525, 27.25), date(2016, 1, 2), None, version=1),
    Site("outside", (80.0, 10.0)),
    Site("nowhere", None),
)

#: What a mapping table says of some cells: its columns beside the cell's ``id``. Some regions and points do not exist.
MAPPING: dict[str, dict[str, str | None]] = {
    "in-b": {"admin3pcod": "é", "admin2pcod": "E", "site_id": "p", "place": "market"},
    "in-B": {"admin3pcod": "abroad", "admin2pcod": "abroad", "site_id": "no such site", "place": "unbuilt"},
    "in-é": {"admin3pcod": "b", "admin2pcod": "E", "site_id": "é", "place": "two ends"},
    "beside": {"admin3pcod": "abroad", "admin2pcod": None, "site_id": None, "place": "no such place"},
    "moves": {"admin3pcod": "a", "admin2pcod": "W", "site_id": "p", "place": "market"},
    "meets": {"admin3pcod": None, "admin2pcod": "W", "site_id": "nowhere", "place": "unbuilt"},
}

#: The points of a geometry table, one of them twice.
PLACES: tuple[tuple[str, tuple[float, float] | None], ...] = (
    ("market", (84.0, 27.0)),
    ("market", (84.0, 27.0)),
    ("two ends", (84.125, 27.5)),
    ("two ends", (85.25, 28.5)),
    ("unbuilt", None),
)

_TABLE = "geography.cell_mapping"

#: A table of weights: population and weight by place code. Some places are missing, or do not exist.
WEIGHTS: dict[str, tuple[float | None, float | None]] = {
    "b": (6000.0, 5.0),
    "B": (8000.0, 7.5),
    "a 1": (300.0, 0.0),
    "é": (None, 2.0),
    "W": (9000.0, 6.0),
    "nowhere": (99.0, 99.0),
}
WEIGHTS_TABLE = "geography.weights"

#: The region around each region; those of admin2 have none around.
AROUND = {"b": "W", "B": "E", "a 1": "W", "é": "E", "a": "W"}

#: The units of fields that place cells by these tables.
MAPPED_UNITS: tuple[dict[str, str], ...] = (
    {"aggregation_unit": "admin3", "mapping_table": _TABLE},
    {
        "aggregation_unit": "lon-lat",
        "mapping_table": _TABLE,
        "geom_table": "geography.places",
        "geom_table_join_column": "place",
    },
    {"aggregation_unit": "lon-lat", "mapping_table": _TABLE, "geom_table_join_column": "site_id"},
)

#: Device models: code, hnd_type, brand, model, software_os_name, software_os_vendor.
DEVICES = (
    (11111111, "Smart", "Acme", "A", "Os", "Vendor"),
    (22222222, "Smart", "acme", "B", None, None),
    (33333333, "Feature", "Zed", "C", "Os", "Vendor"),
)

#: What events may name as their cell: the stage's cells, one that is not in the list, the empty text and null.
CELL_NAMES = (*dict.fromkeys(cell.id for cell in CELLS), "unknown", "", None)

_DEVICE_COLUMNS = ("hnd_type", "brand", "model", "software_os_name", "software_os_vendor")


def set_up(
    cursor: Any, cells: tuple[Cell, ...], days: Sequence[date], types: Sequence[str], zone: ZoneInfo
) -> None:
    """Make the land in an empty database, with partitions of the events of some days."""
    for event_type in types:
        for day in days:
            partition = f"events.{event_type}_{day:%Y%m%d}"
            start, end = (datetime.combine(day + timedelta(n), datetime.min.time(), zone) for n in (0, 1))
            cursor.execute(
                f"CREATE TABLE {partition} PARTITION OF events.{event_type} FOR VALUES FROM (%s) TO (%s)",
                (start, end),
            )
    execute_values(
        cursor,
        "INSERT INTO infrastructure.cells"
        " (id, version, site_id, date_of_first_service, date_of_last_service, geom_point) VALUES %s",
        [(c.id, c.version, c.site, c.first, c.last, *(c.point or (None, None))) for c in cells],
        template="(%s, %s, %s, %s, %s, ST_SetSRID(ST_MakePoint(%s, %s), 4326))",
    )
    execute_values(
        cursor,
        "INSERT INTO infrastructure.sites (id, version, date_of_first_service, date_of_last_service, geom_point)"
        " VALUES %s",
        [(s.id, s.version, s.first, s.last, *(s.point or (None, None))) for s in SITES],
        template="(%s, %s, %s, %s, ST_SetSRID(ST_MakePoint(%s, %s), 4326))",
    )
    execute_values(
        cursor,
        "INSERT INTO geography.geoms (spatial_resolution, short_name, geom) VALUES %s",
        [
            (int(unit.removeprefix("admin")), name, *square)
            for unit, squares in REGIONS.items()
            for name, square in squares.items()
        ],
        template="(%s, %s, ST_Multi(ST_MakeEnvelope(%s, %s, %s, %s, 4326)))",
    )
    execute_values(
        cursor,
        "INSERT INTO etl.location_keys (location_id, location_key) VALUES %s",
        [(name, key) for key, name in enumerate(sorted(filter(None, CELL_NAMES)))],
    )
    columns = ("admin3pcod", "admin2pcod", "site_id", "place")
    cursor.execute(f"CREATE TABLE {_TABLE} (id TEXT, {', '.join(f'{name} TEXT' for name in columns)})")
    execute_values(
        cursor,
        f"INSERT INTO {_TABLE} VALUES %s",
        [(cell, *(row[name] for name in columns)) for cell, row in MAPPING.items()],
    )
    cursor.execute("CREATE TABLE geography.places (place TEXT, geom_point geometry(Point, 4326))")
    execute_values(
        cursor,
        "INSERT INTO geography.places VALUES %s",
        [(name, *(point or (None, None))) for name, point in PLACES],
        template="(%s, ST_SetSRID(ST_MakePoint(%s, %s), 4326))",
    )
    cursor.execute(f"CREATE TABLE {WEIGHTS_TABLE} (pcod TEXT, population NUMERIC, weight FLOAT8)")
    execute_values(
        cursor,
        f"INSERT INTO {WEIGHTS_TABLE} VALUES %s",
        [(place, *numbers) for place, numbers in WEIGHTS.items()],
    )
    for table in (_TABLE, "geography.places", WEIGHTS_TABLE):
        cursor.execute("SELECT etl.allow_unit_table(%s)", (table,))
    execute_values(
        cursor,
        f"INSERT INTO infrastructure.tacs (id, {', '.join(_DEVICE_COLUMNS)}) VALUES %s",
        DEVICES,
    )
