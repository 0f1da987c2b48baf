"""Specs of the kinds about whom subscribers are in contact with."""

from __future__ import annotations

from hypothesis import strategies as st

from ..conversations import calls, conversations, places, selves, statistics, two_parties
from ..drawing import (
    LON_LAT,
    SPECS,
    WORLDS,
    Spec,
    chosen,
    directions,
    hours,
    nested,
    spec,
    subsets,
    two_party_types,
    windows,
)
from ..places.drawing import reference_locations


def balances() -> st.SearchStrategy[Spec]:
    return spec("contact_balance", *two_parties, directions, selves)


def reciprocals() -> st.SearchStrategy[Spec]:
    return spec("contact_reciprocal", *two_parties)


SPECS.update(
    {
        "subscriber_degree": lambda: spec(
            "subscriber_degree", windows, two_party_types, directions, subsets, hours
        ),
        "pareto_interactions": lambda: spec(
            "pareto_interactions",
            windows,
            two_party_types,
            subsets,
            hours,
            chosen("proportion", 0.5, 0.8, 0.1, 0.3333333333333333, 1e-07),
        ),
    }
)

SPECS.update(
    {
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
        "contact_reference_locations_stats": lambda: spec(
            "contact_reference_locations_stats",
            nested("contact_balance", balances()),
            nested("contact_locations", st.sampled_from(LON_LAT).flatmap(reference_locations)),
            statistics,
        ),
        "per_contact_event_stats": lambda: spec(
            "per_contact_event_stats", nested("contact_balance", balances()), statistics
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
    }
)
WORLDS.update(
    dict.fromkeys(
        (
            "contact_entropy",
            "contact_balance",
            "counterparts_subset",
            "contact_reciprocal",
            "proportion_contact_reciprocal",
            "proportion_event_reciprocal",
            "contact_reference_locations_stats",
            "per_contact_event_stats",
            "distance_counterparts",
            "subscriber_call_durations",
            "per_location_subscriber_call_durations",
            "paired_subscriber_call_durations",
            "paired_per_location_subscriber_call_durations",
        ),
        conversations,
    )
)
