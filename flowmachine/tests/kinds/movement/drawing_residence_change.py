"""Worlds of months, and specs of changes of residence."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from hypothesis import strategies as st

from ..drawing import CROWDS, SPECS, WORLDS, Spec, spec, units
from ..world import MONTHS, Event, World


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw crowds of people who stay some months at each of a few cells."""
    stays = st.tuples(st.sampled_from(("in-b", "in-B", "in-é", None)), st.integers(1, 8))
    crowds = draw(
        st.lists(st.tuples(st.sampled_from(CROWDS), st.lists(stays, min_size=1, max_size=5)), max_size=3)
    )
    people = []
    for number, (size, spells) in enumerate(crowds):
        cells = [cell for cell, months in spells for _ in range(months)]
        for day, cell in zip(MONTHS, cells, strict=False):
            moment = datetime.combine(day, time(12))
            people += [Event(f"s{number}-{member}", moment, cell) for member in range(size)]
    return World(people, frozenset(("calls", day) for day in MONTHS))


def daily_homes(unit: Spec) -> list[dict[str, Any]]:
    fields = {"query_kind": "daily_location", "method": "last", "event_types": ["calls"], **unit}
    return [fields | {"date": day.isoformat()} for day in MONTHS]


windows = st.sampled_from([(3, 2), (4, 3), (5, 3), (13, 7), (14, 8)]).map(
    lambda pair: {"window": pair[0], "minimum_months": pair[1]}
)

WORLDS["residence_change"] = worlds
SPECS["residence_change"] = lambda: spec(
    "residence_change", units.map(lambda unit: {"homes": daily_homes(unit)}), windows
)
