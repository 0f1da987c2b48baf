"""Write the statements of kinds with a row for each subscriber."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from benchmarks.hand_written import (
    Files,
    last_location,
    modal_location,
    most_common_location,
)
from benchmarks.kind_specs import NIGHT, PERIODS, PROPORTION
from flowmachine.spec.query import DEFAULT_EVENT_TYPES

ONE_DAY = dt.timedelta(days=1)


def days_of(files: Files) -> Iterator[tuple[int, dt.date]]:
    first, after = files.windows[0]
    yield from enumerate(first + n * ONE_DAY for n in range((after - first).days))


def middle_of(files: Files) -> dt.date:
    first, after = files.windows[0]
    return first + (after - first) // 2


def on_second_day(files: Files, unit: str) -> str:
    day = files.windows[0][0] + ONE_DAY
    return last_location(files, day, day + ONE_DAY, unit)


def daily_location(files: Files) -> str:
    day = files.windows[0][0] + ONE_DAY
    return most_common_location(files, day, day + ONE_DAY)


def modal_of_all_days(files: Files) -> str:
    return modal_location(files, *files.windows[0])


def most_frequent_location(files: Files) -> str:
    return f"""
        SELECT subscriber, arg_max(location, (events, latest, -location)) AS location FROM (
            SELECT subscriber, location, count(*) AS events, max(time) AS latest
            FROM ({files.located(", time")}) GROUP BY ALL
        ) GROUP BY subscriber
    """


def visited_most_days(files: Files) -> str:
    by_day = " UNION ALL ".join(
        f"""
        SELECT subscriber, location, count(*) AS events, max(time) AS latest
        FROM {files.events(day, day + ONE_DAY)} AS events
        JOIN {files.cells("admin3", day, day + ONE_DAY)} AS cells ON events.cell = cells.cell GROUP BY ALL
        """
        for _, day in days_of(files)
    )
    return f"""
        SELECT subscriber, arg_max(location, (days, events, latest, -location)) AS location FROM (
            SELECT subscriber, location, count(*) AS days, sum(events) AS events, max(latest) AS latest
            FROM ({by_day}) GROUP BY ALL
        ) GROUP BY subscriber
    """


def unique_locations(files: Files) -> str:
    return f"SELECT DISTINCT subscriber, location FROM ({files.located('')})"


def stays_by_day(files: Files) -> str:
    """Locate each subscriber at the end of each day, with the day's number."""
    return " UNION ALL ".join(
        f"SELECT subscriber, location, {n} AS day FROM ({last_location(files, day, day + ONE_DAY)})"
        for n, day in days_of(files)
    )


def location_visits(files: Files) -> str:
    return f"SELECT subscriber, location, count(*) AS value FROM ({stays_by_day(files)}) GROUP BY ALL"


def majority_location(files: Files) -> str:
    return f"""
        SELECT subscriber, arg_max(location, value) AS location FROM ({location_visits(files)})
        GROUP BY subscriber HAVING 2 * max(value) > sum(value)
    """


def coalesced(files: Files, *wanted: int) -> str:
    """Select presence in each wanted period's coalesced location, and the location.

    The columns are ``is_0`` and ``at_0``.
    """
    days = len(list(days_of(files)))
    counts, columns = [], []
    for n in wanted:
        begin, end = min(PERIODS[n][0], days - 1), max(min(PERIODS[n][1], days), 1)
        counts.append(f"count(*) FILTER (day >= {begin} AND day < {end}) AS visits_{n}")
        preferred = f"CASE WHEN 2 * max(visits_{n}) > sum(visits_{n}) THEN arg_max(location, visits_{n}) END"
        columns += [
            f"sum(visits_{n}) > 0 OR fallback IS NOT NULL AS is_{n}",
            f"coalesce({preferred}, fallback) AS at_{n}",
        ]
    return f"""
        SELECT subscriber,
            CASE WHEN 2 * max(visits) > sum(visits) AND max(visits) >= 2 THEN arg_max(location, visits) END AS fallback,
            {", ".join(columns)}
        FROM (
            SELECT subscriber, location, count(*) AS visits, {", ".join(counts)}
            FROM ({stays_by_day(files)}) GROUP BY subscriber, location
        ) GROUP BY subscriber
    """


def coalesced_location(files: Files) -> str:
    return f"SELECT subscriber, at_0 AS location FROM ({coalesced(files, 0)}) WHERE is_0"


def classified(files: Files) -> str:
    return f"""
        SELECT *, CASE
            WHEN NOT is_2 THEN NULL
            WHEN at_2 IS NULL THEN 'unlocated'
            WHEN NOT (is_0 AND is_1) THEN 'irregular'
            WHEN at_0 IS NULL OR at_1 IS NULL THEN 'not_always_locatable'
            WHEN at_0 <> at_1 AND at_1 <> at_2 THEN 'mobile'
            ELSE 'stable' END AS label
        FROM ({coalesced(files, 0, 1, 2)})
    """


def mobility_classification(files: Files) -> str:
    return f"SELECT subscriber, label AS value FROM ({classified(files)}) WHERE is_2"


# Metrics of subscribers.


def per_subscriber(value: str, events: str) -> str:
    return f"SELECT subscriber, {value} AS value FROM {events} GROUP BY subscriber"


def event_count(files: Files) -> str:
    return per_subscriber("count(*)", files.events(*files.windows[0]))


def subscriber_degree(files: Files) -> str:
    events = files.events(*files.windows[0], DEFAULT_EVENT_TYPES)
    contacts = f"SELECT DISTINCT subscriber, counterpart FROM {events} WHERE counterpart <> subscriber"
    return per_subscriber("count(*)", f"({contacts})")


def unique_location_counts(files: Files) -> str:
    return per_subscriber("count(*)", f"({unique_locations(files)})")


def displacement(files: Files) -> str:
    regions = files.regions("lon_lat")
    return f"""
        WITH visits AS MATERIALIZED (
            SELECT subscriber, events.location AS place, home.location AS home, count(*) AS events
            FROM ({files.located("", "lon_lat")}) AS events
            JOIN ({on_second_day(files, "lon_lat")}) AS home USING (subscriber)
            GROUP BY ALL
        ), distances AS (
            SELECT place, home, ST_Distance_Spheroid(
                ST_Point(a.lat, a.lon)::POINT_2D, ST_Point(b.lat, b.lon)::POINT_2D
            ) / 1000 AS km
            FROM (SELECT DISTINCT place, home FROM visits)
            JOIN {regions} AS a ON a.location = place JOIN {regions} AS b ON b.location = home
        )
        SELECT subscriber, sum(km * events) / sum(events) AS value
        FROM visits JOIN distances USING (place, home) GROUP BY subscriber
    """


def nocturnal_events(files: Files) -> str:
    begin, end = NIGHT
    night = f"hour(local_time) >= {begin} OR hour(local_time) < {end}"
    return per_subscriber(
        f"avg(CASE WHEN {night} THEN 100::DOUBLE ELSE 0 END)", files.events(*files.windows[0])
    )


def pareto_interactions(files: Files) -> str:
    # Contacts of equally many events are taken together: how many of them it takes is a division.
    return f"""
        WITH contacts AS (
            SELECT subscriber, events, count(*) AS contacts FROM (
                SELECT subscriber, counterpart, count(*) AS events
                FROM {files.events(*files.windows[0], DEFAULT_EVENT_TYPES)} GROUP BY ALL
            ) GROUP BY ALL
        ), running AS (
            SELECT subscriber, events, contacts,
                sum(events * contacts) OVER busiest AS through, sum(contacts) OVER busiest AS ranked,
                sum(events * contacts) OVER everyone AS total, sum(contacts) OVER everyone AS all_contacts
            FROM contacts
            WINDOW busiest AS (PARTITION BY subscriber ORDER BY events DESC), everyone AS (PARTITION BY subscriber)
        )
        SELECT subscriber, arg_max(
                ranked - (10 * through - {round(10 * PROPORTION)} * total) // (10 * events), events
            ) / max(all_contacts) AS value
        FROM running WHERE 10 * through >= {round(10 * PROPORTION)} * total GROUP BY subscriber
    """


def handset(files: Files) -> str:
    return f"""
        SELECT subscriber, arg_max(brand, (events, -position)) AS value FROM (
            SELECT subscriber, brand, position, sum(events) AS events FROM (
                SELECT subscriber, tac, count(*) AS events
                FROM {files.events(*files.windows[0])} WHERE tac IS NOT NULL GROUP BY ALL
            ) LEFT JOIN (
                SELECT tac, brand, dense_rank() OVER (ORDER BY brand) AS position FROM {files.devices()}
            ) USING (tac) GROUP BY ALL
        ) GROUP BY subscriber
    """


def topup_amount(files: Files) -> str:
    return per_subscriber("avg(recharge_amount)", files.events(*files.windows[0], ("topups",)))


def topup_balance(files: Files) -> str:
    first, after = files.windows[0]
    return f"""
        WITH topups AS (
            SELECT subscriber, time, local_time, pre_event_balance AS before, post_event_balance AS after,
                lag(time) OVER w AS previous_time, lag(post_event_balance) OVER w AS previous_after,
                max(time) OVER (PARTITION BY subscriber) AS last_time
            FROM {files.events(first, after, ("topups",))}
            WHERE pre_event_balance IS NOT NULL AND post_event_balance IS NOT NULL
            WINDOW w AS (PARTITION BY subscriber ORDER BY time, pre_event_balance, post_event_balance)
        )
        SELECT subscriber, sum(seconds * balance + held * after) / sum(seconds + held) AS value FROM (
            SELECT subscriber, after,
                CASE WHEN previous_time IS NULL THEN before ELSE (before + previous_after) / 2 END AS balance,
                (CASE WHEN previous_time IS NULL THEN epoch_us(local_time) - epoch_us(TIMESTAMP '{first}')
                    ELSE epoch_us(time) - epoch_us(previous_time) END) / 1e6 AS seconds,
                CASE WHEN time = last_time
                    THEN (epoch_us(TIMESTAMP '{after}') - epoch_us(local_time)) / 1e6 ELSE 0 END AS held
            FROM topups
        ) GROUP BY subscriber
    """


def active_days(files: Files, days: int | None = None) -> str:
    """Select a bit for each day on which a subscriber had an event.

    The file tells which day it was.
    """
    by_day = " UNION ALL ".join(
        f"SELECT DISTINCT subscriber, {1 << n}::BIGINT AS day FROM {files.events(day, day + ONE_DAY)}"
        for n, day in list(days_of(files))[:days]
    )
    return f"SELECT subscriber, bit_or(day) AS days FROM ({by_day}) GROUP BY subscriber"


def total_active_periods(files: Files) -> str:
    return f"SELECT subscriber, bit_count(days) AS value FROM ({active_days(files)})"
