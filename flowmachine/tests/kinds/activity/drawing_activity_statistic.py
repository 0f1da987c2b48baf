"""Specs of the use of a phone by day."""

from __future__ import annotations

from ..drawing import SPECS, STATISTICS, chosen, selection, spec, windows

SPECS["activity_statistic"] = lambda: spec(
    "activity_statistic",
    windows,
    *selection,
    chosen("measure", "events", "cells", "locations", "hours", "mean_gap", "stddev_gap"),
    chosen("statistic", *STATISTICS),
)
