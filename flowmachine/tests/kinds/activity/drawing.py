"""Specs of the kinds about when and how often subscribers are active."""

from __future__ import annotations

from hypothesis import strategies as st

from ..conversations import conversations, most_selection, most_windows, places, statistics, two_parties
from ..drawing import (
    SPECS,
    WORLDS,
    Spec,
    chosen,
    directions,
    hours,
    nested,
    selection,
    spec,
    subsets,
    two_party_types,
    types,
    windows,
)
from .definitions import PHASES, UNITS_OF_TIME

NIGHTS = [
    {"start_hour": start, "end_hour": end} for start, end in ((20, 8), (0, 8), (12, 24), (8, 8), (24, 8))
]
SERIES = [
    {"start_date": "2016-01-01", "total_periods": 3},
    {"start_date": "2016-01-01 12:00", "total_periods": 2, "period_length": 1, "period_unit": "days"},
    {"start_date": "2016-01-01", "total_periods": 9, "period_length": 8, "period_unit": "hours"},
    {"start_date": "2016-01-01 12:00", "total_periods": 3, "period_length": 20, "period_unit": "hours"},
    {"start_date": "2016-01-01 23:50", "total_periods": 40, "period_length": 1, "period_unit": "minutes"},
]


def everybody(when: st.SearchStrategy[Spec] = most_windows) -> st.SearchStrategy[Spec]:
    return spec("unique_subscribers", when, *most_selection)


#: In which some have no event yet.
short_windows = st.sampled_from(["2016-01-01 00:00:01", "2016-01-01 12:00", "2016-01-02"]).map(
    lambda end: {"start_date": "2016-01-01", "end_date": end}
)


@st.composite
def active(draw: st.DrawFn) -> Spec:
    start, length, unit, most_minor, most_major = draw(
        st.sampled_from(
            [
                ("2016-01-01", 1, "days", 1, 3),
                ("2016-01-01", 8, "hours", 3, 3),
                ("2016-01-01 12:00", 12, "hours", 2, 2),
                ("2016-01-01 23:59", 1, "minutes", 2, 2),
                ("2016-01-01", 1, "days", 3, 1),
            ]
        )
    )
    return {
        "start_date": start,
        "minor_period_length": length,
        "period_unit": unit,
        "minor_periods_per_major_period": most_minor,
        "total_major_periods": most_major,
        "minor_period_threshold": draw(st.integers(1, most_minor)),
        "major_period_threshold": draw(st.integers(1, most_major)),
    }


SPECS.update(
    {
        "event_count": lambda: spec("event_count", windows, two_party_types, directions, subsets, hours),
        "nocturnal_events": lambda: spec(
            "nocturnal_events", windows, types, subsets, chosen("night_hours", *NIGHTS)
        ),
        "total_active_periods": lambda: spec("total_active_periods", *selection, st.sampled_from(SERIES)),
    }
)

SPECS.update(
    {
        "periodic_entropy": lambda: spec(
            "periodic_entropy", *two_parties, directions, chosen("phase", *PHASES)
        ),
        "per_location_event_stats": lambda: spec(
            "per_location_event_stats", most_windows, *most_selection, places, statistics
        ),
        "interevent_interval": lambda: spec("interevent_interval", *two_parties, directions, statistics),
        "interevent_period": lambda: spec(
            "interevent_period",
            *two_parties,
            directions,
            statistics,
            chosen("time_resolution", *UNITS_OF_TIME),
        ),
        "unique_subscribers": everybody,
        "new_subscribers": lambda: spec(
            "new_subscribers", nested("benchmark", everybody(short_windows)), nested("focal", everybody())
        ),
        "active_subscribers": lambda: spec("active_subscribers", *most_selection, active()),
    }
)
WORLDS.update(
    dict.fromkeys(
        (
            "periodic_entropy",
            "per_location_event_stats",
            "interevent_interval",
            "interevent_period",
            "unique_subscribers",
            "new_subscribers",
            "active_subscribers",
        ),
        conversations,
    )
)

#: Types of events, and those of the numerator.
_parts = st.sampled_from(
    [(None, ["calls"]), (None, ["sms", "calls"]), (["calls"], ["calls"]), (["calls", "sms"], ["sms"])]
).map(lambda pair: {"event_types": pair[0], "numerator": pair[1]})

SPECS.update(
    {
        "proportion_event_type": lambda: spec(
            "proportion_event_type",
            most_windows,
            subsets,
            hours,
            directions,
            _parts,
            chosen("numerator_direction", "in", "out", "both"),
        )
    }
)
WORLDS["proportion_event_type"] = conversations
