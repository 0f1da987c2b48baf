"""Statements of released counts, flows, calendars and distributions."""

from __future__ import annotations

from benchmarks.hand_written import (
    FLOOR,
    Files,
    counted,
    modal_location,
    network_objects,
    pairs,
)
from benchmarks.kind_specs import BINS
from benchmarks.kind_statements.subscribers import (
    active_days,
    classified,
    days_of,
    middle_of,
    modal_of_all_days,
    nocturnal_events,
    on_second_day,
    unique_locations,
)
from flowmachine.spec.query import DEFAULT_EVENT_TYPES


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
            SELECT at_2 AS location, label, count(*) AS value FROM ({classified(files)})
            WHERE is_2 AND at_2 IS NOT NULL GROUP BY at_2, label
            QUALIFY min(count(*)) OVER (PARTITION BY at_2) > {FLOOR}
        ) JOIN {files.regions("admin3")} USING (location) ORDER BY ALL
    """


def _lists(files: Files, bits: str) -> str:
    days = ", ".join(
        f"CASE WHEN {bits} & {1 << n} > 0 THEN TIMESTAMP '{day}' END" for n, day in days_of(files)
    )
    return f"CASE WHEN {bits} IS NOT NULL THEN list_filter([{days}], lambda day: day IS NOT NULL) END"


def calendar_activity(files: Files) -> str:
    return f"""
        SELECT {_lists(files, "days")} AS grp, value FROM (
            SELECT days, count(*) AS value FROM ({active_days(files)}) GROUP BY days HAVING count(*) > {FLOOR}
        ) ORDER BY grp
    """


def localised_calendar_activity(files: Files) -> str:
    return f"""
        SELECT pcod, {_lists(files, "days")} AS value_label, value FROM (
            SELECT location, days, count(*) AS value
            FROM ({on_second_day(files, "admin1")}) LEFT JOIN ({active_days(files, 2)}) USING (subscriber)
            GROUP BY location, days QUALIFY min(count(*)) OVER (PARTITION BY location) > {FLOOR}
        ) JOIN {files.regions("admin1")} USING (location) ORDER BY ALL
    """


# Movement.


def _moved(files: Files) -> str:
    first, after = files.windows[0]
    middle = middle_of(files)
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
            SELECT at_0, at_2, label, count(*) AS value FROM ({classified(files)})
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
