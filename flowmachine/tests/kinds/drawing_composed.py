"""Hypothesis strategies for more kinds, over worlds of crowds who do alike, so that counts meet the floor from both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Any

from hypothesis import strategies as st

from .world import CELL_NAMES, DAYS, Event, World

#: Times of day that meet at edges: midnight from both sides, whole hours, and a tie within a minute.
CLOCKS = (time(0), time(5, 59, 59), time(6), time(12), time(12, 0, 30), time(20), time(23, 59, 59))

#: How many subscribers do the same: alone, just under and just over the floor.
CROWDS = (1, 2, 15, 16)


def moments() -> st.SearchStrategy[datetime]:
    return st.builds(datetime.combine, st.sampled_from(DAYS), st.sampled_from(CLOCKS))


def events(
    types: Sequence[str] = ("calls", "sms"), cells: Sequence[str | None] = CELL_NAMES, **fields: Any
) -> st.SearchStrategy[Event]:
    """Events of a nameless subscriber."""
    return st.builds(
        Event,
        subscriber=st.just(""),
        time=moments(),
        cell=st.sampled_from(cells),
        type=st.sampled_from(types),
        **fields,
    )


@st.composite
def worlds(
    draw: st.DrawFn,
    event: st.SearchStrategy[Event] | None = None,
    *,
    crowds: Sequence[int] = CROWDS,
    groups: int = 4,
    most: int = 6,
) -> World:
    """Groups of subscribers; those of one group have the same events."""
    event = events() if event is None else event
    everything: list[Event] = []
    for group in range(draw(st.integers(1, groups))):
        doings = draw(st.lists(event, min_size=0, max_size=most))
        for member in range(draw(st.sampled_from(crowds))):
            everything += [replace(doing, subscriber=f"s{group}-{member}") for doing in doings]
    return World(everything)


HOURS = st.sampled_from(
    (
        None,
        {"start_hour": 6, "end_hour": 20},
        {"start_hour": 20, "end_hour": 6},
        {"start_hour": 12, "end_hour": 24},
        {"start_hour": 0, "end_hour": 24},
    )
)

UNITS = st.sampled_from(("admin3", "admin2", "lon-lat"))
EVENT_TYPES = st.sampled_from((None, ["calls"], ["sms", "calls"], ["calls", "mds", "topups"]))
WINDOWS = st.sampled_from(
    (
        ("2016-01-01", "2016-01-04"),
        ("2016-01-01", "2016-01-03"),
        ("2016-01-02 06:00", "2016-01-03 12:00"),
        ("2016-01-02", "2016-01-02 20:00"),
    )
)


@st.composite
def windows(draw: st.DrawFn, *, directed: bool = False) -> dict[str, Any]:
    """Fields of a kind over a window at a unit of its own."""
    start, end = draw(WINDOWS)
    fields = {
        "start_date": start,
        "end_date": end,
        "aggregation_unit": draw(UNITS),
        "event_types": draw(EVENT_TYPES),
        "hours": draw(HOURS),
    }
    if directed:
        fields["direction"] = draw(st.sampled_from(("in", "out", "both")))
        fields["event_types"] = draw(st.sampled_from((None, ["calls"], ["sms"])))
    return fields


@st.composite
def daily(draw: st.DrawFn, unit: str = "admin3", day: int | None = None) -> dict[str, Any]:
    """A spec of a daily location."""
    chosen = draw(st.integers(1, 3)) if day is None else day
    return {
        "query_kind": "daily_location",
        "date": f"2016-01-{chosen:02}",
        "method": draw(st.sampled_from(("last", "most-common"))),
        "aggregation_unit": unit,
    }


@st.composite
def visits(draw: st.DrawFn, unit: str = "admin3") -> dict[str, Any]:
    modal = st.builds(
        lambda locations: {"query_kind": "modal_location", "locations": locations},
        st.lists(daily(unit), min_size=1, max_size=2),
    )
    locations = draw(st.lists(st.one_of(daily(unit), modal), min_size=1, max_size=4))
    return {"query_kind": "location_visits", "locations": locations}


@st.composite
def majority(draw: st.DrawFn, unit: str = "admin3") -> dict[str, Any]:
    return {
        "query_kind": "majority_location",
        "subscriber_location_weights": draw(visits(unit)),
        "minimum_total_weight": draw(st.sampled_from((0.0, 1.5, 2.0, 4.0))),
        "include_unlocatable": draw(st.booleans()),
    }


@st.composite
def coalesced(draw: st.DrawFn, unit: str = "admin3") -> dict[str, Any]:
    return {
        "query_kind": "coalesced_location",
        "preferred_location": draw(majority(unit)),
        "fallback_location": draw(majority(unit)),
        "subscriber_location_weights": draw(visits(unit)),
        "weight_threshold": draw(st.integers(-1, 3)),
    }


@st.composite
def classification(draw: st.DrawFn, unit: str = "admin3") -> dict[str, Any]:
    return {
        "query_kind": "mobility_classification",
        "locations": draw(st.lists(coalesced(unit), min_size=1, max_size=3)),
        "stay_length_threshold": draw(st.integers(0, 4)),
    }


@st.composite
def labelled_places(draw: st.DrawFn) -> dict[str, Any]:
    """Fields of a kind with labels, at whatever unit."""
    unit = draw(UNITS)
    return {"locations": draw(coalesced(unit)), "labels": draw(classification(unit))}


@st.composite
def labelled_moves(draw: st.DrawFn) -> dict[str, Any]:
    unit = draw(UNITS)
    joins = ("inner", "full outer", "left", "right", "left outer", "right outer")
    return {
        "from_location": draw(coalesced(unit)),
        "to_location": draw(coalesced(unit)),
        "labels": draw(classification(unit)),
        "join_type": draw(st.sampled_from(joins)),
    }


@st.composite
def network(draw: st.DrawFn) -> dict[str, Any]:
    total_by = draw(st.sampled_from(("second", "minute", "hour", "day")))
    statistics = ("count", "sum", "avg", "max", "min", "median", "stddev", "variance", "mode")
    return {
        "total_network_objects": {
            "query_kind": "total_network_objects",
            "total_by": total_by,
            **draw(windows()),
        },
        "statistic": draw(st.sampled_from(statistics)),
        "aggregate_by": draw(st.sampled_from(("hour", "day", "month", "year", "century"))),
    }


def _of_kind(kind: str, fields: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return fields.map(lambda spec: {"query_kind": kind} | spec)


#: A strategy of specs for each kind.
COMPOSED_SPECS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "location_visits": UNITS.flatmap(visits),
    "majority_location": UNITS.flatmap(majority),
    "coalesced_location": UNITS.flatmap(coalesced),
    "mobility_classification": UNITS.flatmap(classification),
    **{
        kind: _of_kind(kind, fields)
        for kind, fields in {
            "visited_most_days": windows(),
            "labelled_spatial_aggregate": labelled_places(),
            "labelled_flows": labelled_moves(),
            "consecutive_trips_od_matrix": windows(),
            "location_introversion": windows(directed=True),
            "aggregate_network_objects": network(),
        }.items()
    },
}
