"""Worlds of Fridays, and specs of silent cells."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from ..drawing import CROWDS, SPECS, WORLDS, chosen, spec, types, units
from ..land import CELL_NAMES
from ..world import DAYS, FRIDAYS, TYPES, Event, World

_TIMES = [
    datetime.fromisoformat(f"{day} {clock}") for day in (*FRIDAYS, DAYS[1]) for clock in ("00:00", "23:59")
]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw crowds of people with events on some of the days, maybe not all loaded."""
    events = st.tuples(
        st.sampled_from(_TIMES), st.sampled_from(CELL_NAMES), st.sampled_from(("calls", "sms", "mds"))
    )
    crowds = draw(
        st.lists(st.tuples(st.sampled_from(CROWDS), st.lists(events, min_size=2, max_size=10)), max_size=3)
    )
    people = [
        Event(f"s{number}-{member}", moment, cell, event_type)
        for number, (size, happenings) in enumerate(crowds)
        for moment, cell, event_type in happenings
        for member in range(size)
    ]
    loaded = {(event_type, day) for event_type in TYPES for day in (*FRIDAYS, DAYS[1])}
    return World(people, frozenset(loaded - draw(st.sets(st.sampled_from(sorted(loaded)), max_size=8))))


windows = st.sampled_from(
    [("2016-01-22", "2016-01-23"), ("2016-01-29", "2016-01-30"), ("2016-01-15", "2016-01-30")]
).map(lambda window: {"start_date": window[0], "end_date": window[1]})


def network_silence() -> st.SearchStrategy[dict[str, Any]]:
    return spec(
        "network_silence",
        windows,
        units,
        types,
        chosen("lookback_weeks", 2, 3, 4, 26),
        chosen("minimum_baseline", 1.0, 4.0, 8.0, 10.0),
    )


WORLDS["network_silence"] = worlds
SPECS["network_silence"] = network_silence
