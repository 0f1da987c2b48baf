"""The nine questions as specifications that both engines accept."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from benchmarks.country import EVENT_TYPES, START, Size

UNIT = "admin3"
Spec = dict[str, Any]
#: First day and day after the last.
Window = tuple[dt.date, dt.date]


#: Parts that stand ready for every loaded day, as the setting FLOWMACHINE_STANDING lists them.
STANDING: list[Spec] = [
    {
        "query_kind": "daily_location",
        "method": method,
        "aggregation_unit": UNIT,
        "event_types": list(EVENT_TYPES),
    }
    for method in ("last", "most-common")
]


@dataclass(frozen=True)
class Question:
    """Hold a specification by a short name.

    ``windows`` are the pairs (first day, day after the last) that it reads.
    """

    name: str
    title: str
    spec: Spec
    windows: tuple[Window, ...]


def questions(size: Size, longest: int = 7) -> list[Question]:
    """Return the nine questions on the first ``longest`` days of the data.

    Flows use as many more days. A shorter period is split into halves.
    """
    week = min(longest, max(size.days // 2, 1))
    start, middle = START, START + dt.timedelta(week)
    end = middle + dt.timedelta(min(week, size.days - week))
    window = {"start_date": start.isoformat(), "end_date": middle.isoformat()}
    read = {"event_types": list(EVENT_TYPES)}
    day = start + dt.timedelta(1)
    one_day = ((day, day + dt.timedelta(1)),)
    one_week = ((start, middle),)

    def counted(locations: Spec) -> Spec:
        return {"query_kind": "spatial_aggregate", "locations": locations}

    def daily(date: dt.date, method: str) -> Spec:
        return {
            "query_kind": "daily_location",
            "date": date.isoformat(),
            "method": method,
            "aggregation_unit": UNIT,
            **read,
        }

    def modal(first: dt.date, after: dt.date) -> Spec:
        days = [first + dt.timedelta(n) for n in range((after - first).days)]
        return {"query_kind": "modal_location", "locations": [daily(date, "most-common") for date in days]}

    return [
        Question("daily_last", "Daily location, last", counted(daily(day, "last")), one_day),
        Question(
            "daily_most_common",
            "Daily location, most common",
            counted(daily(day, "most-common")),
            one_day,
        ),
        Question("modal", f"Modal location, {week} days", counted(modal(start, middle)), one_week),
        Question(
            "flows",
            f"Flows between modal locations of two periods of {week} days",
            {
                "query_kind": "flows",
                "from_location": modal(start, middle),
                "to_location": modal(middle, end),
            },
            (*one_week, (middle, end)),
        ),
        Question(
            "network_objects",
            "Active cells by hour",
            {
                "query_kind": "total_network_objects",
                **window,
                "aggregation_unit": UNIT,
                "total_by": "hour",
                **read,
            },
            one_week,
        ),
        Question(
            "radius_of_gyration",
            "Mean radius of gyration by daily location",
            {
                "query_kind": "joined_spatial_aggregate",
                "locations": daily(day, "last"),
                "metric": {"query_kind": "radius_of_gyration", **window, **read},
                "method": "avg",
            },
            one_week,
        ),
        Question(
            "unique_subscribers",
            "Unique subscribers",
            {"query_kind": "unique_subscriber_counts", **window, "aggregation_unit": UNIT, **read},
            one_week,
        ),
        Question(
            "event_counts",
            "Events by hour",
            {
                "query_kind": "location_event_counts",
                **window,
                "interval": "hour",
                "direction": "both",
                "aggregation_unit": UNIT,
                **read,
            },
            one_week,
        ),
        Question(
            "trips",
            "Trips between locations",
            {"query_kind": "trips_od_matrix", **window, "aggregation_unit": UNIT, **read},
            one_week,
        ),
    ]
