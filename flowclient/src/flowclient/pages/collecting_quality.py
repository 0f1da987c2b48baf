"""Ask the API once for all that a page of data quality shows."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import flowclient
from flowclient.pages.asking import DAY, EVENT_TYPES, days_between, versions
from flowclient.pages.data import WEEK
from flowclient.pages.quality import BAND_WEEKS, REJECTED, SERIES, QualityData, Silence, TypeQuality
from flowclient.values import DateLike, iso_date

#: Weeks before a day whose same weekdays say how many events a cell usually has.
SILENCE_WEEKS = 4

if TYPE_CHECKING:
    import pandas

    from flowclient.api_query import APIQuery
    from flowclient.connection import Connection


def collect_quality(
    *,
    connection: Connection,
    until: DateLike | None = None,
    weeks: int = 4,
    late_hours: int = 24,
    aggregation_unit: str | None = "admin3",
    title: str | Mapping[str, str] = "",
) -> QualityData:
    """Ask for loaded days, refused records and the outcomes of checks.

    Parameters
    ----------
    connection : Connection
        The server. The token needs ``get_available_dates`` and ``get_qa_checks``, and for silent cells
        ``network_silence`` and ``geography`` at the unit.
    until : DateLike, optional
        The first day that is not shown; by default the day after the last day with data.
    weeks : int
        Weeks that are shown, 1 to 12. The eight weeks before each day say what is usual.
    late_hours : int
        Hours after a day's end from which its first load was late, in this process's zone. Days that were over before
        the first load of their type are never late.
    aggregation_unit : str or None
        Unit of the areas with silent cells of the last week: ``admin1`` to ``admin3``, or None to ask for none.
    title : str or mapping
        Name of the page, one for all languages or by language.

    Returns
    -------
    QualityData
        For :func:`render_quality`; nothing is asked again.

    Raises
    ------
    ValueError
        If no day is loaded.
    FlowclientConnectionError
        If the server cannot be reached or refuses.
    """
    if not 1 <= weeks <= 12:
        raise ValueError(f"weeks = {weeks}: must be from 1 to 12.")
    loads: dict[str, dict[datetime.date, Mapping[str, Any]]] = {}
    for load in flowclient.get_loads(connection=connection)["loads"]:
        day = datetime.date.fromisoformat(load["date"])
        loads.setdefault(load["event_type"], {})[day] = load
    if not loads:
        raise ValueError("The server has no day with data.")
    end = (
        max(day for days in loads.values() for day in days) + DAY
        if until is None
        else datetime.date.fromisoformat(iso_date(until, "until"))
    )
    shown = days_between(end - weeks * WEEK, end)
    checks: dict[str, list[str]] = {}
    for each in flowclient.get_available_qa_checks(connection=connection):
        checks.setdefault(each["cdr_type"], []).append(each["type_of_query_or_check"])

    def numbers(event_type: str, check: str, first: datetime.date) -> dict[datetime.date, float]:
        try:
            outcomes = flowclient.get_qa_check_outcomes(
                connection=connection,
                event_type=event_type,
                check_type=check,
                start_date=first,
                end_date=end - DAY,
            )
        except FileNotFoundError:
            return {}
        # Of a day that was withdrawn the outcomes stay, but not the events.
        return {
            day: float(each["outcome"])
            for each in outcomes
            if (day := datetime.date.fromisoformat(each["cdr_date"])) in loads[event_type]
            and each["outcome"] not in ("None", "")
        }

    types = []
    for event_type, days in sorted(loads.items()):
        known = checks.get(event_type, [])
        reasons = [name for name in known if name.startswith(f"{REJECTED}_")]
        types.append(
            TypeQuality(
                name=event_type,
                states=_states(days, shown, datetime.timedelta(hours=late_hours)),
                numbers={
                    check: numbers(event_type, check, shown[0] - BAND_WEEKS * WEEK)
                    for check in SERIES
                    if check in known
                },
                rejects={
                    reason.removeprefix(f"{REJECTED}_"): {
                        day: int(value)
                        for day, value in numbers(event_type, reason, shown[0]).items()
                        if value
                    }
                    for reason in reasons
                },
            )
        )
    silences, query_ids = None, dict[str, str]()
    if aggregation_unit is not None and _silence_can_be_told(loads, end):
        query = silence_question(connection=connection, until=end, aggregation_unit=aggregation_unit)
        silences = _silences(
            query.get_result(poll_interval=None, disable_progress=True), connection, aggregation_unit
        )
        query_ids = {"silence": str(query.query_id)}
    return QualityData(
        title={"": title} if isinstance(title, str) else dict(title),
        first=shown[0],
        last=shown[-1],
        types=tuple(types),
        made=datetime.datetime.now().astimezone().replace(microsecond=0),
        versions=versions(connection),
        silences=silences,
        query_ids=query_ids,
    )


def silence_question(
    *,
    connection: Connection,
    until: DateLike,
    aggregation_unit: str,
) -> APIQuery:
    """Return the query for silent cells of a week, without asking it."""
    end = datetime.date.fromisoformat(iso_date(until, "until"))
    return flowclient.network_silence(
        connection=connection,
        start_date=end - WEEK,
        end_date=end,
        aggregation_unit=aggregation_unit,
        lookback_weeks=SILENCE_WEEKS,
    )


def _silence_can_be_told(loads: Mapping[str, Mapping[datetime.date, Any]], end: datetime.date) -> bool:
    """Return whether the last week and the weeks before have days.

    The server refuses a question about a time without any data.
    """
    known = {day for name in EVENT_TYPES for day in loads.get(name, {})}
    start = end - WEEK
    before = any(start - SILENCE_WEEKS * WEEK <= day < start for day in known)
    return before and any(start <= day < end for day in known)


def _silences(answer: pandas.DataFrame, connection: Connection, unit: str) -> tuple[Silence, ...]:
    geography = flowclient.get_geography(connection=connection, aggregation_unit=unit)
    areas = (feature["properties"] for feature in geography["features"])
    names = {area["pcod"]: area.get("name") or area["pcod"] for area in areas}
    columns = (answer[name] for name in ("date", "pcod", "cells", "silent", "ratio"))
    return tuple(
        Silence(
            day.date(),
            pcod,
            names.get(pcod, pcod),
            int(cells),
            int(silent),
            None if math.isnan(ratio) else float(ratio),
        )
        for day, pcod, cells, silent, ratio in sorted(zip(*columns, strict=True), key=lambda row: row[:2])
    )


def _states(
    loads: Mapping[datetime.date, Mapping[str, Any]],
    shown: list[datetime.date],
    patience: datetime.timedelta,
) -> dict[datetime.date, str]:
    began = min(_first(load) for load in loads.values())

    def state(day: datetime.date) -> str:
        load = loads.get(day)
        if load is None:
            return "missing" if day > min(loads) else "before"
        over = datetime.datetime.combine(day + DAY, datetime.time()).astimezone()
        if over > began and _first(load) > over + patience:
            return "late"
        # An older server does not tell how often.
        return "again" if load.get("times_loaded", 1) > 1 else "loaded"

    return {day: state(day) for day in shown}


def _first(load: Mapping[str, Any]) -> datetime.datetime:
    told = load.get("first_loaded_at") or load["loaded_at"]
    return datetime.datetime.fromisoformat(told)
