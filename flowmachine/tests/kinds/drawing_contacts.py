"""Strategies of specs for the kinds of direct use about contacts, gaps, durations and who is active."""

from __future__ import annotations

from hypothesis import strategies as st

from .drawing import (
    SPECS,
    STATISTICS,
    UNITS,
    Spec,
    chosen,
    directions,
    hours,
    nested,
    selection,
    spec,
    subsets,
    two_party_types,
    windows,
)
from .oracle_contacts import PHASES, UNITS_OF_TIME

two_parties = (windows, two_party_types, subsets, hours)
calls = (windows, subsets, hours, directions, chosen("statistic", *STATISTICS))
statistics = chosen("statistic", *STATISTICS)
selves = chosen("exclude_self_calls", True, False)
places = chosen("aggregation_unit", "cell", *UNITS)


def balances() -> st.SearchStrategy[Spec]:
    return spec("contact_balance", *two_parties, directions, selves)


def reciprocals() -> st.SearchStrategy[Spec]:
    return spec("contact_reciprocal", *two_parties)


def everybody() -> st.SearchStrategy[Spec]:
    return spec("unique_subscribers", windows, *selection)


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
        "periodic_entropy": lambda: spec(
            "periodic_entropy", *two_parties, directions, chosen("phase", *PHASES)
        ),
        "location_entropy": lambda: spec("location_entropy", windows, *selection, places),
        "contact_entropy": lambda: spec("contact_entropy", *two_parties, directions, selves),
        "contact_balance": balances,
        "counterparts_subset": lambda: spec(
            "counterparts_subset",
            nested("contact_balance", balances()),
            chosen("include_subscribers", True, False),
        ),
        "contact_reciprocal": reciprocals,
        "proportion_contact_reciprocal": lambda: spec(
            "proportion_contact_reciprocal", nested("contact_reciprocal", reciprocals())
        ),
        "proportion_event_reciprocal": lambda: spec(
            "proportion_event_reciprocal",
            *two_parties,
            directions,
            nested("contact_reciprocal", reciprocals()),
        ),
        "per_contact_event_stats": lambda: spec(
            "per_contact_event_stats", nested("contact_balance", balances()), statistics
        ),
        "per_location_event_stats": lambda: spec(
            "per_location_event_stats", windows, *selection, places, statistics
        ),
        "distance_counterparts": lambda: spec(
            "distance_counterparts", *two_parties, directions, selves, statistics
        ),
        "subscriber_call_durations": lambda: spec("subscriber_call_durations", *calls),
        "per_location_subscriber_call_durations": lambda: spec(
            "per_location_subscriber_call_durations", *calls, places
        ),
        "paired_subscriber_call_durations": lambda: spec("paired_subscriber_call_durations", *calls),
        "paired_per_location_subscriber_call_durations": lambda: spec(
            "paired_per_location_subscriber_call_durations", *calls, places
        ),
        "mds_volume": lambda: spec(
            "mds_volume", windows, subsets, hours, statistics, chosen("volume", "total", "upload", "download")
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
            "new_subscribers", nested("benchmark", everybody()), nested("focal", everybody())
        ),
        "active_subscribers": lambda: spec("active_subscribers", *selection, active()),
    }
)
