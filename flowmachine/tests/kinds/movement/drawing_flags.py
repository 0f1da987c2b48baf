"""Specs of the kinds about who stayed at places, and for how long."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import SPECS, STATISTICS, Spec, at_any_unit, chosen, nested, spec, windowed
from ..places.drawing import reference_locations


def at_home(kind: str) -> st.SearchStrategy[Spec]:
    return at_any_unit(
        lambda unit: spec(
            kind,
            nested("unique_locations", windowed("unique_locations", unit)),
            nested("reference_location", reference_locations(unit)),
        )
    )


SPECS.update(
    {
        "unmoving": lambda: spec("unmoving", nested("unique_locations", windowed("unique_locations"))),
        "unmoving_at_reference_location": lambda: at_home("unmoving_at_reference_location"),
        "active_at_reference_location": lambda: at_home("active_at_reference_location"),
        "subscriber_stay_lengths": lambda: at_any_unit(
            lambda unit: spec(
                "subscriber_stay_lengths",
                nested("locations", st.lists(reference_locations(unit), min_size=1, max_size=4)),
                chosen("statistic", *STATISTICS),
            )
        ),
    }
)
