"""Report what is loaded by event type, and the state of recent days."""

import datetime as dt
from typing import Any

from psycopg2.extensions import cursor as Cursor

from flowetl import records
from flowetl.deployment import Deployment
from flowetl.errors import LoadError
from flowetl.events import CDR_TYPES
from flowetl.grown import grown
from flowetl.moneysource import MONEY, MoneySource
from flowetl.readers import place_of
from flowetl.schedules import without_file
from flowetl.source import Source, days

SHOWN_DAYS = 14
LATE = "late records have come and are kept apart; the command run loads the day with them"
INTERRUPTED = "its process was stopped; the day is as it was before, and the next run loads it"


def coverage(deployment: Deployment) -> list[dict[str, Any]]:
    """Summarise each event type: visible days, first, last, rows, rejects, problems.

    Problems are days whose newest load is not visible.
    """
    found = []
    money = [MONEY] if deployment.money_sources() else []
    with deployment.connect() as connection, connection.cursor() as cursor:
        for cdr_type in (*CDR_TYPES, *money):
            visible = "true" if cdr_type == MONEY else "load_id IN (SELECT load_id FROM etl.current_loads)"
            cursor.execute(
                "SELECT count(*), min(cdr_date), max(cdr_date), coalesce(sum(rows), 0)::bigint, "  # noqa: S608 - SQL of ours
                "coalesce(sum(rejects), 0)::bigint FROM etl.loads WHERE cdr_type = %s "
                f"AND state = 'ingested' AND {visible}",
                (cdr_type,),
            )
            days, first, last, rows, rejects = cursor.fetchone() or (0, None, None, 0, 0)
            cursor.execute(
                "SELECT cdr_date, state, note, started FROM (SELECT DISTINCT ON (cdr_date) * FROM etl.loads "
                "WHERE cdr_type = %s ORDER BY cdr_date, started DESC) AS newest "
                "WHERE state NOT IN ('ingested', 'superseded') ORDER BY cdr_date",
                (cdr_type,),
            )
            problems = []
            for date, recorded, note, started in cursor.fetchall():
                state, cause = _as_it_is(cursor, cdr_type, date, recorded, note)
                problems.append({"date": date, "state": state, "note": cause, "started": started})
            found.append(
                {
                    "cdr_type": cdr_type,
                    "days": days,
                    "first": first,
                    "last": last,
                    "rows": rows,
                    "rejects": rejects,
                    "problems": problems,
                }
            )
    return found


def _as_it_is(
    cursor: Cursor, cdr_type: str, date: dt.date, recorded: str, note: str | None
) -> tuple[str, str | None]:
    """Return a load's state and note, corrected for killed loads.

    A killed load stays recorded as under way; only its lock tells.
    """
    if recorded in records.TRANSIENT_STATES and not records.is_held(cursor, cdr_type, date):
        return "failed", INTERRUPTED
    return recorded, note


def calendar(deployment: Deployment, shown: int = SHOWN_DAYS) -> list[dict[str, Any]]:
    """Return the state and reason of each source's last days, up to its end.

    ``loaded``; ``loading`` while a loader holds the day; ``failed``; ``held`` back until accepted; ``dropped``;
    ``absent`` (the operator has no file); ``due``: its file has arrived and the next run loads it. Of a day that is
    over and whose file has not arrived: ``waiting`` before its first run, ``late`` while that run may wait,
    ``missing`` afterwards.
    """
    today = dt.datetime.now(deployment.zone).date()
    found = []
    with deployment.connect() as connection, connection.cursor() as cursor:
        for source in deployment.all_sources():
            last = min(source.end or today, today - dt.timedelta(days=1))
            first = max(source.start, last - dt.timedelta(days=shown - 1))
            if last < first:
                continue
            known = _known(cursor, source.cdr_type, first, last)
            if isinstance(source, Source) and source.late.action == "quarantine":
                visible = {date for date, day in known.items() if day.get("visible")}
                for date in grown(cursor, deployment, source, visible, last):
                    known[date] |= {"late": True}
            for date in days(first, last):
                state, reason = _of_day(cursor, deployment, source, date, known.get(date))
                found.append(
                    {
                        "source": source.name,
                        "cdr_type": source.cdr_type,
                        "date": date,
                        "state": state,
                        "rows": known.get(date, {}).get("rows"),
                        "rejects": known.get(date, {}).get("rejects"),
                        "reason": reason,
                    }
                )
    return found


def _known(cursor: Cursor, cdr_type: str, first: dt.date, last: dt.date) -> dict[dt.date, dict[str, Any]]:
    """Return what is recorded of days: visibility, newest load and remarks."""
    known: dict[dt.date, dict[str, Any]] = {date: {} for date in days(first, last)}
    visible = (
        "etl.loads"
        if cdr_type == MONEY
        else "etl.current_loads JOIN etl.loads USING (load_id, cdr_type, cdr_date)"
    )
    cursor.execute(
        f"SELECT cdr_date, rows, rejects, note FROM {visible} WHERE state = 'ingested' "  # noqa: S608 - names of ours
        "AND cdr_type = %s AND cdr_date BETWEEN %s AND %s",
        (cdr_type, first, last),
    )
    for date, rows, rejects, note in cursor.fetchall():
        known[date] |= {"visible": True, "rows": rows, "rejects": rejects, "doubt": note}
    cursor.execute(
        "SELECT DISTINCT ON (cdr_date) cdr_date, state, note FROM etl.loads "
        "WHERE cdr_type = %s AND cdr_date BETWEEN %s AND %s ORDER BY cdr_date, started DESC",
        (cdr_type, first, last),
    )
    for date, state, note in cursor.fetchall():
        known[date] |= {"state": state, "note": note}
    cursor.execute(
        "SELECT cdr_date, reason FROM etl.absent_days WHERE cdr_type = %s AND cdr_date BETWEEN %s AND %s",
        (cdr_type, first, last),
    )
    for date, reason in cursor.fetchall():
        known[date] |= {"absent": reason}
    for date in records.dropped_days(cursor, cdr_type) & known.keys():
        known[date] |= {"dropped": True}
    return known


def _of_day(
    cursor: Cursor,
    deployment: Deployment,
    source: Source | MoneySource,
    date: dt.date,
    known: dict[str, Any] | None,
) -> tuple[str, str | None]:
    day = known or {}
    recorded = day.get("state", "")
    state, cause = (
        _as_it_is(cursor, source.cdr_type, date, recorded, day.get("note")) if recorded else ("", None)
    )
    if state in records.TRANSIENT_STATES:
        return ("waiting", "for its file") if state == "waiting" else ("loading", None)
    if day.get("visible"):
        if state in ("failed", "held"):
            return "loaded", f"a newer file was not loaded: {cause}"
        return "loaded", LATE if day.get("late") else day.get("doubt")
    if "absent" in day:
        return "absent", day["absent"]
    if day.get("dropped") or state == "dropped":
        return "dropped", "withdrawn; the command run loads it again"
    place = place_of(deployment, source, date)
    try:
        there, missing = place.there(), place.missing
    except LoadError as error:
        there, missing = None, str(error)
    if state in ("failed", "held") and cause != missing:
        return state, cause
    if there:
        return "due", f"{there} is there and the next run loads it"
    return without_file(source, date, deployment.zone, dt.datetime.now(deployment.zone), missing)
