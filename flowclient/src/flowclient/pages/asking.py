"""Ask what several pages show: homes, residents, days, areas."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import flowclient
from flowclient import operations
from flowclient.pages.data import STATUSES, Area, Counts, Move, Movers, Outcome

if TYPE_CHECKING:
    import pandas

    from flowclient.api_query import APIQuery
    from flowclient.connection import Connection

DAY = datetime.timedelta(days=1)
#: Kinds without event types read these.
EVENT_TYPES = ("calls", "sms")


def available_days(connection: Connection) -> dict[str, set[datetime.date]]:
    """Return the days with data of the event types that pages read."""
    available = flowclient.get_available_dates(connection=connection, event_types=list(EVENT_TYPES))
    return {name: {datetime.date.fromisoformat(day) for day in days} for name, days in available.items()}


def versions(connection: Connection) -> dict[str, str]:
    """Return the versions of the server and the client."""
    description = connection.perform(operations.get_service_description(connection))
    return {
        "FlowKit": str(description.get("info", {}).get("version", "")),
        "flowclient": flowclient.__version__,
    }


def days_between(start: datetime.date, end: datetime.date) -> list[datetime.date]:
    """Return the days from ``start`` to before ``end``."""
    return [start + n * DAY for n in range((end - start).days)]


def homes(days: Iterable[datetime.date], unit: str) -> dict[str, Any]:
    """Return the homes of days that have data; the server refuses any other day."""
    return flowclient.modal_location_spec(
        locations=[
            flowclient.daily_location_spec(date=day, aggregation_unit=unit, method="most-common")
            for day in days
        ]
    )


def daily(connection: Connection, day: datetime.date, unit: str) -> APIQuery:
    located = flowclient.daily_location_spec(date=day, aggregation_unit=unit, method="most-common")
    return flowclient.spatial_aggregate(connection=connection, locations=located)


def answers_of(asked: Mapping[str, APIQuery], disable_progress: bool | None) -> dict[str, pandas.DataFrame]:
    results: list[pandas.DataFrame] = flowclient.gather_results(
        list(asked.values()), poll_interval=None, on_error="raise", disable_progress=disable_progress
    )
    return dict(zip(asked, results, strict=True))


def residents(connection: Connection, days: Iterable[datetime.date], unit: str) -> APIQuery:
    return flowclient.spatial_aggregate(connection=connection, locations=homes(days, unit))


def counts_of(
    answer: pandas.DataFrame, first: datetime.date, last: datetime.date, query_id: str | None
) -> Counts:
    reasons = answer.attrs.get("withheld")
    return Counts(
        first,
        last,
        {str(pcod): int(value) for pcod, value in zip(answer["pcod"], answer["value"], strict=True)},
        None if reasons is None else tuple(reasons),
        query_id,
        tuple(answer.attrs.get("repeats") or ()),
    )


def areas_of(geography: Any) -> Iterable[Area]:
    """Return the areas by name; a server without names gives codes."""
    areas = [
        Area(
            row.pcod,
            getattr(row, "name", None) or row.pcod,
            getattr(row, "parent", None),
            getattr(row, "parent_name", None),
            row.geometry,
        )
        for row in geography.itertuples(index=False)
    ]
    return sorted(areas, key=lambda area: (area.name, area.pcod))


def moves_of(answer: pandas.DataFrame | None) -> Iterable[Move]:
    """Return the moves between two areas, the largest first."""
    if answer is None:
        return []
    rows = zip(answer["pcod_from"], answer["pcod_to"], answer["value"], strict=True)
    # Those who stayed, and those who are not seen in one of the periods, did not move.
    moves = [
        Move(origin, target, round(value))
        for origin, target, value in rows
        if isinstance(origin, str) and isinstance(target, str) and origin != target
    ]
    return sorted(moves, key=lambda move: (-move.value, move.origin, move.target))


def movers(connection: Connection, before: dict[str, Any], after: dict[str, Any]) -> dict[str, APIQuery]:
    """Ask how many left each area, and how many arrived, between two homes."""
    kinds = {"left": flowclient.outflows, "arrived": flowclient.inflows}
    return {
        name: ask(connection=connection, from_location=before, to_location=after, exclude_stayers=True)
        for name, ask in kinds.items()
    }


def movers_of(
    answers: Mapping[str, pandas.DataFrame], before: Counts, after: Counts | None, floor: int
) -> Movers:
    """Return at least how many left and arrived; none where nothing was asked."""

    def counts(name: str, residents: Counts | None) -> dict[str, int]:
        answer = answers.get(name)
        # Those without a home in one of the periods have no place there.
        rows = [] if answer is None else zip(answer["pcod"], answer["value"], strict=True)
        all_ = {} if residents is None else residents.values or {}
        return {
            pcod: _least(int(value), all_.get(pcod), floor) for pcod, value in rows if isinstance(pcod, str)
        }

    return Movers(counts("left", before), counts("arrived", after))


def _least(moved: int, residents: int | None, floor: int) -> int:
    """Return a number that movers exceed or reach, and that tells of no few others.

    Residents less movers are those who stayed, or were silent. Where they are few, the number is so much lower that
    there could be more of them than the floor.
    """
    if residents is None or not 0 < residents - moved <= floor:
        return moved
    return max(residents - floor - 1, 0)


def outcomes_of(answer: pandas.DataFrame, period: int) -> dict[str, Outcome]:
    """Return what became of residents by a period, where anything is told."""
    rows = answer[(answer["period"] == period) & answer["status"].isin(STATUSES)]
    found: dict[str, Outcome] = {}
    columns = (rows[name] for name in ("pcod", "status", "value", "share", "normal_share"))
    for pcod, status, value, share, usual in zip(*columns, strict=True):
        outcome = found.get(pcod, Outcome({}))
        told = (_share(share), _share(usual)) if status == "displaced" else (outcome.share, outcome.usual)
        found[pcod] = Outcome({**outcome.counts, status: int(value)}, *told)
    return found


def _share(value: Any) -> float | None:
    # What is not told is no number, or null.
    return float(value) if isinstance(value, float) and not math.isnan(value) else None
