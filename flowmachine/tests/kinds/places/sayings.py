"""What readers expect of the summaries of kinds about places."""

from __future__ import annotations

from datetime import date
from typing import Any

from ..sayings import WINDOW, says
from ..specs import daily, majority, visits, window
from ..world import World, drawn, moment

FRIDAY, SATURDAY, SUNDAY = (date(2016, 1, day) for day in (1, 2, 3))
WEEKEND = [daily(day) for day in (1, 2, 3)]

#: Where most of the three days were spent: the only day of the quiet was at b.
MOSTLY = {"stay": [("b",)], "leave": [("B",)], "return": [("b",)], "quiet": [("b",)], "others": [("B",)]}

says(
    "daily_location",
    "One location per subscriber: the last or the most common of a day.",
    {"stay": [("b",)], "leave": [("B",)], "return": [("B",)], "others": [("B",)]},
    date="2016-01-02",
)
says(
    "modal_location",
    "One location per subscriber: the most frequent among daily locations.",
    MOSTLY,
    locations=WEEKEND,
)
says(
    "monthly_location",
    "One location per subscriber: the most frequent daily location of a month.",
    MOSTLY,
    minimum_days=1,
)
says("most_frequent_location", "One location per subscriber: the one with most events.", MOSTLY)
says("visited_most_days", "One location per subscriber: the one seen at on most days.", MOSTLY)
says(
    "last_location",
    "Locate each subscriber at the latest located event.",
    MOSTLY,
    **WINDOW,
)
says(
    "majority_location",
    "One location per subscriber: the one with more than half of the weight, if any.",
    {"stay": [("b",)], "quiet": [("b",)], "others": [("B",)]},
    subscriber_location_weights=visits(1, 2),
)
says(
    "coalesced_location",
    "One location per subscriber: preferred, else a fallback visited often enough.",
    # Nobody prefers a place on Saturday among the quiet, who were at b once; the fallback needs one visit.
    {"stay": [("b",)], "leave": [("B",)], "return": [("B",)], "quiet": [("b",)], "others": [("B",)]},
    preferred_location=majority(2),
    fallback_location=majority(1),
    subscriber_location_weights=visits(1, 2, 3),
    weight_threshold=1,
)
says(
    "location_visits",
    "The number of given locations that place each subscriber at each place.",
    {
        "stay": [("b", 3)],
        "leave": [("B", 2), ("b", 1)],
        "return": [("B", 1), ("b", 2)],
        "quiet": [("b", 1)],
        "others": [("B", 3)],
    },
    locations=WEEKEND,
)
says(
    "unique_locations",
    "All locations that each subscriber was seen at.",
    {
        "stay": [("b",)],
        "leave": [("B",), ("b",)],
        "return": [("B",), ("b",)],
        "quiet": [("b",)],
        "others": [("B",)],
    },
)
says(
    "unique_location_counts",
    "The number of locations each subscriber was seen at.",
    {"stay": [(1,)], "leave": [(2,)], "return": [(2,)], "quiet": [(1,)], "others": [(1,)]},
)
says(
    "filtered_reference_location",
    "Keep subscribers whose reference location has a number of visits in bounds.",
    {"stay": [("b",)], "return": [("b",)], "others": [("B",)]},
    reference_location=daily(1),
    visits=visits(1, 2, 3),
    lower_bound=2,
)
says(
    "first_location",
    "Find when each subscriber was first seen at one of the places ``location``.",
    {
        "leave": [(moment("2 10:00"),)],
        "return": [(moment("2 10:00"),)],
        "others": [(moment("1 10:00"),)],
    },
    **WINDOW,
    aggregation_unit="admin3",
    location="B",
)
says(
    "subscriber_locations",
    "List every located event: subscriber, wall-clock time and location.",
    {
        "stay": [(moment(f"{day} 10:00"), "b") for day in (1, 2, 3)],
        "leave": [(moment("1 10:00"), "b"), (moment("2 10:00"), "B"), (moment("3 10:00"), "B")],
        "return": [(moment("1 10:00"), "b"), (moment("2 10:00"), "B"), (moment("3 10:00"), "b")],
        "quiet": [(moment("1 10:00"), "b")],
        "others": [(moment(time), "B") for time in ("1 10:00", "1 11:00", "2 10:00", "3 10:00", "3 11:00")],
    },
    **WINDOW,
    aggregation_unit="admin3",
)
says(
    "call_days",
    "Count calendar days with an event for each subscriber and location.",
    {
        "stay": [("b", 3)],
        "leave": [("B", 2), ("b", 1)],
        "return": [("B", 1), ("b", 2)],
        "quiet": [("b", 1)],
        "others": [("B", 3)],
    },
    subscriber_locations=window("subscriber_locations"),
)
says(
    "subscriber_location_subset",
    "List locations at which a subscriber had at least ``min_calls`` calls.",
    {"stay": [("b",)], "leave": [("B",)], "return": [("b",)], "others": [("B",)]},
    **WINDOW,
    aggregation_unit="admin3",
    min_calls=2,
)


def hours(*people: tuple[str, str, str]) -> World:
    """Draw people with an event in the middle of hours at b, and then of hours at B."""
    lines = ["subscriber | time | cell"]
    for names, at_b, at_other in people:
        for cell, held in (("in-b", at_b), ("in-B", at_other)):
            lines += [f"{names} | 1 {hour}:30 | {cell}" for hour in held.split()]
    return drawn("\n".join(lines))


#: Eight hours at b and two at B; the others the same the other way round.
DAY = hours(("ann", "08 09 10 11 12 13 14 15", "20 21"), ("bob", "20 21", "08 09 10 11 12 13 14 15"))
DAILY: dict[str, Any] = {
    "query_kind": "daily_permanence",
    "start_date": "2016-01-01",
    "end_date": "2016-01-02",
    "aggregation_unit": "admin3",
}
#: The names of hours as slots, sorted as text.
EIGHT, TWO = (10, 11, 12, 13, 14, 15, 8, 9), (20, 21)

says(
    "daily_permanence",
    "Locations by subscriber, day and slot of the day.",
    {
        "ann": [("B", FRIDAY, slot) for slot in TWO] + [("b", FRIDAY, slot) for slot in EIGHT],
        "bob": [("B", FRIDAY, slot) for slot in EIGHT] + [("b", FRIDAY, slot) for slot in TWO],
    },
    world=DAY,
    end_date="2016-01-02",
)
says(
    "permanence",
    "Count the slots that each subscriber spends at each location.",
    {
        "ann": [("B", 2, 1, 10, 1), ("b", 8, 1, 10, 1)],
        "bob": [("B", 8, 1, 10, 1), ("b", 2, 1, 10, 1)],
    },
    world=DAY,
    daily_permanence=DAILY,
)
says(
    "permanence_of_day",
    "Find the slots of one day that each subscriber spends at each location.",
    lambda rows: (
        {(row[0], row[2], row[3].bit_count(), row[4].bit_count()) for row in rows}
        == {("ann", "b", 4, 4), ("ann", "B", 0, 2), ("bob", "b", 0, 2), ("bob", "B", 4, 4)}
    ),
    world=DAY,
    aggregation_unit="admin3",
    date="2016-01-01",
)
says(
    "permanence_location",
    "One location per subscriber: home or workplace by the time spent there.",
    {"ann": [("b",)], "bob": [("B",)]},
    world=DAY,
    daily_permanence=DAILY,
    min_score=1,
    min_days=1,
)
