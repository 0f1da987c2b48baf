"""Specs of the location of a month."""

from __future__ import annotations

from ..drawing import SPECS, chosen, selection, spec, units

SPECS["monthly_location"] = lambda: spec(
    "monthly_location",
    chosen("month", "2016-01"),
    chosen("method", "last", "most-common"),
    chosen("minimum_days", 1, 2, 3),
    *selection,
    units,
)
