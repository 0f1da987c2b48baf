"""Specs of the people behind counts of subscribers."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import SPECS, UNITS, Spec, chosen, nested, spec
from ..land import WEIGHTS_TABLE
from ..places.drawing import reference_locations

#: Not those about months, which no drawn world has.
COUNTS = (
    "spatial_aggregate",
    "unique_subscriber_counts",
    "active_at_reference_location_counts",
    "flows",
    "inflows",
    "outflows",
    "trips_od_matrix",
    "displaced_counts",
    "present_population",
)

homes = st.sampled_from([unit for unit in UNITS if unit["aggregation_unit"] != "lon-lat"]).flatmap(
    reference_locations
)

weightings = st.one_of(
    chosen("weighting", "population"),
    chosen("deduplication_factor", 0.5, 1.0).map({"weighting": "weight"}.__or__),
)


def population_estimate() -> st.SearchStrategy[Spec]:
    counts = st.sampled_from(COUNTS).flatmap(lambda kind: SPECS[kind]())
    return spec(
        "population_estimate",
        nested("counts", counts),
        nested("home_location", homes),
        st.just({"weights_table": WEIGHTS_TABLE}),
        weightings,
        chosen("minimum_residents", 16, 17, 24, 100),
    )


SPECS["population_estimate"] = population_estimate
