"""Specs of counts by displacement."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import SPECS, Spec, at_any_unit, nested, spec
from ..movement.drawing_displacement_status import displacement_statuses


def displaced_counts(unit: Spec) -> st.SearchStrategy[Spec]:
    statuses = displacement_statuses(unit)
    return spec(
        "displaced_counts",
        nested("displacement_status", statuses),
        nested("normal", st.one_of(st.none(), statuses)),
    )


SPECS["displaced_counts"] = lambda: at_any_unit(displaced_counts)
