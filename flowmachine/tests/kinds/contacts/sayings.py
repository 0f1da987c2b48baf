"""What readers expect of the summaries of kinds about contacts."""

from __future__ import annotations

import math
from typing import Any

from ..sayings import APART, TALKS, WINDOW, says
from ..specs import daily

BALANCE: dict[str, Any] = {"query_kind": "contact_balance", **WINDOW}
RECIPROCAL: dict[str, Any] = {"query_kind": "contact_reciprocal", **WINDOW}


def talk(kind: str, sentence: str, *, ann: Any = None, bob: Any = None, cat: Any = None, **more: Any) -> None:
    """Say what a kind tells of each of the three, rows or a value."""
    told = {"ann": ann, "bob": bob, "cat": cat}
    rows = {
        name: value if isinstance(value, list) else [(value,)]
        for name, value in told.items()
        if value is not None
    }
    says(kind, sentence, rows, world=TALKS, **more)


talk("subscriber_degree", "The number of people each subscriber was in contact with.", ann=2, bob=1, cat=1)
talk(
    "pareto_interactions",
    "The share of contacts, busiest first, behind a share of a subscriber's events.",
    # Bob alone is behind three quarters of Ann's events.
    ann=0.5,
    bob=1.0,
    cat=1.0,
    proportion=0.75,
)
talk(
    "contact_balance",
    "Count events between each subscriber and contact, with their share.",
    ann=[("bob", 3, 0.75), ("cat", 1, 0.25)],
    bob=[("ann", 3, 1.0)],
    cat=[("ann", 1, 1.0)],
    **WINDOW,
)
talk(
    "contact_entropy",
    "Compute the entropy, in nats, of the contacts of each subscriber's events.",
    ann=-0.75 * math.log(0.75) - 0.25 * math.log(0.25),
    bob=0.0,
    cat=0.0,
    **WINDOW,
)
talk(
    "contact_reciprocal",
    "Count events in and out for each subscriber and contact, with their shares.",
    ann=[("bob", 1, 2, 1.0, 2 / 3, True), ("cat", 0, 1, 0.0, 1 / 3, False)],
    bob=[("ann", 2, 1, 1.0, 1.0, True)],
    cat=[("ann", 1, 0, 1.0, 0.0, False)],
    **WINDOW,
)
talk(
    "proportion_contact_reciprocal",
    "Compute the share of each subscriber's contacts that are reciprocal, 0 to 1.",
    ann=0.5,
    bob=1.0,
    cat=0.0,
    contact_reciprocal=RECIPROCAL,
)
talk(
    "proportion_event_reciprocal",
    "Compute the share of each subscriber's events with reciprocal contacts, 0 to 1.",
    ann=0.75,
    bob=1.0,
    cat=0.0,
    contact_reciprocal=RECIPROCAL,
    direction="both",
    **WINDOW,
)
talk(
    "contact_reference_locations_stats",
    "Take a statistic of the distances to contacts' reference locations.",
    # Bob was mostly at B, the two others at b.
    ann=APART,
    bob=APART,
    cat=0.0,
    contact_balance=BALANCE,
    contact_locations=daily(1, "most-common", aggregation_unit="lon-lat"),
    statistic="max",
)
talk(
    "distance_counterparts",
    "Take a statistic of the distance between the two parties of each event.",
    # Of Ann's and Bob's three calls the last was at one place.
    ann=APART / 2,
    bob=APART * 2 / 3,
    cat=0.0,
    **WINDOW,
)
talk(
    "counterparts_subset",
    "List every contact once; ``include_subscribers`` adds the contacts' subscribers.",
    ann=[()],
    bob=[()],
    cat=[()],
    contact_balance=BALANCE,
)
talk(
    "per_contact_event_stats",
    "Take a statistic of each subscriber's numbers of events with each contact.",
    ann=2.0,
    bob=3.0,
    cat=1.0,
    contact_balance=BALANCE,
)
talk(
    "subscriber_call_durations",
    "Take a statistic of the seconds of each subscriber's calls.",
    ann=180,
    bob=180,
    direction="both",
    **WINDOW,
)
talk(
    "per_location_subscriber_call_durations",
    "Take a statistic of the seconds of each subscriber's calls at each location.",
    ann=[("b", 180)],
    bob=[("B", 120), ("b", 60)],
    direction="both",
    **WINDOW,
)
talk(
    "paired_subscriber_call_durations",
    "Take a statistic of the seconds of each subscriber's calls by counterpart.",
    ann=[("bob", 180)],
    bob=[("ann", 180)],
    direction="both",
    **WINDOW,
)
talk(
    "paired_per_location_subscriber_call_durations",
    "Take a statistic of calls' seconds by subscriber, counterpart and locations.",
    ann=[("b", "bob", "B", 120), ("b", "bob", "b", 60)],
    bob=[("B", "ann", "b", 120), ("b", "ann", "b", 60)],
    direction="both",
    **WINDOW,
)
