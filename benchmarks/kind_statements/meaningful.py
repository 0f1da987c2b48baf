"""Statements of the kinds over clusters of sites with a label."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from benchmarks.hand_written import (
    FLOOR,
    Files,
)
from benchmarks.kind_specs import DAY, EVENING, HOUR_SCORES, RADIUS_KM
from benchmarks.kind_statements.subscribers import (
    ONE_DAY,
    middle_of,
)
from flowmachine.executors.duckdb import compiled
from flowmachine.sql.geometry import leader_clusters


def _meaningful(files: Files, first: dt.date, after: dt.date, name: str, *labels: str) -> str:
    """Return common table expressions that end, for each label, in a table.

    The table is named by the label and ``name`` (``evening_a``).

    Their rows are (``subscriber``, ``location``, ``share``). Only subscribers with two sites within the
    radius are processed, because other sites cannot form a cluster. The place of a cluster is computed once for each centre.
    """
    by_day = " UNION ALL ".join(
        f"""
        SELECT subscriber, location, count(*) AS events, sum({list(HOUR_SCORES)}[hour(local_time) + 1]) AS score
        FROM {files.events(day, day + ONE_DAY)} AS events
        JOIN {files.cells("versioned_site", day, day + ONE_DAY)} AS cells ON events.cell = cells.cell GROUP BY ALL
        """
        for day in (first + n * ONE_DAY for n in range((after - first).days))
    )
    metres = RADIUS_KM * 1000
    lists = (
        sa.literal_column(text, sa.ARRAY(sa.Double)) for text in ("lons", "lats", "weights", str(metres))
    )
    # The fold over a list is the engine's own function and is not rewritten here.
    fold = compiled(sa.select(leader_clusters(*lists)))[0].removeprefix("SELECT").rpartition(" AS ")[0]
    areas = {
        "evening": f"score > {EVENING[0]} AND score < {EVENING[1]}",
        "day": f"score > {DAY[0]} AND score < {DAY[1]}",
    }
    shares = ", ".join(
        f"""
        {label}_{name} AS (
            SELECT subscriber, location, 1 / count(*) OVER (PARTITION BY subscriber) AS share
            FROM clusters_{name} JOIN placed_{name} USING (lon, lat) WHERE {areas[label]}
        )
        """
        for label in labels
    )
    return f"""
        sites_{name} AS MATERIALIZED (
            SELECT subscriber, location, lon, lat, days, score,
                row_number() OVER (PARTITION BY subscriber ORDER BY days DESC, location) AS position
            FROM (
                SELECT subscriber, location, count(*)::DOUBLE AS days, sum(score) / sum(events) AS score
                FROM ({by_day}) GROUP BY ALL
            ) JOIN {files.regions("versioned_site")} USING (location)
        ), near_{name} AS MATERIALIZED (
            SELECT a.location AS here, b.location AS there
            FROM {files.regions("versioned_site")} AS a JOIN {files.regions("versioned_site")} AS b
              ON a.lat BETWEEN b.lat - {metres} / 110574 AND b.lat + {metres} / 110574 AND a.location < b.location
            WHERE ST_Distance_Spheroid(ST_Point(a.lat, a.lon)::POINT_2D, ST_Point(b.lat, b.lon)::POINT_2D) < {metres}
        ), crowded_{name} AS MATERIALIZED (
            SELECT DISTINCT a.subscriber FROM sites_{name} AS a
            JOIN near_{name} ON here = a.location
            JOIN sites_{name} AS b ON b.subscriber = a.subscriber AND b.location = there
        ), walked_{name} AS (
            SELECT subscriber, unnest({fold}) AS cluster, generate_subscripts(lons, 1) AS position FROM (
                SELECT subscriber, list(lon ORDER BY position) AS lons, list(lat ORDER BY position) AS lats,
                    list(days ORDER BY position) AS weights
                FROM sites_{name} SEMI JOIN crowded_{name} USING (subscriber) GROUP BY subscriber
            )
        ), clusters_{name} AS MATERIALIZED (
            SELECT subscriber, lon, lat, score FROM sites_{name} ANTI JOIN crowded_{name} USING (subscriber)
            UNION ALL
            SELECT subscriber, sum(lon * days) / sum(days), sum(lat * days) / sum(days), avg(score)
            FROM sites_{name} JOIN walked_{name} USING (subscriber, position) GROUP BY subscriber, cluster
        ), placed_{name} AS MATERIALIZED (
            SELECT lon, lat, location FROM (SELECT DISTINCT lon, lat FROM clusters_{name})
            LEFT JOIN (SELECT location, ST_GeomFromWKB(geom) AS area FROM {files.boundaries("admin3")})
              ON ST_Within(ST_Point(lon, lat), area)
        ), {shares}
    """


def meaningful_locations_aggregate(files: Files) -> str:
    return f"""
        WITH {_meaningful(files, *files.windows[0], "a", "evening")}
        SELECT 'evening' AS label, pcod, value FROM (
            SELECT location, sum(share) AS value FROM evening_a GROUP BY location
            HAVING count(DISTINCT subscriber) > {FLOOR}
        ) LEFT JOIN {files.regions("admin3")} USING (location) ORDER BY pcod
    """


def _between(files: Files, labels: tuple[str, str], origins: str, destinations: str) -> str:
    regions = files.regions("admin3")
    return f"""
        SELECT '{labels[0]}' AS label_from, '{labels[1]}' AS label_to, a.pcod AS pcod_from, b.pcod AS pcod_to, value
        FROM (
            SELECT origins.location AS location_from, destinations.location AS location_to,
                sum(origins.share * destinations.share) AS value
            FROM {origins} AS origins JOIN {destinations} AS destinations USING (subscriber)
            GROUP BY ALL HAVING count(DISTINCT subscriber) > {FLOOR}
        ) LEFT JOIN {regions} AS a ON a.location = location_from
        LEFT JOIN {regions} AS b ON b.location = location_to ORDER BY ALL
    """


def meaningful_locations_between_label_od_matrix(files: Files) -> str:
    found = _meaningful(files, *files.windows[0], "a", "evening", "day")
    return f"WITH {found} {_between(files, ('evening', 'day'), 'evening_a', 'day_a')}"


def meaningful_locations_between_dates_od_matrix(files: Files) -> str:
    first, after = files.windows[0]
    middle = middle_of(files)
    before, then = (
        _meaningful(files, first, middle, "a", "evening"),
        _meaningful(files, middle, after, "b", "evening"),
    )
    return f"WITH {before}, {then} {_between(files, ('evening', 'evening'), 'evening_a', 'evening_b')}"
