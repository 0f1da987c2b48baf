"""Strategies of specs for kinds of direct use about places."""

from __future__ import annotations

from hypothesis import strategies as st

from .drawing import (
    LON_LAT,
    PERIODS,
    SPECS,
    STATISTICS,
    UNITS,
    Spec,
    chosen,
    daily_locations,
    directions,
    hours,
    nested,
    reference_locations,
    selection,
    spec,
    subsets,
    windows,
)

CELLS, VERSIONED_CELLS, SITES = (
    {"aggregation_unit": unit} for unit in ("cell", "versioned-cell", "versioned-site")
)
POINT_UNITS: tuple[Spec, ...] = (*LON_LAT, VERSIONED_CELLS, SITES)

any_unit = st.sampled_from([*UNITS, CELLS, VERSIONED_CELLS, SITES])

#: Unplaced events are kept at single cells only.
unplaced = st.one_of(any_unit, st.sampled_from([{}, {"aggregation_unit": "cell", "ignore_nulls": False}]))


def subscriber_locations(unit: st.SearchStrategy[Spec] = unplaced) -> st.SearchStrategy[Spec]:
    return spec("subscriber_locations", windows, *selection, unit)


def distance_series(*buckets: str) -> st.SearchStrategy[Spec]:
    def of_unit(unit: Spec) -> st.SearchStrategy[Spec]:
        at_points = st.just(unit)
        last = spec("last_location", windows, *selection, at_points)
        home = st.one_of(last, reference_locations(unit)) if unit in LON_LAT else last
        return spec(
            "distance_series",
            nested("subscriber_locations", subscriber_locations(at_points)),
            st.one_of(
                nested("reference_location", home), chosen("reference_point", [84.25, 27.25], [-90.5, 0])
            ),
            chosen("statistic", *STATISTICS),
            chosen("time_bucket", *(buckets or (*PERIODS, "century"))),
        )

    return st.sampled_from(POINT_UNITS).flatmap(of_unit)


named_places = st.one_of(
    any_unit,
    chosen("location", "any", "in-b", ["meets", "in-b", "unknown"], ["no such cell"]),
    chosen("location", "é", ["b", "B"], ["a"]).map(lambda place: place | {"aggregation_unit": "admin3"}),
    chosen("location", "p", ["moved", "two"]).map(
        lambda place: place | {"aggregation_unit": "versioned-site"}
    ),
    chosen("location", ["moves", "in-é"]).map(lambda place: place | {"aggregation_unit": "versioned-cell"}),
)

inclusive_days = st.sampled_from([(1, 1), (1, 2), (1, 3), (2, 3)]).map(
    lambda pair: {"start_date": f"2016-01-{pair[0]:02}", "end_date": f"2016-01-{pair[1]:02}"}
)

SPECS.update(
    {
        "subscriber_locations": subscriber_locations,
        "first_location": lambda: spec("first_location", windows, *selection, named_places),
        "last_location": lambda: spec("last_location", windows, *selection, unplaced),
        "call_days": lambda: spec("call_days", nested("subscriber_locations", subscriber_locations())),
        "subscriber_location_subset": lambda: spec(
            "subscriber_location_subset",
            windows,
            subsets,
            hours,
            directions,
            any_unit,
            chosen("min_calls", 1, 2, 3),
        ),
        "day_trajectories": lambda: spec(
            "day_trajectories",
            nested(
                "locations",
                st.sampled_from(UNITS).flatmap(
                    lambda unit: st.lists(daily_locations(unit), min_size=1, max_size=3)
                ),
            ),
        ),
        "distance_matrix": lambda: spec("distance_matrix", st.sampled_from(POINT_UNITS)),
        "distance_series": distance_series,
        "imputed_distance_series": lambda: spec(
            "imputed_distance_series",
            nested("distance_series", distance_series("hour", "day")),
            chosen("window_size", 3, 5, 7),
        ),
        "population_weighted_opportunities": lambda: spec(
            "population_weighted_opportunities",
            inclusive_days,
            *selection,
            st.sampled_from(POINT_UNITS),
            chosen("method", "last", "most-common"),
            chosen("departure_rate", 0.1, 1.0, 0, 0.25),
        ),
    }
)
