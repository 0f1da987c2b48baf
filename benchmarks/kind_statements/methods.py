"""Statements of kinds after methods of official statistics."""

from __future__ import annotations

import datetime as dt

from benchmarks.hand_written import FLOOR, Files
from benchmarks.kind_statements.subscribers import daily_location, modal_of_all_days, stays_by_day

#: The fields of the specifications that the statements answer.
TOLERANCE, INTERVAL = 60, 720
MINIMUM_DAYS = 3
#: Minutes of a stay, at most between events of one run and of a move, and what a run gains at a break.
MIN_STAY, STAY_GAP, MOVE_GAP, PAD = 15, 720, 120, 5


def present_population(files: Files) -> str:
    first, after = files.windows[0]
    noon = dt.time(12)
    begin, end = (dt.datetime.combine(day, noon) for day in (first, after - dt.timedelta(1)))
    # A point lies half a day from the next, so that an event is near one at most.
    step, reach = INTERVAL * 60_000_000, TOLERANCE * 60_000_000
    since = f"(epoch_us(time) - epoch_us(TIMESTAMP '{begin}') + {reach})"
    last = (end - begin) // dt.timedelta(minutes=INTERVAL)
    return f"""
        SELECT pcod, TIMESTAMP '{begin}' + point * INTERVAL {INTERVAL} MINUTE AS datetime, value FROM (
            SELECT location, point, count(*) AS value FROM (
                SELECT point, arg_min(location, (abs(apart), apart, location)) AS location FROM (
                    SELECT subscriber, location, {since} // {step} AS point, {since} % {step} - {reach} AS apart
                    FROM ({files.located(", time")})
                ) WHERE point BETWEEN 0 AND {last} AND apart <= {reach} GROUP BY subscriber, point
            ) GROUP BY location, point HAVING count(*) > {FLOOR}
        ) JOIN {files.regions("admin3")} USING (location) ORDER BY pcod, datetime
    """


def population_estimate(files: Files) -> str:
    """Weigh the week's residents of each district by their home of one day."""
    return f"""
        WITH homes AS MATERIALIZED ({daily_location(files)}), weights AS (
            SELECT location AS home, weight, weight / residents AS own FROM (
                SELECT location, count(*) AS residents FROM homes GROUP BY location
            ) JOIN {files.regions("admin3")} USING (location) JOIN {files.weights()} USING (pcod)
        ), everybody AS (
            SELECT sum(weight) / (SELECT count(*) FROM homes) AS ratio FROM {files.weights()}
        ), by_home AS (
            SELECT located.location, homes.location AS home, count(*) AS people
            FROM ({modal_of_all_days(files)}) AS located LEFT JOIN homes USING (subscriber) GROUP BY ALL
        ), sums AS (
            SELECT location, sum(people) AS people,
                coalesce(sum(people) FILTER (own IS NOT NULL AND people > {FLOOR}), 0) AS known,
                coalesce(sum(people * own) FILTER (people > {FLOOR}), 0) AS weighted
            FROM by_home LEFT JOIN weights USING (home) GROUP BY location HAVING sum(people) > {FLOOR}
        )
        SELECT pcod, people AS value,
            weighted + CASE WHEN people > known
                THEN (people - known) * CASE WHEN known > 0 THEN weighted / known ELSE ratio END ELSE 0 END
                AS weighted_value,
            people AS subscribers,
            CASE WHEN people = known OR people - known > {FLOOR} THEN known / people END AS coverage
        FROM sums CROSS JOIN everybody JOIN {files.regions("admin3")} USING (location) ORDER BY pcod
    """


def monthly_location(files: Files) -> str:
    return f"""
        SELECT subscriber, arg_max(location, (days, latest, -location)) AS location FROM (
            SELECT subscriber, location, count(*) AS days, max(day) AS latest
            FROM ({stays_by_day(files)}) GROUP BY subscriber, location
        ) GROUP BY subscriber HAVING sum(days) >= {MINIMUM_DAYS}
    """


def stay_durations(files: Files) -> str:
    """Count people by their home and longest stay of the second day, with its hours.

    Days begin at midnight on a clock of UTC. No two regions overlap, so that an event has one.
    """
    first, _ = files.windows[0]
    day = first + dt.timedelta(1)
    minute = 60_000_000
    return f"""
        WITH steps AS (
            SELECT subscriber, location, epoch_us(time) AS moment,
                lag(location) OVER events AS before, moment - lag(moment) OVER events AS since,
                lead(location) OVER events AS after, lead(moment) OVER events - moment AS until
            FROM ({files.located(", time")})
            WINDOW events AS (PARTITION BY subscriber ORDER BY time, location)
        ), runs AS (
            SELECT *, before IS DISTINCT FROM location OR since > {STAY_GAP * minute} AS starts,
                after IS DISTINCT FROM location OR until > {STAY_GAP * minute} AS ends,
                count(*) FILTER (starts) OVER (
                    PARTITION BY subscriber ORDER BY moment, location ROWS UNBOUNDED PRECEDING
                ) AS run
            FROM steps
        ), spans AS (
            SELECT subscriber, any_value(location) AS location, max(moment) AS latest,
                min(moment) - sum(CASE WHEN since IS NULL
                    THEN least({PAD * minute}, (moment - epoch_us(TIMESTAMP '{first}')) // 2)
                    WHEN before = location OR since > {MOVE_GAP * minute} THEN {PAD * minute} ELSE 0 END
                ) FILTER (starts) AS start,
                max(moment) + sum(CASE WHEN until IS NOT NULL AND (after = location OR until > {MOVE_GAP * minute})
                    THEN {PAD * minute} ELSE 0 END) FILTER (ends) AS stop
            FROM runs GROUP BY subscriber, run
        ), inside AS (
            SELECT subscriber, location,
                sum(least(stop, epoch_us(TIMESTAMP '{day + dt.timedelta(1)}'))
                    - greatest(start, epoch_us(TIMESTAMP '{day}'))) AS stayed
            FROM spans
            WHERE latest - start > {MIN_STAY * minute}
                AND start < epoch_us(TIMESTAMP '{day + dt.timedelta(1)}') AND stop > epoch_us(TIMESTAMP '{day}')
            GROUP BY subscriber, location
        ), longest AS (
            SELECT subscriber, arg_max(location, (stayed, -location)) AS location, max(stayed) / 3.6e9 AS hours
            FROM inside GROUP BY subscriber
        )
        SELECT a.pcod AS pcod_from, b.pcod AS pcod_to, value, mean_hours, stddev_hours FROM (
            SELECT homes.location AS location_from, longest.location AS location_to, count(*) AS value,
                avg(hours) AS mean_hours, stddev_samp(hours) AS stddev_hours
            FROM ({daily_location(files)}) AS homes JOIN longest USING (subscriber)
            GROUP BY ALL HAVING count(*) > {FLOOR}
        ) JOIN {files.regions("admin3")} AS a ON a.location = location_from
        JOIN {files.regions("admin3")} AS b ON b.location = location_to ORDER BY pcod_from, pcod_to
    """
