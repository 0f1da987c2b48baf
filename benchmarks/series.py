"""Ask what honest analysts ask, in series."""

from __future__ import annotations

import datetime as dt
from typing import Any

import flowclient
from benchmarks.country import START, Size
from benchmarks.questions import Spec, questions

SIZE = Size(10_000, 14, 50_000)
DAYS = [START + dt.timedelta(number) for number in range(SIZE.days)]
_DAY = dt.timedelta(1)


def daily(day: dt.date, method: str = "last", unit: str = "admin3", **more: Any) -> Spec:
    located = {"query_kind": "daily_location", "date": day.isoformat(), "method": method}
    return {**located, "aggregation_unit": unit, **more}


def home(first: int, days: int, unit: str = "admin3") -> Spec:
    locations = [daily(day, "most-common", unit) for day in DAYS[first : first + days]]
    return {"query_kind": "modal_location", "locations": locations}


def counted(located: Spec) -> Spec:
    return {"query_kind": "spatial_aggregate", "locations": located}


def seen(day: dt.date, unit: str) -> Spec:
    window = {"start_date": day.isoformat(), "end_date": (day + _DAY).isoformat()}
    return {"query_kind": "unique_subscriber_counts", **window, "aggregation_unit": unit}


def moves(kind: str, first: Spec, second: Spec) -> Spec:
    return {"query_kind": kind, "from_location": first, "to_location": second}


def of_callers(day: dt.date, length: int, hours: tuple[int, int] | None) -> Spec:
    active = {
        "query_kind": "event_count",
        "start_date": day.isoformat(),
        "end_date": (day + length * _DAY).isoformat(),
        "hours": hours and {"start_hour": hours[0], "end_hour": hours[1]},
    }
    return counted(daily(DAYS[-1], subscriber_subset=active))


def series() -> dict[str, list[Spec]]:
    """Return series of questions by name; each is asked of an empty ledger."""
    return {
        "last location by day": [counted(daily(day)) for day in DAYS],
        "last beside most common": [
            counted(daily(day, method)) for day in DAYS for method in ("last", "most-common")
        ],
        "homes of a week, rolling": [counted(home(first, 7)) for first in range(len(DAYS) - 6)],
        "flows from home to day": [moves("flows", home(0, 7), daily(day)) for day in DAYS[7:]],
        "country, then districts": [
            asked for day in DAYS for asked in (seen(day, "admin0"), counted(daily(day, "most-common")))
        ],
        "districts, then country": [
            asked for day in DAYS for asked in (counted(daily(day, "most-common")), seen(day, "admin0"))
        ],
        "coarse to fine": [
            counted(daily(day, unit=unit))
            for day in DAYS
            for unit in ("admin0", "admin1", "admin2", "admin3", "lon-lat")
        ],
        "fine to coarse": [
            counted(daily(day, unit=unit))
            for day in DAYS
            for unit in ("lon-lat", "admin3", "admin2", "admin1", "admin0")
        ],
        "outflows, then flows": [
            moves(kind, home(0, 7), daily(day)) for day in DAYS[7:] for kind in ("outflows", "flows")
        ],
        "flows, then outflows": [
            moves(kind, home(0, 7), daily(day)) for day in DAYS[7:] for kind in ("flows", "outflows")
        ],
        "subsets by day": [of_callers(day, 1, None) for day in DAYS],
        "subsets by night": [of_callers(day, 1, (18, 24)) for day in DAYS],
        "subsets by week, rolling": [of_callers(day, 7, None) for day in DAYS[:7]],
    }


def visited(first: int, days: int) -> Spec:
    """Return where people were most days, by coalescing, for labels."""
    weights = {
        "query_kind": "location_visits",
        "locations": [daily(day, "most-common") for day in DAYS[first : first + days]],
    }
    there = {
        "query_kind": "majority_location",
        "subscriber_location_weights": weights,
        "include_unlocatable": True,
    }
    return {
        "query_kind": "coalesced_location",
        "preferred_location": there,
        "fallback_location": there,
        "subscriber_location_weights": weights,
        "weight_threshold": 1,
    }


def labelled(first: int) -> Spec:
    labels = {
        "query_kind": "mobility_classification",
        "locations": [visited(first, 3), visited(first + 3, 3)],
        "stay_length_threshold": 2,
    }
    located = visited(first + 3, 3)
    return {"query_kind": "labelled_spatial_aggregate", "locations": located, "labels": labels}


def histogram(kind: str, first: int, days: int, bins: Spec, **more: Any) -> Spec:
    """Return a histogram of a metric of some days."""
    window = {"start_date": DAYS[first].isoformat(), "end_date": (DAYS[first] + days * _DAY).isoformat()}
    metric = {"query_kind": kind, **window}
    return {"query_kind": "histogram_aggregate", "metric": metric, "bins": bins, **more}


def listed(*edges: float) -> Spec:
    return {"bin_list": list(edges)}


def of_histograms() -> dict[str, list[Spec]]:
    """Return series of histograms: over time, finer and coarser, of two metrics."""
    weeks = range(len(DAYS) - 6)
    events, radius = "event_count", "radius_of_gyration"
    calls, far = listed(0, 5, 10, 20, 40, 1000), listed(0, 1, 5, 10, 20, 1000)
    return {
        "events by day": [histogram(events, day, 1, listed(0, 2, 4, 8, 1000)) for day in range(len(DAYS))],
        "events of a week, rolling": [histogram(events, first, 7, calls) for first in weeks],
        "radii of a week, rolling": [histogram(radius, first, 7, far) for first in weeks],
        "finer bins": [
            histogram(events, 0, 7, {"n_bins": bins}, range=[0, 40]) for bins in (2, 4, 8, 20, 40)
        ],
        "coarser bins": [
            histogram(radius, 0, 7, {"n_bins": bins}, range=[0, 40]) for bins in (40, 20, 10, 4, 2)
        ],
        "a look without a range, then tidy bins": [
            *(histogram(kind, 0, 7, {"n_bins": 2}) for kind in (events, radius)),
            histogram(events, 0, 7, listed(0, 10, 20, 30, 40, 1000)),
            histogram(radius, 0, 7, listed(0, 5, 10, 20, 50, 1000)),
        ],
        "tidy bins, and others": [
            histogram(events, 0, 7, listed(0, 10, 20, 30, 40, 1000)),
            histogram(events, 0, 7, listed(0, 5, 15, 25, 35, 1000)),
            histogram(events, 0, 7, listed(0, 20, 40, 1000)),
            histogram(radius, 0, 7, listed(0, 5, 10, 20, 50, 1000)),
            histogram(radius, 0, 7, listed(0, 2, 4, 6, 8, 10, 15, 20, 1000)),
            histogram(radius, 0, 7, listed(0, 1, 10, 100, 1000)),
        ],
        "another last edge": [
            histogram(kind, 0, 7, listed(0, 10, 20, 30, last))
            for kind in (events, radius)
            for last in (1000, 500, 10_000)
        ],
    }


def of_sums() -> dict[str, list[Spec]]:
    """Return series of questions whose rows add up to rows of others of the series."""
    weeks = range(len(DAYS) - 6)
    return {
        "two levels by day": [
            counted(daily(day, unit=unit)) for day in DAYS for unit in ("admin3", "admin2")
        ],
        "levels in turn by day": [
            counted(daily(day, unit=("admin3", "admin2")[number % 2])) for number, day in enumerate(DAYS)
        ],
        "two levels of homes of a week, rolling": [
            counted(home(first, 7, unit)) for first in weeks for unit in ("admin3", "admin2")
        ],
        "levels in turn of homes of a week": [
            counted(home(first, 7, ("admin3", "admin2")[first % 2])) for first in weeks
        ],
        "homes of ten days, rolling": [
            counted(home(first, 10, unit)) for first in range(5) for unit in ("admin3", "admin2")
        ],
        "homes of windows that grow": [counted(home(0, days)) for days in range(3, len(DAYS) + 1)],
        "flows between weeks": [
            moves(kind, home(0, 7), home(first, 7)) for first in weeks[1:] for kind in ("flows", "inflows")
        ],
        "flows from day to day": [
            moves(kind, daily(day), daily(day + _DAY)) for day in DAYS[:-1] for kind in ("flows", "outflows")
        ],
        "labels, and everybody": [
            asked for first in range(8) for asked in (labelled(first), counted(visited(first + 3, 3)))
        ],
        "the nine questions": [question.spec for question in questions(SIZE)],
        "the cookbook": cookbook(),
        "the demonstration": talk(),
    }


def modal(first: int, end: int, unit: str = "admin1", method: str = "most-common", **more: Any) -> Spec:
    return flowclient.modal_location_from_dates_spec(
        start_date=DAYS[0] + first * _DAY,
        end_date=DAYS[0] + end * _DAY,
        aggregation_unit=unit,
        method=method,
        **more,
    )


def cookbook() -> list[Spec]:
    """Return the questions of the cookbook's page."""
    night, day = modal(0, 7, hours=(20, 7)), modal(0, 7, hours=(9, 17))
    week: dict[str, Any] = {"start_date": DAYS[0].isoformat(), "end_date": DAYS[7].isoformat()}
    last = modal(0, 7, method="last")
    radius = flowclient.radius_of_gyration_spec(**week)
    phone = flowclient.handset_spec(**week, characteristic="hnd_type", method="most-common")
    return [
        *(seen(date, "admin1") for date in DAYS[:7]),
        moves("flows", modal(0, 3), modal(3, 7)),
        moves("flows", night, day),
        counted(modal(0, 14, method="last")),
        counted(night),
        {"query_kind": "joined_spatial_aggregate", "locations": last, "metric": radius, "method": "avg"},
        {"query_kind": "joined_spatial_aggregate", "locations": last, "metric": phone, "method": "distr"},
        counted(last),
    ]


def talk() -> list[Spec]:
    """Return the questions of the demonstration's notebook, with half of its days."""
    before, after = modal(0, 7, "admin3"), modal(7, 14, "admin3")
    nights = [daily(date, "most-common", hours={"start_hour": 19, "end_hour": 7}) for date in DAYS[7:]]
    status = flowclient.displacement_status_spec(
        reference_location=before, locations=nights, minimum_periods=3
    )
    return [
        counted(before),
        counted(after),
        moves("flows", before, after),
        {"query_kind": "displaced_counts", "displacement_status": status},
    ]
