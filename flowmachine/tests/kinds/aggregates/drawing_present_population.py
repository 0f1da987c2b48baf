"""Specs of the present population."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import SPECS, chosen, spec, subsets, types, units

points = st.sampled_from(
    [
        ("2016-01-01", "2016-01-03"),
        ("2016-01-01 12:00:00", "2016-01-01 12:00:00"),
        ("2016-01-01 07:00:00", "2016-01-02 20:00:00"),
        ("2015-12-31 23:00:00", "2016-01-04 01:00:00"),
    ]
).map(lambda edges: {"start_date": edges[0], "end_date": edges[1]})

SPECS["present_population"] = lambda: spec(
    "present_population",
    points,
    units,
    types,
    subsets,
    chosen("interval_minutes", 720, 240, 1440),
    chosen("tolerance_minutes", 60, 1, 241, 720),
)
