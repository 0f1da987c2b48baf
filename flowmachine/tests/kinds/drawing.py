"""Draw worlds and specs full of ties, nulls, midnights and cells in two places."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from hypothesis import strategies as st

from .land import CELL_NAMES, DEVICES
from .world import DAYS, TYPES, Event, World

Spec = dict[str, Any]

CLOCKS = ("00:00:00", "00:00:01", "07:59:59", "08:00:00", "12:00:00", "12:00:30", "20:00:00", "23:59:59")
TIMES = [datetime.fromisoformat(f"{day} {clock}") for day in DAYS for clock in CLOCKS]

#: The fields of a unit: cells where they are, or where tables put them.
UNITS: tuple[Spec, ...] = tuple({"aggregation_unit": unit} for unit in ("admin3", "admin2", "lon-lat"))

LON_LAT = tuple(unit for unit in UNITS if unit["aggregation_unit"] == "lon-lat")

#: So many people do the same, so that sums of two may lie at the limit of what is released.
CROWDS = (1, 7, 8, 15, 16)

#: Among them decimals that no double is equal to, and of which sums and differences are edges of bins.
amounts = st.sampled_from([None, 0.0, 0.1, 0.15, 0.2, 0.57, 1.5, 2.0, 2.5, 10.0])


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an event without its subscriber."""
    return {
        "time": draw(st.sampled_from(TIMES)),
        "cell": draw(st.sampled_from(CELL_NAMES)),
        "type": draw(st.sampled_from(("calls", "calls", "sms", "mds", "topups"))),
        "id": draw(st.sampled_from("abc")),
        "outgoing": draw(st.sampled_from((True, False, None))),
        "counterpart": draw(st.sampled_from((None, "self", "x", "y", "z"))),
        "tac": draw(st.sampled_from((None, 99999999, *(device[0] for device in DEVICES)))),
        "recharge_amount": draw(amounts),
        "pre_event_balance": draw(amounts),
        "post_event_balance": draw(amounts),
    }


@st.composite
def loaded_days(draw: st.DrawFn) -> frozenset[tuple[str, date]]:
    """Types and days that are loaded: all, or all but a few."""
    loaded = frozenset((event_type, day) for event_type in TYPES for day in DAYS)
    missing = draw(st.sets(st.sampled_from(sorted(loaded)), max_size=2))
    if draw(st.integers(0, 9)) == 0:
        missing |= {(event_type, DAYS[1]) for event_type in TYPES}
    return loaded - missing


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw crowds of people who do the same over three days, maybe not all loaded."""
    crowds = draw(
        st.lists(st.tuples(st.sampled_from(CROWDS), st.lists(events(), min_size=1, max_size=6)), max_size=3)
    )
    people = []
    for number, (size, happenings) in enumerate(crowds):
        for member in range(size):
            name = f"s{number}-{member}"
            for happening in happenings:
                other = name if happening["counterpart"] == "self" else happening["counterpart"]
                people.append(Event(subscriber=name, **happening | {"counterpart": other}))
    return World(people, draw(loaded_days()))


windows = st.sampled_from(
    [
        ("2016-01-01", "2016-01-04"),
        ("2016-01-01", "2016-01-02"),
        ("2016-01-02", "2016-01-04"),
        ("2016-01-01 12:00:00", "2016-01-02 12:00:00"),
        ("2016-01-01 00:00:01", "2016-01-03 23:59:59"),
        ("2015-12-31", "2016-01-05"),
    ]
).map(lambda window: {"start_date": window[0], "end_date": window[1]})

units = st.sampled_from(UNITS)

hours = st.sampled_from([None, None, (8, 17), (20, 8), (0, 24), (12, 12), (12, 13)]).map(
    lambda pair: {"hours": pair and {"start_hour": pair[0], "end_hour": pair[1]}}
)

types = st.sampled_from(
    [None, None, ["calls"], ["sms", "calls"], ["mds", "topups"], ["calls", "sms", "mds", "topups"], ["mds"]]
).map(lambda found: {"event_types": found})

two_party_types = st.sampled_from([None, ["calls"], ["sms"], ["calls", "sms"]]).map(
    lambda found: {"event_types": found}
)

directions = st.sampled_from(["in", "out", "both"]).map(lambda direction: {"direction": direction})

subsets = st.sampled_from(
    [
        None,
        None,
        None,
        {
            "query_kind": "unique_locations",
            "start_date": "2016-01-01",
            "end_date": "2016-01-03",
            "aggregation_unit": "admin2",
        },
        {
            "query_kind": "event_count",
            "start_date": "2016-01-01",
            "end_date": "2016-01-04",
            "direction": "in",
        },
    ]
).map(lambda subset: {"subscriber_subset": subset})

selection = (types, subsets, hours)


def spec(kind: str, *parts: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    """A spec of a kind, made of the given groups of fields."""

    def merged(drawn: tuple[Spec, ...]) -> Spec:
        found: Spec = {"query_kind": kind}
        for part in drawn:
            found |= part
        return found

    return st.tuples(*parts).map(merged)


def chosen(name: str, *values: Any) -> st.SearchStrategy[Spec]:
    """One field with one of some values."""
    return st.sampled_from(values).map(lambda value: {name: value})


def nested(name: str, inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Spec]:
    """One field with a drawn value."""
    return inner.map(lambda value: {name: value})


def at(unit: Spec | None) -> st.SearchStrategy[Spec]:
    """The fields of the unit: the given ones, or any."""
    return units if unit is None else st.just(unit)


def windowed(kind: str, unit: Spec | None = None, *more: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    """A spec of a kind with a window, a unit and the usual choice of events."""
    return spec(kind, windows, *selection, at(unit), *more)


STATISTICS = ("count", "sum", "avg", "max", "min", "median", "stddev", "variance", "mode")

PERIODS = ("second", "minute", "hour", "day", "month", "year")


def any_of(strategy: st.SearchStrategy[Spec]) -> st.SearchStrategy[st.SearchStrategy[Spec]]:
    """Draw strategies that choose among one or two specs.

    Parts of a query are then mostly about the same subscribers.
    """
    return st.lists(strategy, min_size=1, max_size=2).map(st.sampled_from)


def at_any_unit(strategy: Callable[[Spec], st.SearchStrategy[Spec]]) -> st.SearchStrategy[Spec]:
    return st.sampled_from(UNITS).flatmap(strategy)


CELLS, VERSIONED_CELLS, SITES = (
    {"aggregation_unit": unit} for unit in ("cell", "versioned-cell", "versioned-site")
)
POINT_UNITS: tuple[Spec, ...] = (*LON_LAT, VERSIONED_CELLS, SITES)

any_unit = st.sampled_from([*UNITS, CELLS, VERSIONED_CELLS, SITES])

#: The strategy of specs for each kind, added by the modules of its theme.
SPECS: dict[str, Callable[[], st.SearchStrategy[Spec]]] = {}

#: Worlds of kinds about what seldom happens in the others.
WORLDS: dict[str, Callable[[], st.SearchStrategy[World]]] = {}
