"""Ask the API once for all that a crisis page shows."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import flowclient
from flowclient.pages.asking import (
    DAY,
    EVENT_TYPES,
    answers_of,
    areas_of,
    available_days,
    counts_of,
    daily,
    days_between,
    homes,
    movers,
    movers_of,
    moves_of,
    outcomes_of,
    residents,
    versions,
)
from flowclient.pages.data import LOWEST_FLOOR, WEEK, Counts, CrisisData
from flowclient.values import DateLike, iso_date

if TYPE_CHECKING:
    from flowclient.api_query import APIQuery
    from flowclient.connection import Connection


def collect_crisis(
    *,
    connection: Connection,
    event: DateLike,
    baseline_weeks: int = 2,
    until: DateLike | None = None,
    aggregation_unit: str = "admin3",
    title: str | Mapping[str, str] = "",
    disable_progress: bool | None = None,
) -> CrisisData:
    """Ask for residents before and since an event, moves between areas, and phone use.

    Periods are tumbling: the baseline, days, and weeks from the event's day. A week is asked for when it is over
    and all its days are loaded.

    Parameters
    ----------
    connection : Connection
        The server. The token needs the rights to ``spatial_aggregate`` of ``modal_location`` and of
        ``daily_location``, to ``flows``, ``outflows``, ``inflows`` and ``displaced_counts`` of homes, and ``geography``, at the unit; to ``unique_subscriber_counts`` at
        ``admin0``; and ``get_available_dates``.
    event : DateLike
        Day of the event, the first of the first week.
    baseline_weeks : int
        Weeks before the event that are compared with, 1 to 52.
    until : DateLike, optional
        The first day that no longer counts; by default the day after the last day with data.
    aggregation_unit : str
        ``admin1`` to ``admin3``.
    title : str or mapping
        Name of the event, one for all languages or by language, such as ``{"en": "Flood, north-west"}``.
    disable_progress : bool, optional
        As in :meth:`APIQuery.get_result`.

    Returns
    -------
    CrisisData
        For :func:`render`; nothing is asked again.

    Raises
    ------
    ValueError
        If there is no day with data before the event, or none since.
    FlowclientConnectionError
        If the server cannot be reached or refuses a query.
    """
    asked = crisis_questions(
        connection=connection,
        event=event,
        baseline_weeks=baseline_weeks,
        until=until,
        aggregation_unit=aggregation_unit,
    )
    answers = answers_of(asked.country, disable_progress)
    # The country's numbers come first: of a total and its parts, rows of the later may be withheld.
    answers |= answers_of(asked.daily, disable_progress)
    # These come last: where they would tell the rest of an answer above, they are what is withheld.
    answers |= answers_of(asked.outcomes, disable_progress)
    queries = asked.country | asked.daily | asked.outcomes
    explained = asked.country["before"].explain()
    unit, struck, days = aggregation_unit, asked.event, asked.days
    geography = flowclient.get_geography(connection=connection, aggregation_unit=unit, format="geopandas")

    def counts(name: str, first: datetime.date, after_last: datetime.date) -> Counts:
        if name not in answers:
            return Counts(first, after_last - DAY, None)
        return counts_of(answers[name], first, after_last - DAY, queries[name].query_id)

    floor = int(explained.get("floor", LOWEST_FLOOR))
    before = counts("before", days[0], struck)
    weeks = tuple(counts(f"week {week}", week, week + WEEK) for week in asked.weeks)
    last = next((week for week in reversed(weeks) if week.values is not None), None)
    return CrisisData(
        title={"": title} if isinstance(title, str) else dict(title),
        unit=unit,
        event=struck,
        floor=floor,
        areas=tuple(areas_of(geography)),
        before=before,
        weeks=weeks,
        days=tuple(counts(f"day {day}", day, day + DAY) for day in days),
        use={
            day: int(answers[f"use {day}"]["value"].iloc[0])
            for day in days
            if f"use {day}" in answers and len(answers[f"use {day}"])
        },
        moves=tuple(moves_of(answers.get("moves"))),
        movers=movers_of(answers, before, last, floor),
        outcomes=outcomes_of(answers["displaced"], len(asked.complete)) if asked.complete else None,
        days_used={name: tuple(sorted(found.intersection(days))) for name, found in asked.available.items()},
        days_missing={
            name: tuple(day for day in days if day not in asked.available.get(name, ()))
            for name in EVENT_TYPES
        },
        query_ids={name: str(query.query_id) for name, query in queries.items()},
        made=datetime.datetime.now().astimezone().replace(microsecond=0),
        versions=versions(connection),
    )


@dataclass(frozen=True)
class CrisisQuestions:
    """Hold the questions of a crisis page: about the country, then about days by area."""

    event: datetime.date
    days: list[datetime.date]
    weeks: list[datetime.date]
    complete: list[datetime.date]
    available: Mapping[str, set[datetime.date]]
    country: dict[str, APIQuery]
    daily: dict[str, APIQuery]
    outcomes: dict[str, APIQuery]


def crisis_questions(
    *,
    connection: Connection,
    event: DateLike,
    baseline_weeks: int = 2,
    until: DateLike | None = None,
    aggregation_unit: str = "admin3",
) -> CrisisQuestions:
    """Return the questions of :func:`collect_crisis` without asking them.

    Arguments and errors are those of that function.
    """
    if not 1 <= baseline_weeks <= 52:
        raise ValueError(f"baseline_weeks = {baseline_weeks}: must be from 1 to 52.")
    if aggregation_unit not in ("admin1", "admin2", "admin3"):
        raise ValueError(
            f"aggregation_unit = '{aggregation_unit}': must be one of 'admin1', 'admin2', 'admin3'."
        )
    struck = datetime.date.fromisoformat(iso_date(event, "event"))
    start = struck - baseline_weeks * WEEK
    available = available_days(connection)
    loaded = set.intersection(*(available.get(name, set()) for name in EVENT_TYPES))
    end = (
        max(loaded, default=struck) + DAY
        if until is None
        else datetime.date.fromisoformat(iso_date(until, "until"))
    )
    days = days_between(start, end)
    baseline = [day for day in days if day < struck and day in loaded]
    if not baseline:
        raise ValueError(f"event = {struck}: no day of the {baseline_weeks} weeks before has data.")
    if not any(day in loaded for day in days if day >= struck):
        raise ValueError(f"event = {struck}: no day from then to before {end} has data.")

    unit = aggregation_unit
    weeks = [struck + n * WEEK for n in range((end - struck) // WEEK)]
    complete = [week for week in weeks if loaded.issuperset(days_between(week, week + WEEK))]
    asked: dict[str, APIQuery] = {"before": residents(connection, baseline, unit)}
    asked |= {
        f"week {week}": residents(connection, days_between(week, week + WEEK), unit) for week in complete
    }
    # Totals come before their parts, of which rows of the later may be withheld.
    parts: dict[str, APIQuery] = {}
    if complete:
        ends = homes(baseline, unit), homes(days_between(complete[-1], complete[-1] + WEEK), unit)
        asked |= movers(connection, *ends)
        parts["moves"] = flowclient.flows(connection=connection, from_location=ends[0], to_location=ends[1])
    with_data = sorted(loaded.intersection(days))
    for day in with_data:
        asked[f"use {day}"] = flowclient.unique_subscriber_counts(
            connection=connection, start_date=day, end_date=day + DAY, aggregation_unit="admin0"
        )
    return CrisisQuestions(
        event=struck,
        days=days,
        weeks=weeks,
        complete=complete,
        available=available,
        country=asked,
        daily=parts | {f"day {day}": daily(connection, day, unit) for day in with_data},
        outcomes={"displaced": _displaced(connection, struck, baseline, complete, unit)} if complete else {},
    )


def _displaced(
    connection: Connection,
    struck: datetime.date,
    baseline: list[datetime.date],
    complete: list[datetime.date],
    unit: str,
) -> APIQuery:
    """Ask who is elsewhere, back or silent by week, and how usual that is.

    Usual is the last week before the event, compared with the weeks before it; where one of both has no data, nothing
    is said of what is usual.
    """
    earlier = [day for day in baseline if day < struck - WEEK]
    last = [day for day in baseline if day >= struck - WEEK]
    normal = None
    if earlier and last:
        normal = flowclient.displacement_status_spec(
            reference_location=homes(earlier, unit), locations=[homes(last, unit)]
        )
    return flowclient.displaced_counts(
        connection=connection,
        displacement_status=flowclient.displacement_status_spec(
            reference_location=homes(baseline, unit),
            locations=[homes(days_between(week, week + WEEK), unit) for week in complete],
        ),
        normal=normal,
    )
