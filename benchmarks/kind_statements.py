"""Every query kind as a statement that somebody who knows the data and DuckDB would write for its specification alone.

They answer the specifications of ``kind_specs`` and read the same day files and cell maps as the engine. What is known of
one specification is used: that the window is seven days long, that a file holds one day, that an area is a rectangle.
Kinds with a row for each subscriber give the engine's own integer keys; the others give what is published.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from benchmarks.hand_written import (
    FLOOR,
    Files,
    counted,
    event_counts,
    last_location,
    modal,
    modal_location,
    most_common_location,
    network_objects,
    pairs,
    radii,
    radius_of_gyration,
    trips,
    unique_subscribers,
)
from benchmarks.kind_specs import BINS, DAY, EVENING, HOUR_SCORES, NIGHT, PERIODS, PROPORTION, RADIUS_KM
from benchmarks.questions import Window
from flowmachine.executors.duckdb import compiled
from flowmachine.spec.query import DEFAULT_EVENT_TYPES
from flowmachine.sql.functions import leader_clusters

_DAY = dt.timedelta(days=1)


def _days(files: Files) -> Iterator[tuple[int, dt.date]]:
    first, after = files.windows[0]
    yield from enumerate(first + n * _DAY for n in range((after - first).days))


def _middle(files: Files) -> dt.date:
    first, after = files.windows[0]
    return first + (after - first) // 2


def _second_day(files: Files, unit: str) -> str:
    day = files.windows[0][0] + _DAY
    return last_location(files, day, day + _DAY, unit)


# Where subscribers are.


def daily_location(files: Files) -> str:
    day = files.windows[0][0] + _DAY
    return most_common_location(files, day, day + _DAY)


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
        FROM {files.events(day, day + _DAY)} AS events
        JOIN {files.cells("admin3", day, day + _DAY)} AS cells ON events.cell = cells.cell GROUP BY ALL
        """
        for _, day in _days(files)
    )
    return f"""
        SELECT subscriber, arg_max(location, (days, events, latest, -location)) AS location FROM (
            SELECT subscriber, location, count(*) AS days, sum(events) AS events, max(latest) AS latest
            FROM ({by_day}) GROUP BY ALL
        ) GROUP BY subscriber
    """


def unique_locations(files: Files) -> str:
    return f"SELECT DISTINCT subscriber, location FROM ({files.located('')})"


def _stays(files: Files) -> str:
    """Where each subscriber was last on each day, with the day's number."""
    return " UNION ALL ".join(
        f"SELECT subscriber, location, {n} AS day FROM ({last_location(files, day, day + _DAY)})"
        for n, day in _days(files)
    )


def location_visits(files: Files) -> str:
    return f"SELECT subscriber, location, count(*) AS value FROM ({_stays(files)}) GROUP BY ALL"


def majority_location(files: Files) -> str:
    return f"""
        SELECT subscriber, arg_max(location, value) AS location FROM ({location_visits(files)})
        GROUP BY subscriber HAVING 2 * max(value) > sum(value)
    """


def _coalesced(files: Files, *wanted: int) -> str:
    """Whether a subscriber is in the coalesced location of each wanted period (``is_0``), and it (``at_0``)."""
    days = len(list(_days(files)))
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
            FROM ({_stays(files)}) GROUP BY subscriber, location
        ) GROUP BY subscriber
    """


def coalesced_location(files: Files) -> str:
    return f"SELECT subscriber, at_0 AS location FROM ({_coalesced(files, 0)}) WHERE is_0"


def _classified(files: Files) -> str:
    return f"""
        SELECT *, CASE
            WHEN NOT is_2 THEN NULL
            WHEN at_2 IS NULL THEN 'unlocated'
            WHEN NOT (is_0 AND is_1) THEN 'irregular'
            WHEN at_0 IS NULL OR at_1 IS NULL THEN 'not_always_locatable'
            WHEN at_0 <> at_1 AND at_1 <> at_2 THEN 'mobile'
            ELSE 'stable' END AS label
        FROM ({_coalesced(files, 0, 1, 2)})
    """


def mobility_classification(files: Files) -> str:
    return f"SELECT subscriber, label AS value FROM ({_classified(files)}) WHERE is_2"


# Metrics of subscribers.


def _per_subscriber(value: str, events: str) -> str:
    return f"SELECT subscriber, {value} AS value FROM {events} GROUP BY subscriber"


def event_count(files: Files) -> str:
    return _per_subscriber("count(*)", files.events(*files.windows[0]))


def subscriber_degree(files: Files) -> str:
    events = files.events(*files.windows[0], DEFAULT_EVENT_TYPES)
    contacts = f"SELECT DISTINCT subscriber, counterpart FROM {events} WHERE counterpart <> subscriber"
    return _per_subscriber("count(*)", f"({contacts})")


def unique_location_counts(files: Files) -> str:
    return _per_subscriber("count(*)", f"({unique_locations(files)})")


def displacement(files: Files) -> str:
    regions = files.regions("lon_lat")
    return f"""
        WITH visits AS MATERIALIZED (
            SELECT subscriber, events.location AS place, home.location AS home, count(*) AS events
            FROM ({files.located("", "lon_lat")}) AS events
            JOIN ({_second_day(files, "lon_lat")}) AS home USING (subscriber)
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
    return _per_subscriber(
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
    return _per_subscriber("avg(recharge_amount)", files.events(*files.windows[0], ("topups",)))


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


def _active(files: Files, days: int | None = None) -> str:
    """A bit for each day on which a subscriber had an event; which day it was is known from the file."""
    by_day = " UNION ALL ".join(
        f"SELECT DISTINCT subscriber, {1 << n}::BIGINT AS day FROM {files.events(day, day + _DAY)}"
        for n, day in list(_days(files))[:days]
    )
    return f"SELECT subscriber, bit_or(day) AS days FROM ({by_day}) GROUP BY subscriber"


def total_active_periods(files: Files) -> str:
    return f"SELECT subscriber, bit_count(days) AS value FROM ({_active(files)})"


# Counts of subscribers.


def active_at_reference_location_counts(files: Files) -> str:
    reference = modal_of_all_days(files)
    return counted(
        files,
        f"SELECT location FROM ({reference}) SEMI JOIN ({files.located('')}) USING (subscriber, location)",
    )


def unique_visitor_counts(files: Files) -> str:
    return f"""
        WITH visits AS MATERIALIZED ({unique_locations(files)}), active AS (
            SELECT location, count(*) AS value
            FROM ({modal_of_all_days(files)}) SEMI JOIN visits USING (subscriber, location) GROUP BY ALL
        ), everyone AS (SELECT location, count(*) AS value FROM visits GROUP BY ALL)
        SELECT pcod, everyone.value - active.value AS value
        FROM active JOIN everyone USING (location) JOIN {files.regions("admin3")} USING (location)
        WHERE active.value > {FLOOR} AND everyone.value > {FLOOR} AND everyone.value - active.value > {FLOOR}
        ORDER BY pcod
    """


def _unmoving(files: Files) -> str:
    return f"""
        SELECT subscriber, min(location) AS location FROM ({files.located("")})
        GROUP BY subscriber HAVING min(location) = max(location)
    """


def unmoving_counts(files: Files) -> str:
    return counted(files, _unmoving(files))


def unmoving_at_reference_location_counts(files: Files) -> str:
    return counted(
        files, f"FROM ({_unmoving(files)}) JOIN ({modal_of_all_days(files)}) USING (subscriber, location)"
    )


def labelled_spatial_aggregate(files: Files) -> str:
    return f"""
        SELECT pcod, label AS value_label, value FROM (
            SELECT at_2 AS location, label, count(*) AS value FROM ({_classified(files)})
            WHERE is_2 AND at_2 IS NOT NULL GROUP BY at_2, label
            QUALIFY min(count(*)) OVER (PARTITION BY at_2) > {FLOOR}
        ) JOIN {files.regions("admin3")} USING (location) ORDER BY ALL
    """


def _lists(files: Files, bits: str) -> str:
    days = ", ".join(f"CASE WHEN {bits} & {1 << n} > 0 THEN TIMESTAMP '{day}' END" for n, day in _days(files))
    return f"CASE WHEN {bits} IS NOT NULL THEN list_filter([{days}], lambda day: day IS NOT NULL) END"


def calendar_activity(files: Files) -> str:
    return f"""
        SELECT {_lists(files, "days")} AS grp, value FROM (
            SELECT days, count(*) AS value FROM ({_active(files)}) GROUP BY days HAVING count(*) > {FLOOR}
        ) ORDER BY grp
    """


def localised_calendar_activity(files: Files) -> str:
    return f"""
        SELECT pcod, {_lists(files, "days")} AS value_label, value FROM (
            SELECT location, days, count(*) AS value
            FROM ({_second_day(files, "admin1")}) LEFT JOIN ({_active(files, 2)}) USING (subscriber)
            GROUP BY location, days QUALIFY min(count(*)) OVER (PARTITION BY location) > {FLOOR}
        ) JOIN {files.regions("admin1")} USING (location) ORDER BY ALL
    """


# Movement.


def _moved(files: Files) -> str:
    first, after = files.windows[0]
    middle = _middle(files)
    return f"""
        SELECT origins.location AS location_from, destinations.location AS location_to
        FROM ({modal_location(files, first, middle)}) AS origins
        JOIN ({modal_location(files, middle, after)}) AS destinations USING (subscriber)
    """


def flows(files: Files) -> str:
    return pairs(files, _moved(files))


def inflows(files: Files) -> str:
    return counted(files, f"SELECT location_to AS location FROM ({_moved(files)})")


def outflows(files: Files) -> str:
    return counted(files, f"SELECT location_from AS location FROM ({_moved(files)})")


def labelled_flows(files: Files) -> str:
    regions = files.regions("admin3")
    return f"""
        SELECT a.pcod AS pcod_from, b.pcod AS pcod_to, label AS value_label, value FROM (
            SELECT at_0, at_2, label, count(*) AS value FROM ({_classified(files)})
            WHERE is_0 AND is_2 AND at_0 IS NOT NULL AND at_2 IS NOT NULL GROUP BY at_0, at_2, label
            QUALIFY min(count(*)) OVER (PARTITION BY at_0, at_2) > {FLOOR}
        ) JOIN {regions} AS a ON a.location = at_0 JOIN {regions} AS b ON b.location = at_2 ORDER BY ALL
    """


def consecutive_trips_od_matrix(files: Files) -> str:
    return pairs(
        files,
        f"""
        SELECT DISTINCT subscriber, location_from, location_to FROM (
            SELECT subscriber, location AS location_from,
                lead(location) OVER (PARTITION BY subscriber ORDER BY time, location) AS location_to
            FROM ({files.located(", time")})
        ) WHERE location_to IS NOT NULL
        """,
    )


# Events, the network and distributions.


def location_introversion(files: Files) -> str:
    parties = files.located(", event_id, outgoing", types=DEFAULT_EVENT_TYPES)
    return f"""
        WITH parties AS MATERIALIZED ({parties}), interactions AS MATERIALIZED (
            SELECT a.subscriber AS caller, a.location AS here, b.subscriber AS callee, b.location AS there
            FROM (FROM parties WHERE outgoing) AS a JOIN (FROM parties WHERE NOT outgoing) AS b USING (event_id)
        ), ends AS (
            SELECT here AS location, caller AS subscriber, (here = there)::INTEGER AS inside FROM interactions
            UNION ALL
            SELECT there, callee, (here = there)::INTEGER FROM interactions
        )
        SELECT pcod, value FROM (
            SELECT location, sum(inside) / sum(events) AS value FROM (
                SELECT location, subscriber, sum(inside) AS inside, count(*) AS events FROM ends GROUP BY ALL
            ) GROUP BY location HAVING count(*) > {FLOOR}
        ) JOIN {files.regions("admin3")} USING (location) ORDER BY pcod DESC
    """


def aggregate_network_objects(files: Files) -> str:
    return f"""
        SELECT pcod, avg(value) AS value, date_trunc('day', datetime) AS datetime
        FROM ({network_objects(files)}) GROUP BY ALL ORDER BY pcod, datetime
    """


def histogram_aggregate(files: Files) -> str:
    return f"""
        WITH metric AS MATERIALIZED (
            SELECT format('{{:.15g}}', value)::DOUBLE AS value FROM ({nocturnal_events(files)})
        ), ends AS (
            SELECT min(value) AS low, max(value) AS high FROM metric
        ), bins AS (
            SELECT least(floor((value - low + 5e-15 * high) * {BINS} / (high - low)), {BINS - 1}) AS bin, count(*) AS value
            FROM metric, ends GROUP BY ALL
        ), verdict AS (SELECT count(*) = {BINS} AND min(value) > {FLOOR} AS passes FROM bins)
        SELECT bins.value, low + bin * (high - low) / {BINS} AS lower_edge,
            CASE WHEN bin = {BINS - 1} THEN high ELSE low + (bin + 1) * (high - low) / {BINS} END AS upper_edge
        FROM verdict LEFT JOIN (bins CROSS JOIN ends) ON passes ORDER BY lower_edge
    """


# Meaningful locations.


def _meaningful(files: Files, first: dt.date, after: dt.date, name: str, *labels: str) -> str:
    """Common table expressions that end, for each label, in one of its name and ``name`` (``evening_a``).

    Their rows are (``subscriber``, ``location``, ``share``). Sites are walked only for those subscribers who have two
    within the radius, for nobody else's can form a cluster; and where a cluster is is asked once for each centre.
    """
    by_day = " UNION ALL ".join(
        f"""
        SELECT subscriber, location, count(*) AS events, sum({list(HOUR_SCORES)}[hour(local_time) + 1]) AS score
        FROM {files.events(day, day + _DAY)} AS events
        JOIN {files.cells("versioned_site", day, day + _DAY)} AS cells ON events.cell = cells.cell GROUP BY ALL
        """
        for day in (first + n * _DAY for n in range((after - first).days))
    )
    metres = RADIUS_KM * 1000
    lists = (
        sa.literal_column(text, sa.ARRAY(sa.Double)) for text in ("lons", "lats", "weights", str(metres))
    )
    # The fold over a list is the engine's own: nobody would write it twice.
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
    middle = _middle(files)
    before, then = (
        _meaningful(files, first, middle, "a", "evening"),
        _meaningful(files, middle, after, "b", "evening"),
    )
    return f"WITH {before}, {then} {_between(files, ('evening', 'evening'), 'evening_a', 'evening_b')}"


STATEMENTS: dict[str, Callable[[Files], str]] = {
    **{
        function.__name__: function
        for function in (
            daily_location,
            most_frequent_location,
            visited_most_days,
            unique_locations,
            location_visits,
            majority_location,
            coalesced_location,
            mobility_classification,
            event_count,
            subscriber_degree,
            unique_location_counts,
            displacement,
            nocturnal_events,
            pareto_interactions,
            handset,
            topup_amount,
            topup_balance,
            total_active_periods,
            active_at_reference_location_counts,
            unique_visitor_counts,
            unmoving_counts,
            unmoving_at_reference_location_counts,
            labelled_spatial_aggregate,
            calendar_activity,
            localised_calendar_activity,
            flows,
            inflows,
            outflows,
            labelled_flows,
            consecutive_trips_od_matrix,
            location_introversion,
            aggregate_network_objects,
            histogram_aggregate,
            meaningful_locations_aggregate,
            meaningful_locations_between_label_od_matrix,
            meaningful_locations_between_dates_od_matrix,
        )
    },
    "modal_location": modal_of_all_days,
    "radius_of_gyration": radii,
    "spatial_aggregate": modal,
    "unique_subscriber_counts": unique_subscribers,
    "trips_od_matrix": trips,
    "location_event_counts": event_counts,
    "total_network_objects": network_objects,
    "joined_spatial_aggregate": radius_of_gyration,
}


# What only the database has.


def geography(window: Window) -> str:
    return """
        SELECT admin3pcod AS pcod, geom FROM geography.admin3 ORDER BY admin3pcod COLLATE "C"
    """


def dummy_query(window: Window) -> str:
    return "SELECT 'nothing' AS dummy_param"


def dfs_metric_total_amount(window: Window) -> str:
    return f"""
        WITH places AS MATERIALIZED (
            SELECT id AS cell_id, version AS cell_version, admin3pcod AS pcod
            FROM infrastructure.cells JOIN geography.admin3 ON ST_Within(cells.geom_point, admin3.geom)
        )
        SELECT timestamp::date AS date, pcod, sum(amount) AS value
        FROM dfs.transactions JOIN dfs.transactions_metadata ON transaction_id = transactions.id
        JOIN places USING (cell_id, cell_version) LEFT JOIN dfs.subscribers ON subscribers.id = subscriber_id
        WHERE timestamp >= '{window[0]}' AND timestamp < '{window[1] + _DAY}' AND amount IS NOT NULL
        GROUP BY date, pcod HAVING count(DISTINCT msisdn) > {FLOOR} ORDER BY date, pcod
    """


DATABASE_STATEMENTS: dict[str, Callable[[Window], str]] = {
    function.__name__: function for function in (geography, dummy_query, dfs_metric_total_amount)
}
