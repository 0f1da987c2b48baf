"""Specs of the kinds that say where subscribers are."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import (
    SPECS,
    UNITS,
    Spec,
    any_of,
    any_unit,
    at,
    at_any_unit,
    chosen,
    directions,
    hours,
    nested,
    selection,
    spec,
    subsets,
    windowed,
    windows,
)


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


def location_visits(unit: Spec) -> st.SearchStrategy[Spec]:
    places = st.lists(st.one_of(daily_locations(unit), modal_locations(unit)), min_size=1, max_size=3)
    return spec("location_visits", nested("locations", places))


def majority_locations(weights: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    return spec(
        "majority_location",
        nested("subscriber_location_weights", weights),
        chosen("minimum_total_weight", 0.0, 1.5, 2, 4.0),
        chosen("include_unlocatable", True, False),
    )


def coalesced_locations(unit: Spec) -> st.SearchStrategy[Spec]:
    return any_of(location_visits(unit)).flatmap(
        lambda weights: spec(
            "coalesced_location",
            nested("preferred_location", majority_locations(weights)),
            nested("fallback_location", majority_locations(weights)),
            nested("subscriber_location_weights", weights),
            chosen("weight_threshold", -1, 1, 2, 3),
        )
    )


#: Unplaced events are kept at single cells only.
unplaced = st.one_of(any_unit, st.sampled_from([{}, {"aggregation_unit": "cell", "ignore_nulls": False}]))


def subscriber_locations(unit: st.SearchStrategy[Spec] = unplaced) -> st.SearchStrategy[Spec]:
    return spec("subscriber_locations", windows, *selection, unit)


named_places = st.one_of(
    any_unit,
    chosen("location", "any", "in-b", ["meets", "in-b", "unknown"], ["no such cell"]),
    chosen("location", "é", ["b", "B"], ["a"]).map(lambda place: place | {"aggregation_unit": "admin3"}),
    chosen("location", "p", ["moved", "two"]).map(
        lambda place: place | {"aggregation_unit": "versioned-site"}
    ),
    chosen("location", ["moves", "in-é"]).map(lambda place: place | {"aggregation_unit": "versioned-cell"}),
)

SPECS.update(
    {
        "unique_location_counts": lambda: windowed("unique_location_counts"),
        "daily_location": daily_locations,
        "modal_location": modal_locations,
        "most_frequent_location": lambda: windowed("most_frequent_location"),
        "unique_locations": lambda: windowed("unique_locations"),
    }
)

SPECS.update(
    {
        "visited_most_days": lambda: windowed("visited_most_days"),
        "location_visits": lambda: at_any_unit(location_visits),
        "majority_location": lambda: at_any_unit(lambda unit: majority_locations(location_visits(unit))),
        "coalesced_location": lambda: at_any_unit(coalesced_locations),
    }
)

SPECS.update(
    {
        "subscriber_locations": subscriber_locations,
        "first_location": lambda: spec("first_location", windows, *selection, named_places),
        "last_location": lambda: spec("last_location", windows, *selection, unplaced),
        "filtered_reference_location": lambda: at_any_unit(
            lambda unit: spec(
                "filtered_reference_location",
                nested("reference_location", reference_locations(unit)),
                nested("visits", location_visits(unit)),
                st.sampled_from(
                    [
                        {"lower_bound": 1},
                        {"lower_bound": 2},
                        {"upper_bound": 1},
                        {"lower_bound": 1, "upper_bound": 2},
                    ]
                ),
            )
        ),
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
    }
)
