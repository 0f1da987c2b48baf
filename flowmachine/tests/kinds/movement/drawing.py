"""Specs of the kinds about how subscribers move."""

from __future__ import annotations

from hypothesis import strategies as st

from ..conversations import conversations, most_selection, most_windows, places
from ..drawing import (
    LON_LAT,
    PERIODS,
    POINT_UNITS,
    SPECS,
    STATISTICS,
    UNITS,
    WORLDS,
    Spec,
    any_of,
    at_any_unit,
    chosen,
    nested,
    selection,
    spec,
    windows,
)
from ..places.drawing import coalesced_locations, daily_locations, reference_locations, subscriber_locations


def classifications(locations: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    return spec(
        "mobility_classification",
        nested("locations", st.lists(locations, min_size=1, max_size=4)),
        chosen("stay_length_threshold", 0, 1, 2, 3, 5),
    )


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


inclusive_days = st.sampled_from([(1, 1), (1, 2), (1, 3), (2, 3)]).map(
    lambda pair: {"start_date": f"2016-01-{pair[0]:02}", "end_date": f"2016-01-{pair[1]:02}"}
)

SPECS.update(
    {
        "radius_of_gyration": lambda: spec("radius_of_gyration", windows, *selection),
        "displacement": lambda: spec(
            "displacement",
            windows,
            *selection,
            chosen("statistic", *STATISTICS),
            nested("reference_location", st.sampled_from(LON_LAT).flatmap(reference_locations)),
        ),
    }
)

SPECS.update(
    {
        "mobility_classification": lambda: at_any_unit(
            lambda unit: any_of(coalesced_locations(unit))
        ).flatmap(classifications),
    }
)

SPECS.update(
    {
        "location_entropy": lambda: spec("location_entropy", most_windows, *most_selection, places),
    }
)
WORLDS.update(dict.fromkeys(("location_entropy",), conversations))

SPECS.update(
    {
        "day_trajectories": lambda: spec(
            "day_trajectories",
            nested(
                "locations",
                st.sampled_from(UNITS).flatmap(
                    lambda unit: st.lists(daily_locations(unit), min_size=1, max_size=3)
                ),
            ),
        ),
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
