"""Ask the API once for all that a page of a month's mobility shows."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    residents,
    versions,
)
from flowclient.pages.data import LOWEST_FLOOR, Counts
from flowclient.pages.mobility import ABOVE, COMMUTING, MobilityData, Month, Shares
from flowclient.values import DateLike, iso_date

if TYPE_CHECKING:
    import pandas

    from flowclient.api_query import APIQuery
    from flowclient.connection import Connection


def _box(left: float, bottom: float, right: float, top: float) -> dict[str, Any]:
    corners = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
    return {"type": "Polygon", "coordinates": [corners]}


#: Home is where the evenings and nights are, work where the hours of working days are.
_SCORES: dict[str, Any] = {
    "labels": {"home": _box(-1, -1, -1e-06, 1), "work": _box(0, -1, 1, 1)},
    "tower_day_of_week_scores": {
        **dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday"), 1),
        **dict.fromkeys(("saturday", "sunday"), -1),
    },
    "tower_hour_of_day_scores": [-1] * 7 + [0] + [1] * 9 + [0] * 2 + [-1] * 5,
}


@dataclass(frozen=True)
class MobilityQuestions:
    """Hold the questions of a page of mobility: months first, then days."""

    start: datetime.date
    end: datetime.date
    before: datetime.date
    available: Mapping[str, set[datetime.date]]
    months: dict[str, APIQuery]
    daily: dict[str, APIQuery]


def mobility_questions(
    *, connection: Connection, month: DateLike, aggregation_unit: str = "admin3"
) -> MobilityQuestions:
    """Return the questions of :func:`collect_mobility` without asking them.

    Arguments and errors are those of that function.
    """
    unit = aggregation_unit
    if unit not in ABOVE:
        raise ValueError(f"aggregation_unit = '{unit}': must be one of 'admin1', 'admin2', 'admin3'.")
    first = f"{month}-01" if isinstance(month, str) and re.fullmatch(r"\d{4}-\d\d", month) else month
    start = datetime.date.fromisoformat(iso_date(first, "month")[:10]).replace(day=1)
    end = (start + 31 * DAY).replace(day=1)
    before = (start - DAY).replace(day=1)
    available = available_days(connection)
    loaded = set.intersection(*(available.get(name, set()) for name in EVENT_TYPES))
    days = [day for day in days_between(start, end) if day in loaded]
    earlier = [day for day in days_between(before, start) if day in loaded]
    if not days:
        raise ValueError(f"month = {start:%Y-%m}: no day has data.")

    def active(of: list[datetime.date], at: str) -> APIQuery:
        return flowclient.active_residents(
            connection=connection,
            start_date=of[0],
            end_date=of[-1] + DAY,
            reference_location=homes(of, at),
        )

    asked: dict[str, APIQuery] = {}
    for first, of in ((before, earlier), (start, days)):
        if of:
            asked[f"residents {first}"] = residents(connection, of, unit)
            # Of a total and its parts, rows of the later may be withheld.
            asked[f"active_above {first}"] = active(of, ABOVE[unit])
            asked[f"active {first}"] = active(of, unit)
    parts: dict[str, APIQuery] = {}
    if earlier:
        ends = homes(earlier, unit), homes(days, unit)
        asked |= movers(connection, *ends)
        parts["moves"] = flowclient.flows(connection=connection, from_location=ends[0], to_location=ends[1])
    if ABOVE[unit] != "admin0":
        asked[f"active_country {start}"] = active(days, "admin0")
    asked["commuting"] = flowclient.meaningful_locations_between_label_od_matrix(
        connection=connection,
        start_date=days[0],
        end_date=days[-1] + DAY,
        aggregation_unit=COMMUTING,
        label_a="home",
        label_b="work",
        **_SCORES,
    )
    asked |= {f"present {day}": daily(connection, day, "admin0") for day in days}
    return MobilityQuestions(
        start=start,
        end=end,
        before=before,
        available=available,
        months=asked,
        daily=parts | {f"day {day}": daily(connection, day, unit) for day in days},
    )


def collect_mobility(
    *,
    connection: Connection,
    month: DateLike,
    aggregation_unit: str = "admin3",
    title: str | Mapping[str, str] = "",
    disable_progress: bool | None = None,
) -> MobilityData:
    """Ask for a month's residents, relocations, presence by day and commuting.

    Homes are of the days with data. Each number comes with the share of residents that was active, to correct it
    for phone use.

    Parameters
    ----------
    connection : Connection
        The server. The token needs the rights that ``python -m flowclient.reports check`` names.
    month : DateLike
        The month, such as ``2016-02``, or any day of it; it is compared with the month before.
    aggregation_unit : str
        ``admin1`` to ``admin3``.
    title : str or mapping
        Name of the page, one for all languages or by language.
    disable_progress : bool, optional
        As in :meth:`APIQuery.get_result`.

    Returns
    -------
    MobilityData
        For :func:`render_mobility`; nothing is asked again.

    Raises
    ------
    ValueError
        If no day of the month has data.
    FlowclientConnectionError
        If the server cannot be reached or refuses a query.
    """
    asked = mobility_questions(connection=connection, month=month, aggregation_unit=aggregation_unit)
    answers = answers_of(asked.months, disable_progress)
    answers |= answers_of(asked.daily, disable_progress)
    queries = asked.months | asked.daily
    unit, start, end, before = aggregation_unit, asked.start, asked.end, asked.before
    explained = asked.months[f"residents {start}"].explain()
    days = days_between(start, end)

    def counts(name: str, first: datetime.date, after_last: datetime.date) -> Counts:
        if name not in answers:
            return Counts(first, after_last - DAY, None)
        return counts_of(answers[name], first, after_last - DAY, queries[name].query_id)

    def of_month(first: datetime.date, after_last: datetime.date) -> Month:
        shares = {
            level: _shares(answers[name])
            for level, name in (
                (unit, f"active {first}"),
                (ABOVE[unit], f"active_above {first}"),
                ("admin0", f"active_country {first}"),
            )
            if name in answers
        }
        return Month(counts(f"residents {first}", first, after_last), shares)

    def geography(at: str) -> Any:
        return flowclient.get_geography(connection=connection, aggregation_unit=at, format="geopandas")

    areas = tuple(areas_of(geography(unit)))
    above = areas if unit == COMMUTING else tuple(areas_of(geography(COMMUTING)))
    both = days_between(before, end)
    floor = int(explained.get("floor", LOWEST_FLOOR))
    earlier, later = of_month(before, start), of_month(start, end)
    return MobilityData(
        title={"": title} if isinstance(title, str) else dict(title),
        unit=unit,
        floor=floor,
        areas=areas,
        before=earlier,
        month=later,
        days=tuple(counts(f"day {day}", day, day + DAY) for day in days),
        present={
            day: int(answers[f"present {day}"]["value"].iloc[0])
            for day in days
            if f"present {day}" in answers and len(answers[f"present {day}"])
        },
        moves=tuple(moves_of(answers.get("moves"))),
        movers=movers_of(answers, earlier.residents, later.residents, floor),
        commutes=tuple(moves_of(answers["commuting"])),
        names={area.pcod: area.name for area in above},
        days_used={name: tuple(sorted(found.intersection(both))) for name, found in asked.available.items()},
        days_missing={
            name: tuple(day for day in both if day not in asked.available.get(name, ()))
            for name in EVENT_TYPES
        },
        query_ids={name: str(query.query_id) for name, query in queries.items()},
        made=datetime.datetime.now().astimezone().replace(microsecond=0),
        versions=versions(connection),
    )


def _shares(answer: pandas.DataFrame) -> Shares:
    found: dict[str, dict[datetime.date, float]] = {}
    rows: Iterable[tuple[Any, Any, Any]] = zip(
        answer["pcod"], answer["date"], answer["active_share"], strict=True
    )
    for pcod, date, share in rows:
        # A share that is withheld is no number.
        if share == share and share is not None:
            day = datetime.date.fromisoformat(str(date)[:10])
            found.setdefault(str(pcod), {})[day] = float(share)
    return found
