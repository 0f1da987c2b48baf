"""Specs of distances and entropies along sequences of events."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import SPECS, STATISTICS, chosen, selection, spec, windows

clean = chosen("clean", True, False)

gaps = st.tuples(chosen("max_gap_hours", None, 0.01, 1, 24, 1000), chosen("look_back_days", 0, 0, 1, 7)).map(
    lambda fields: fields[0] | fields[1]
)

SPECS["jump_lengths"] = lambda: spec(
    "jump_lengths",
    windows,
    *selection,
    clean,
    gaps,
    chosen("statistic", *STATISTICS),
    chosen("exclude_zero", True, False),
)
SPECS["distance_travelled"] = lambda: spec("distance_travelled", windows, *selection, clean, gaps)
SPECS["k_radius_of_gyration"] = lambda: spec(
    "k_radius_of_gyration", windows, *selection, clean, chosen("k", 2, 3, 10)
)
SPECS["mobility_entropy"] = lambda: spec(
    "mobility_entropy",
    windows,
    *selection,
    clean,
    st.sampled_from(
        [{}, {"normalise": True}, {"entropy": "random"}, {"entropy": "uncorrelated", "normalise": False}]
    ),
)
