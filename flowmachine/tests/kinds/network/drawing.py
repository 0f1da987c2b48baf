"""Specs of the kinds about the network's own places."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import PERIODS, POINT_UNITS, SPECS, STATISTICS, chosen, nested, spec, windowed

SPECS.update(
    {
        "total_network_objects": lambda: windowed(
            "total_network_objects", None, chosen("total_by", *PERIODS)
        ),
    }
)

SPECS.update(
    {
        "aggregate_network_objects": lambda: spec(
            "aggregate_network_objects",
            nested(
                "total_network_objects",
                windowed("total_network_objects", None, chosen("total_by", *PERIODS)),
            ),
            chosen("statistic", *STATISTICS),
            chosen("aggregate_by", *PERIODS, "century"),
        ),
    }
)

SPECS.update(
    {
        "distance_matrix": lambda: spec("distance_matrix", st.sampled_from(POINT_UNITS)),
    }
)
