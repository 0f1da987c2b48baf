"""Write the nine questions as SQL that an expert in the data and DuckDB would use.

They read the same day files and the same cell maps as the engine, use the same rules for ties and apply the same floor,
and are what the engine's own statements are measured against. Nothing is queued, stored or checked.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import duckdb
import pandas as pd

from benchmarks.country import EVENT_TYPES, Country
from benchmarks.engine import Answer
from benchmarks.memory import PeakMemory
from benchmarks.questions import Question, Window
from flowmachine.executors.duckdb import spatial_extension

FLOOR = 15
_REPEATS = 3


class HandWritten:
    """The statements over one country's files."""

    def __init__(self, country: Country) -> None:
        self._country = country

    def cold(self, question: Question) -> Answer:
        """Run a question in a separate process.

        The seconds are those of the statements, best of three.
        """
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            process = pool.submit(os.getpid).result()
            with PeakMemory(lambda: [process]) as peak:
                rows, seconds = pool.submit(
                    run, question, self._country.columnar, self._country.cache / "maps"
                ).result()
        return Answer(rows, seconds, peak.megabytes)


def run(question: Question, columnar: Path, maps: Path) -> tuple[pd.DataFrame, float]:
    """The rows of a question and the seconds that its statement took."""
    connection = connect()
    write = _STATEMENTS[question.name]
    statement = write(Files(question.windows, columnar, maps))
    best = float("inf")
    for _ in range(_REPEATS):
        started = time.perf_counter()
        table = connection.execute(statement).to_arrow_table()
        rows: pd.DataFrame = table.to_pandas()
        best = min(best, time.perf_counter() - started)
    connection.close()
    return rows, best


def connect() -> duckdb.DuckDBPyConnection:
    """A connection to nothing but files, with the spatial functions."""
    connection = duckdb.connect(config={"preserve_insertion_order": False})
    connection.execute("SET enable_progress_bar = false")
    connection.load_extension(spatial_extension())
    return connection


class Files:
    """Write one country's relations as SQL fragments.

    ``windows`` are the windows of a statement.
    """

    def __init__(self, windows: tuple[Window, ...], columnar: Path, maps: Path) -> None:
        self.windows = windows
        self._columnar = columnar
        self._maps = maps

    def events(self, first: dt.date, after: dt.date, types: Sequence[str] = EVENT_TYPES) -> str:
        days = [first + dt.timedelta(n) for n in range((after - first).days)]
        found = [
            str(path)
            for name in types
            for day in days
            for path in (self._columnar / "events" / f"type={name}" / f"date={day}").glob("*.parquet")
        ]
        return f"read_parquet({found}, union_by_name = false)"

    def cells(self, unit: str, first: dt.date, after: dt.date) -> str:
        """Return the regions of the cells, with validity cut to the window.

        Usually one row of each cell remains.
        """
        return f"""(
            SELECT cell, location, valid_from, valid_before FROM {self._map("cells", unit)}
            WHERE valid_from < TIMESTAMP '{after}' AND valid_before > TIMESTAMP '{first}' AND cell IS NOT NULL
        )"""

    def regions(self, unit: str) -> str:
        return self._map("regions", unit)

    def boundaries(self, unit: str) -> str:
        return self._map("boundaries", unit)

    def weights(self) -> str:
        """Return the one table of weights, ``pcod`` and ``weight``."""
        (path,) = self._maps.glob("weights_*.parquet")
        return f"read_parquet('{path}')"

    def devices(self) -> str:
        (newest,) = (self._maps.parent / "devices").glob("*.parquet")
        return f"read_parquet('{newest}')"

    def located(
        self, columns: str, unit: str = "admin3", window: int = 0, types: Sequence[str] = EVENT_TYPES
    ) -> str:
        first, after = self.windows[window]
        return f"""
            SELECT subscriber, location{columns}
            FROM {self.events(first, after, types)} AS events
            JOIN {self.cells(unit, first, after)} AS cells
              ON events.cell = cells.cell AND local_time >= valid_from AND local_time < valid_before
        """

    def _map(self, kind: str, unit: str) -> str:
        newest = max(
            self._maps.glob(f"{kind}_{unit}_*.parquet"), key=lambda path: int(path.stem.rsplit("_", 1)[1])
        )
        return f"read_parquet('{newest}')"


def last_location(files: Files, first: dt.date, after: dt.date, unit: str = "admin3") -> str:
    # The time since the day began and the location fill one integer, so that one maximum finds the latest.
    elapsed = f"(epoch_us(time) - epoch_us(TIMESTAMP '{first}'))"
    return f"""
        SELECT subscriber, 65535 - max({elapsed} * 65536 + (65535 - location)) % 65536 AS location
        FROM {files.events(first, after)} AS events
        JOIN {files.cells(unit, first, after)} AS cells ON events.cell = cells.cell
        GROUP BY subscriber
    """


def most_common_location(files: Files, first: dt.date, after: dt.date) -> str:
    return f"""
        SELECT subscriber, arg_max(location, (events, latest, -location)) AS location
        FROM (
            SELECT subscriber, location, count(*) AS events, max(time) AS latest
            FROM {files.events(first, after)} AS events
            JOIN {files.cells("admin3", first, after)} AS cells ON events.cell = cells.cell
            GROUP BY ALL
        ) GROUP BY subscriber
    """


def modal_location(files: Files, first: dt.date, after: dt.date) -> str:
    days = [first + dt.timedelta(n) for n in range((after - first).days)]
    stays = " UNION ALL ".join(
        f"SELECT subscriber, location, {n} AS day FROM ({most_common_location(files, day, day + dt.timedelta(1))})"
        for n, day in enumerate(days)
    )
    return f"""
        SELECT subscriber, arg_max(location, (days, latest, -location)) AS location
        FROM (SELECT subscriber, location, count(*) AS days, max(day) AS latest FROM ({stays}) GROUP BY ALL)
        GROUP BY subscriber
    """


def counted(files: Files, locations: str) -> str:
    return f"""
        SELECT pcod, value FROM (
            SELECT location, count(*) AS value FROM ({locations}) GROUP BY location HAVING count(*) > {FLOOR}
        ) JOIN {files.regions("admin3")} USING (location) ORDER BY pcod
    """


def daily_last(files: Files) -> str:
    return counted(files, last_location(files, *files.windows[0]))


def daily_most_common(files: Files) -> str:
    return counted(files, most_common_location(files, *files.windows[0]))


def modal(files: Files) -> str:
    return counted(files, modal_location(files, *files.windows[0]))


def pairs(files: Files, movements: str) -> str:
    regions = files.regions("admin3")
    return f"""
        SELECT a.pcod AS pcod_from, b.pcod AS pcod_to, value FROM (
            SELECT location_from, location_to, count(*) AS value FROM ({movements})
            GROUP BY ALL HAVING count(*) > {FLOOR}
        ) JOIN {regions} AS a ON a.location = location_from JOIN {regions} AS b ON b.location = location_to
        ORDER BY ALL
    """


def flows(files: Files) -> str:
    return pairs(
        files,
        f"""
        SELECT origins.location AS location_from, destinations.location AS location_to
        FROM ({modal_location(files, *files.windows[0])}) AS origins
        JOIN ({modal_location(files, *files.windows[1])}) AS destinations USING (subscriber)
        """,
    )


def network_objects(files: Files) -> str:
    return f"""
        {_by_hour(files)}
        SELECT pcod, cells AS value, hour AS datetime
        FROM counts LEFT JOIN exact USING (location, hour) JOIN {files.regions("admin3")} USING (location)
        WHERE coalesce(subscribers, bits) > {FLOOR} ORDER BY pcod, datetime
    """


def _by_hour(files: Files) -> str:
    # A subscriber sets one of 64 bits: more bits than the floor prove enough subscribers, and no more events than the
    # floor prove too few. The rest is counted. What is read again is named in lists, which are small to the planner.
    hour = "date_trunc('hour', local_time)"
    events, cells = files.events(*files.windows[0]), files.cells("admin3", *files.windows[0])
    return f"""
        WITH tallies AS (
            SELECT cell, {hour} AS hour, count(*) AS events, bit_or(1::UBIGINT << (subscriber & 63)::UBIGINT) AS bits
            FROM {events} GROUP BY ALL
        ), placed AS (
            SELECT location, hour, tallies.cell, events, bits FROM tallies JOIN {cells} AS cells
              ON tallies.cell = cells.cell AND hour >= valid_from AND hour < valid_before
        ), counts AS (
            SELECT location, hour, sum(events) AS events, count(DISTINCT cell) AS cells, bit_count(bit_or(bits)) AS bits
            FROM placed GROUP BY ALL
        ), doubtful AS (
            SELECT DISTINCT placed.cell, hour, location FROM placed JOIN counts USING (location, hour)
            WHERE counts.events > {FLOOR} AND counts.bits <= {FLOOR}
        ), exact AS (
            SELECT location, doubtful.hour, count(DISTINCT subscriber) AS subscribers
            FROM (
                SELECT cell, {hour} AS hour, subscriber FROM {events}
                WHERE cell IN (SELECT unnest(array_agg(DISTINCT cell)) FROM doubtful)
                  AND {hour} IN (SELECT unnest(array_agg(DISTINCT hour)) FROM doubtful)
            ) AS again JOIN doubtful ON again.cell = doubtful.cell AND again.hour = doubtful.hour
            GROUP BY ALL
        )
    """


def radii(files: Files) -> str:
    return f"""
        WITH places AS (
            SELECT subscriber, lon, lat, events FROM (
                SELECT subscriber, location, count(*) AS events FROM ({files.located("", "lon_lat")})
                GROUP BY ALL
            ) JOIN {files.regions("lon_lat")} USING (location)
        ), centres AS (
            SELECT subscriber, sum(events) AS events,
                   sum(lon * events) / sum(events) AS lon, sum(lat * events) / sum(events) AS lat
            FROM places GROUP BY subscriber
        )
        SELECT subscriber, sqrt(sum(distance * distance * visits) / max(events)) / 1000 AS value
        FROM (
            SELECT subscriber, places.events AS visits, centres.events,
                   ST_Distance_Spheroid(
                       ST_Point(places.lat, places.lon)::POINT_2D, ST_Point(centres.lat, centres.lon)::POINT_2D
                   ) AS distance
            FROM places JOIN centres USING (subscriber)
        ) GROUP BY subscriber
    """


def radius_of_gyration(files: Files) -> str:
    first, _ = files.windows[0]
    day = first + dt.timedelta(1)
    return f"""
        SELECT pcod, value FROM (
            SELECT location, avg(value) AS value
            FROM ({last_location(files, day, day + dt.timedelta(1))}) JOIN ({radii(files)}) USING (subscriber)
            GROUP BY location HAVING count(*) > {FLOOR}
        ) JOIN {files.regions("admin3")} USING (location) ORDER BY pcod
    """


def unique_subscribers(files: Files) -> str:
    return counted(files, f"SELECT DISTINCT location, subscriber FROM ({files.located('')})")


def event_counts(files: Files) -> str:
    return f"""
        {_by_hour(files)}
        SELECT pcod, strftime(hour, '%Y-%m-%d') AS date, date_part('hour', hour) AS hour, events AS value
        FROM counts LEFT JOIN exact USING (location, hour) JOIN {files.regions("admin3")} USING (location)
        WHERE coalesce(subscribers, counts.bits) > {FLOOR} ORDER BY pcod, date, hour
    """


def trips(files: Files) -> str:
    return f"""
        WITH visits AS MATERIALIZED (
            SELECT subscriber, location, min(time) AS first, max(time) AS last
            FROM ({files.located(", time")}) GROUP BY ALL
        )
        {
        pairs(
            files,
            '''
            SELECT origins.location AS location_from, destinations.location AS location_to
            FROM visits AS origins JOIN visits AS destinations
              ON origins.subscriber = destinations.subscriber
             AND origins.location <> destinations.location AND origins.first < destinations.last
            ''',
        )
    }
    """


_STATEMENTS = {
    function.__name__: function
    for function in (
        daily_last,
        daily_most_common,
        modal,
        flows,
        network_objects,
        radius_of_gyration,
        unique_subscribers,
        event_counts,
        trips,
    )
}
