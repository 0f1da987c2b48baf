"""Specs of durations of stays by home, and of migration between homes."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import SPECS, UNITS, WORLDS, Spec, at_any_unit, chosen, nested, spec, windowed
from ..movement.drawing_stays import days_of, of_a_day, stays
from ..places.drawing_permanence import dailies, one_day, staying, thresholds


def durations(unit: Spec) -> st.SearchStrategy[Spec]:
    return spec(
        "stay_durations",
        stays(unit).flatmap(days_of),
        nested("home_location", windowed("most_frequent_location", unit)),
        *of_a_day,
    )


def migrations(unit: Spec) -> st.SearchStrategy[Spec]:
    return spec(
        "internal_migration",
        nested("previous", dailies(unit, one_day)),
        nested("new", dailies(unit, one_day)),
        chosen("migration_threshold", 0.0, 0.5, 0.67, 1.0),
        *thresholds,
    )


SPECS["stay_durations"] = lambda: at_any_unit(durations)
SPECS["internal_migration"] = lambda: st.sampled_from(UNITS).flatmap(migrations)
for kind in ("stay_durations", "internal_migration"):
    WORLDS[kind] = staying
