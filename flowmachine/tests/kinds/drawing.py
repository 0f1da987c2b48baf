"""Strategies that draw worlds and specs full of what goes wrong: ties, nulls, midnights, cells in two places at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from hypothesis import strategies as st

from .oracle import unit_fields
from .world import CELL_NAMES, DAYS, DEVICES, MAPPED_UNITS, TYPES, Event, World

Spec = dict[str, Any]

CLOCKS = ("00:00:00", "00:00:01", "07:59:59", "08:00:00", "12:00:00", "12:00:30", "20:00:00", "23:59:59")
TIMES = [datetime.fromisoformat(f"{day} {clock}") for day in DAYS for clock in CLOCKS]

#: The fields of a unit: cells where they are, or where tables put them.
UNITS: tuple[Spec, ...] = tuple({"aggregation_unit": unit} for unit in ("admin3", "admin2", "lon-lat"))
UNITS += MAPPED_UNITS
LON_LAT = tuple(unit for unit in UNITS if unit["aggregation_unit"] == "lon-lat")

#: So many people do the same, so that sums of two may lie at the limit of what is released.
CROWDS = (1, 7, 8, 15, 16)

#: Among them decimals that no double is equal to, and of which sums and differences are edges of bins.
amounts = st.sampled_from([None, 0.0, 0.1, 0.15, 0.2, 0.57, 1.5, 2.0, 2.5, 10.0])


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """What happens to somebody: an event without its subscriber."""
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
    """Crowds of people who do the same, over three days, some of which may not be loaded."""
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


def daily_locations(unit: Spec | None = None) -> st.SearchStrategy[Spec]:
    dates = chosen("date", "2016-01-01", "2016-01-02", "2016-01-03", "2016-01-02 12:00:00")
    return spec("daily_location", dates, chosen("method", "last", "most-common"), *selection, at(unit))


def modal_locations(unit: Spec | None = None) -> st.SearchStrategy[Spec]:
    of_one_unit = st.sampled_from(UNITS if unit is None else (unit,)).flatmap(
        lambda one: st.lists(daily_locations(one), min_size=1, max_size=4)
    )
    return spec("modal_location", nested("locations", of_one_unit))


def reference_locations(unit: Spec | None = None) -> st.SearchStrategy[Spec]:
    return st.one_of(daily_locations(unit), modal_locations(unit), windowed("most_frequent_location", unit))


def movements(kind: str) -> st.SearchStrategy[Spec]:
    joins = ("inner", "full outer", "left", "right", "left outer", "right outer")

    def between(unit: Spec) -> st.SearchStrategy[Spec]:
        end = st.one_of(reference_locations(unit), windowed("unique_locations", unit))
        return spec(
            kind, nested("from_location", end), nested("to_location", end), chosen("join_type", *joins)
        )

    return st.sampled_from(UNITS).flatmap(between)


def at_home(kind: str, first: str) -> st.SearchStrategy[Spec]:
    """A kind that compares all locations with the reference location."""

    def of_unit(unit: Spec) -> st.SearchStrategy[Spec]:
        return spec(
            kind,
            nested(first, windowed("unique_locations", unit)),
            nested("reference_locations", reference_locations(unit)),
        )

    return st.sampled_from(UNITS).flatmap(of_unit)


def unique_visitors() -> st.SearchStrategy[Spec]:
    def with_counts(active: Spec) -> st.SearchStrategy[Spec]:
        unit = unit_fields(active)
        return spec(
            "unique_visitor_counts",
            st.just({"active_at_reference_location_counts": active}),
            nested("unique_subscriber_counts", windowed("unique_subscriber_counts", unit)),
        )

    return at_home("active_at_reference_location_counts", "unique_locations").flatmap(with_counts)


def intervals(interval: str) -> st.SearchStrategy[Spec]:
    """Windows of at least one interval, some of which do not begin or end with one."""
    pairs = {
        "day": [("01", "04"), ("01 12:00", "02 12:00"), ("01 12:00", "03 18:00")],
        "hour": [("01", "03"), ("01 07:30", "01 12:30"), ("01 12:00", "02 18:00"), ("03 20:00", "04 00:00")],
        "min": [("01", "02"), ("01 12:00:15", "01 12:01:30"), ("01 23:59", "02 00:01")],
    }
    return st.sampled_from(pairs[interval]).map(
        lambda pair: {
            "interval": interval,
            "start_date": f"2016-01-{pair[0]}",
            "end_date": f"2016-01-{pair[1]}",
        }
    )


STATISTICS = ("count", "sum", "avg", "max", "min", "median", "stddev", "variance", "mode")
NIGHTS = [
    {"start_hour": start, "end_hour": end} for start, end in ((20, 8), (0, 8), (12, 24), (8, 8), (24, 8))
]
SERIES = [
    {"start_date": "2016-01-01", "total_periods": 3},
    {"start_date": "2016-01-01 12:00", "total_periods": 2, "period_length": 1, "period_unit": "days"},
    {"start_date": "2016-01-01", "total_periods": 9, "period_length": 8, "period_unit": "hours"},
    {"start_date": "2016-01-01 12:00", "total_periods": 3, "period_length": 20, "period_unit": "hours"},
    {"start_date": "2016-01-01 23:50", "total_periods": 40, "period_length": 1, "period_unit": "minutes"},
]
PERIODS = ("second", "minute", "hour", "day", "month", "year")

#: Metrics with a number for each subscriber.
METRICS: dict[str, Callable[[], st.SearchStrategy[Spec]]] = {
    "event_count": lambda: spec("event_count", windows, two_party_types, directions, subsets, hours),
    "radius_of_gyration": lambda: spec("radius_of_gyration", windows, *selection),
    "subscriber_degree": lambda: spec(
        "subscriber_degree", windows, two_party_types, directions, subsets, hours
    ),
    "unique_location_counts": lambda: windowed("unique_location_counts"),
    "nocturnal_events": lambda: spec(
        "nocturnal_events", windows, types, subsets, chosen("night_hours", *NIGHTS)
    ),
    "displacement": lambda: spec(
        "displacement",
        windows,
        *selection,
        chosen("statistic", *STATISTICS),
        nested("reference_location", st.sampled_from(LON_LAT).flatmap(reference_locations)),
    ),
    "pareto_interactions": lambda: spec(
        "pareto_interactions",
        windows,
        two_party_types,
        subsets,
        hours,
        chosen("proportion", 0.5, 0.8, 0.1, 0.3333333333333333, 1e-07),
    ),
    "topup_amount": lambda: spec("topup_amount", windows, subsets, hours, chosen("statistic", *STATISTICS)),
    "topup_balance": lambda: spec("topup_balance", windows, subsets, hours, chosen("statistic", *STATISTICS)),
    "total_active_periods": lambda: spec("total_active_periods", *selection, st.sampled_from(SERIES)),
}


def handsets() -> st.SearchStrategy[Spec]:
    return spec(
        "handset",
        windows,
        *selection,
        chosen("characteristic", "hnd_type", "brand", "model", "software_os_name", "software_os_vendor"),
        chosen("method", "last", "most-common"),
    )


#: Worlds of kinds about what seldom happens in the others.
WORLDS: dict[str, Callable[[], st.SearchStrategy[World]]] = {}

SPECS: dict[str, Callable[[], st.SearchStrategy[Spec]]] = {
    **METRICS,
    "handset": handsets,
    "daily_location": daily_locations,
    "modal_location": modal_locations,
    "most_frequent_location": lambda: windowed("most_frequent_location"),
    "unique_locations": lambda: windowed("unique_locations"),
    "spatial_aggregate": lambda: spec("spatial_aggregate", nested("locations", reference_locations())),
    "unique_subscriber_counts": lambda: windowed("unique_subscriber_counts"),
    "flows": lambda: movements("flows"),
    "inflows": lambda: movements("inflows"),
    "outflows": lambda: movements("outflows"),
    "trips_od_matrix": lambda: windowed("trips_od_matrix"),
    "location_event_counts": lambda: spec(
        "location_event_counts",
        st.sampled_from(("day", "hour", "min")).flatmap(intervals),
        units,
        directions,
        two_party_types,
        subsets,
        hours,
    ),
    "total_network_objects": lambda: windowed("total_network_objects", None, chosen("total_by", *PERIODS)),
    "joined_spatial_aggregate": lambda: st.one_of(
        spec(
            "joined_spatial_aggregate",
            nested("locations", reference_locations()),
            nested("metric", st.sampled_from(sorted(METRICS)).flatmap(lambda kind: METRICS[kind]())),
            chosen("method", *STATISTICS),
        ),
        spec(
            "joined_spatial_aggregate",
            nested("locations", reference_locations()),
            nested("metric", handsets()),
            chosen("method", "mode", "distr"),
        ),
    ),
    "active_at_reference_location_counts": lambda: at_home(
        "active_at_reference_location_counts", "unique_locations"
    ),
    "unique_visitor_counts": unique_visitors,
    "unmoving_counts": lambda: spec("unmoving_counts", nested("locations", windowed("unique_locations"))),
    "unmoving_at_reference_location_counts": lambda: at_home(
        "unmoving_at_reference_location_counts", "locations"
    ),
    "histogram_aggregate": lambda: spec(
        "histogram_aggregate",
        nested("metric", st.sampled_from(sorted(METRICS)).flatmap(lambda kind: METRICS[kind]())),
        chosen(
            "bins",
            *({"n_bins": n} for n in (1, 2, 3, 10, 100)),
            {"bin_list": [0, 2, 100]},
            {"bin_list": [-1, 1e9]},
        ),
        st.sampled_from(
            [
                {},
                {},
                {"range": {"lower_bound": 1, "upper_bound": 3}},
                {"range": [0.5, 1000000.5]},
                {"range": [-0.1, 0.2]},
                {"range": [0.1, 0.30000000000000004]},
            ]
        ),
    ),
}
