"""Specs of displacement by periods."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import SPECS, Spec, at_any_unit, nested, spec
from ..places.drawing import reference_locations


def displacement_statuses(unit: Spec) -> st.SearchStrategy[Spec]:
    def of_periods(number: int) -> st.SearchStrategy[Spec]:
        periods = st.lists(reference_locations(unit), min_size=number, max_size=number)
        return spec(
            "displacement_status",
            nested("reference_location", reference_locations(unit)),
            nested("locations", periods),
            nested("minimum_periods", st.integers(1, number)),
        )

    return st.integers(1, 4).flatmap(of_periods)


SPECS["displacement_status"] = lambda: at_any_unit(displacement_statuses)
