"""Specs of residents who are active."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import SPECS, Spec, at_any_unit, chosen, nested, spec, types
from ..places.drawing import reference_locations

whole_days = st.sampled_from(
    [("2016-01-01", "2016-01-04"), ("2016-01-02", "2016-01-03"), ("2015-12-31", "2016-01-05")]
).map(lambda days: {"start_date": days[0], "end_date": days[1]})


def active_residents(unit: Spec) -> st.SearchStrategy[Spec]:
    return spec(
        "active_residents",
        whole_days,
        types,
        nested("reference_location", reference_locations(unit)),
        chosen("active", "anywhere", "at_home"),
    )


SPECS["active_residents"] = lambda: at_any_unit(active_residents)
