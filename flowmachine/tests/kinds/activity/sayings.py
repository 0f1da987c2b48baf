"""What readers expect of the summaries of kinds about activity."""

from __future__ import annotations

import math
from datetime import date

from ..sayings import OTHERS, QUIET, TALKS, WINDOW, says

FRIDAY, SATURDAY, SUNDAY = (date(2016, 1, day) for day in (1, 2, 3))
AT_B = 70

says(
    "active_residents",
    "The residents of each location and those of them with an event, by day.",
    [
        ("B", FRIDAY, OTHERS, OTHERS, 1.0),
        ("B", SATURDAY, OTHERS, OTHERS, 1.0),
        ("B", SUNDAY, OTHERS, OTHERS, 1.0),
        ("b", FRIDAY, AT_B, AT_B, 1.0),
        ("b", SATURDAY, AT_B, AT_B - QUIET, (AT_B - QUIET) / AT_B),
        ("b", SUNDAY, AT_B, AT_B - QUIET, (AT_B - QUIET) / AT_B),
    ],
)
says(
    "activity_statistic",
    "A statistic over days of how much each subscriber used their phone.",
    # The others had two events, one and two on the days.
    {"stay": [(1.0,)], "leave": [(1.0,)], "return": [(1.0,)], "quiet": [(1.0,)], "others": [(5 / 3,)]},
)
says(
    "event_count",
    "The number of each subscriber's events.",
    {"stay": [(3,)], "leave": [(3,)], "return": [(3,)], "quiet": [(1,)], "others": [(5,)]},
)
says(
    "total_active_periods",
    "The number of periods in which each subscriber was active.",
    {"stay": [(3,)], "leave": [(3,)], "return": [(3,)], "quiet": [(1,)], "others": [(3,)]},
    total_periods=3,
)
says(
    "nocturnal_events",
    "The percentage of each subscriber's events that fall in the night.",
    {"ann": [(25.0,)], "bob": [(0.0,)], "cat": [(100.0,)]},
    world=TALKS,
)
says(
    "active_subscribers",
    "Subscribers active in enough minor periods of enough major periods.",
    {"stay": [()], "leave": [()], "return": [()], "others": [()]},
    start_date="2016-01-01",
    minor_period_length=1,
    minor_periods_per_major_period=24,
    total_major_periods=3,
    minor_period_threshold=1,
    major_period_threshold=2,
)
says(
    "interevent_interval",
    "Take a statistic of the seconds between each subscriber's events.",
    {"ann": [(36000,)], "bob": [(3600,)], "cat": [(None,)]},
    world=TALKS,
    **WINDOW,
    direction="both",
    statistic="max",
)
says(
    "interevent_period",
    "Take a statistic of the times between each subscriber's events in whole units.",
    {"ann": [(10,)], "bob": [(1,)], "cat": [(None,)]},
    world=TALKS,
    **WINDOW,
    direction="both",
    statistic="max",
)
says(
    "periodic_entropy",
    "Compute the entropy, in nats, of the phases of each subscriber's events.",
    # Four hours, three, and one.
    {"ann": [(math.log(4),)], "bob": [(math.log(3),)], "cat": [(0.0,)]},
    world=TALKS,
    **WINDOW,
)
says(
    "proportion_event_type",
    "Divide a subscriber's events of some types, if any, by all of the subscriber's.",
    {"ann": [(0.25,)], "cat": [(1.0,)]},
    world=TALKS,
    **WINDOW,
    numerator=["sms"],
)
says(
    "per_location_event_stats",
    "Take a statistic of each subscriber's numbers of events at each location.",
    # Bob had two events at one cell and one at another.
    {"ann": [(4,)], "bob": [(1.5,)], "cat": [(1,)]},
    world=TALKS,
    **WINDOW,
)
says(
    "unique_subscribers",
    "List everybody who had an event, located or not, once each.",
    {"ann": [()], "bob": [()], "cat": [()]},
    world=TALKS,
    **WINDOW,
)
says(
    "new_subscribers",
    "Select the subscribers of ``focal`` who are not among those of ``benchmark``.",
    {"quiet": [()]},
    focal={"query_kind": "unique_subscribers", "start_date": "2016-01-01", "end_date": "2016-01-02"},
    benchmark={"query_kind": "unique_subscribers", "start_date": "2016-01-02", "end_date": "2016-01-04"},
)
