"""What readers expect of the summaries of kinds about movement."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from typing import Any

from ..oracle import metres
from ..sayings import (
    APART,
    LEAVE,
    NEAR,
    OTHERS,
    POINT_B,
    POINT_OTHER,
    QUIET,
    RETURN,
    STAY,
    TALKS,
    WINDOW,
    says,
)
from ..specs import classified, daily, on, window
from ..world import MONTHS, Event, World, drawn, moment
from .drawing_residence_change import daily_homes

FRIDAY, SATURDAY, SUNDAY = (date(2016, 1, day) for day in (1, 2, 3))
NOT_MOVED: dict[str, Any] = {"stay": [(0.0,)], "quiet": [(0.0,)]}
#: Both of those who moved were at one place once and at the other twice.
SHARES = (1 / 3, 2 / 3)
MOVED = -sum(share * math.log2(share) for share in SHARES)


def spread(*weighted: tuple[float, tuple[float, float]]) -> float:
    """The root of the mean square of kilometres from the mean point."""
    centre = tuple(sum(share * point[axis] for share, point in weighted) for axis in (0, 1))
    squares = (share * (metres(point, (centre[0], centre[1])) / 1000) ** 2 for share, point in weighted)
    return math.sqrt(sum(squares))


LEFT = spread((1 / 3, POINT_B), (2 / 3, POINT_OTHER))
RETURNED = spread((2 / 3, POINT_B), (1 / 3, POINT_OTHER))
AROUND = spread((0.8, POINT_OTHER), (0.2, (85.5, 27.25)))

for kind, sentence in (
    ("radius_of_gyration", "How far from their centre each subscriber ranges, in kilometres."),
    (
        "k_radius_of_gyration",
        "How far from their centre subscribers' most frequent places lie, in kilometres.",
    ),
):
    says(kind, sentence, {**NOT_MOVED, "leave": [(LEFT,)], "return": [(RETURNED,)], "others": [(AROUND,)]})
says(
    "jump_lengths",
    "A statistic of the distances in km between each subscriber's successive events.",
    # The others have four pairs of events, all but one at one point. One event has no next.
    {"stay": [(0.0,)], "leave": [(APART / 2,)], "return": [(APART,)], "others": [(NEAR / 4,)]},
    statistic="avg",
)
says(
    "distance_travelled",
    "The distance in km that each subscriber travels from event to event.",
    {**NOT_MOVED, "leave": [(APART,)], "return": [(2 * APART,)], "others": [(NEAR,)]},
)
says(
    "displacement",
    "A statistic of each subscriber's distance in km from a reference location.",
    {**NOT_MOVED, "leave": [(APART,)], "return": [(APART,)], "others": [(NEAR,)]},
    statistic="max",
)
says(
    "mobility_entropy",
    "How evenly each subscriber's events are spread over places, in bits.",
    {
        **NOT_MOVED,
        "leave": [(MOVED,)],
        "return": [(MOVED,)],
        "others": [(-0.8 * math.log2(0.8) - 0.2 * math.log2(0.2),)],
    },
)
says(
    "location_entropy",
    "Compute the entropy, in nats, of the locations of each subscriber's events.",
    {"ann": [(0.0,)], "bob": [(-sum(share * math.log(share) for share in SHARES),)], "cat": [(0.0,)]},
    world=TALKS,
    **WINDOW,
)
says(
    "mobility_classification",
    "A label per subscriber, by how they moved over several periods.",
    # A stay of two days makes one stable.
    {
        "stay": [("stable",)],
        "leave": [("stable",)],
        "return": [("mobile",)],
        "others": [("stable",)],
    },
    **{name: value for name, value in classified(on(1), on(2), on(3)).items() if name != "query_kind"},
)
says(
    "displacement_status",
    "A status by subscriber and period: at home, away, displaced, returned, not seen.",
    {
        "stay": [("b", 1, "at_home"), ("b", 2, "at_home")],
        "leave": [("b", 1, "displaced"), ("b", 2, "displaced")],
        # One day elsewhere is short of two.
        "return": [("b", 1, "away"), ("b", 2, "at_home")],
        "quiet": [("b", 1, "not_seen"), ("b", 2, "not_seen")],
        "others": [("B", 1, "at_home"), ("B", 2, "at_home")],
    },
    locations=[daily(2), daily(3)],
    minimum_periods=2,
)
says(
    "day_trajectories",
    "List the rows of all daily locations with the start of each as ``date``.",
    {
        "stay": [("b", moment("1")), ("b", moment("2"))],
        "leave": [("B", moment("2")), ("b", moment("1"))],
        "return": [("B", moment("2")), ("b", moment("1"))],
        "quiet": [("b", moment("1"))],
        "others": [("B", moment("1")), ("B", moment("2"))],
    },
    locations=[daily(1), daily(2)],
)
SERIES: dict[str, Any] = {
    "subscriber_locations": window("subscriber_locations", aggregation_unit="lon-lat"),
    "reference_location": daily(1, aggregation_unit="lon-lat"),
    "statistic": "max",
}
says(
    "distance_series",
    "Take a statistic of distances from one place by subscriber and period.",
    {
        "stay": [(FRIDAY, 0.0), (SATURDAY, 0.0), (SUNDAY, 0.0)],
        "leave": [(FRIDAY, 0.0), (SATURDAY, APART), (SUNDAY, APART)],
        "return": [(FRIDAY, 0.0), (SATURDAY, APART), (SUNDAY, 0.0)],
        "quiet": [(FRIDAY, 0.0)],
        "others": [(FRIDAY, 0.0), (SATURDAY, 0.0), (SUNDAY, NEAR)],
    },
    **SERIES,
)
says(
    "imputed_distance_series",
    "Complete a distance series with a row for every period of its window.",
    # Four of five hours are known; the gap lies between two zeros.
    {"ann": [(moment(f"1 {hour:02}:00"), 0.0) for hour in range(8, 13)]},
    world=drawn(
        """
        subscriber | time    | cell
        ann        | 1 08:00 | in-b
        ann        | 1 09:00 | in-b
        ann        | 1 11:00 | in-b
        ann        | 1 12:00 | in-b
        """
    ),
    distance_series={
        "query_kind": "distance_series",
        **SERIES,
        "subscriber_locations": window(
            "subscriber_locations", "2016-01-01 08:00", "2016-01-01 13:00", aggregation_unit="lon-lat"
        ),
        "time_bucket": "hour",
    },
)
says(
    "subscriber_stay_lengths",
    "Take a statistic of the lengths of each subscriber's stays, in periods.",
    {"stay": [(3,)], "leave": [(2,)], "return": [(1,)], "quiet": [(1,)], "others": [(3,)]},
    locations=[daily(day) for day in (1, 2, 3)],
    statistic="max",
)
VISITED = window("unique_locations")
LATER = window("unique_locations", "2016-01-02")
says(
    "unmoving",
    "Tell of each located subscriber whether there was one location only.",
    {"stay": [(True,)], "leave": [(False,)], "return": [(False,)], "quiet": [(True,)], "others": [(True,)]},
    unique_locations=VISITED,
)
says(
    "unmoving_at_reference_location",
    "Tell of each located subscriber whether they never left the reference location.",
    {"stay": [(True,)], "leave": [(False,)], "return": [(False,)], "others": [(True,)]},
    unique_locations=LATER,
    reference_location=daily(1),
)
says(
    "active_at_reference_location",
    "Tell of each subscriber with a reference location whether they were seen there.",
    {"stay": [(True,)], "leave": [(False,)], "return": [(True,)], "quiet": [(False,)], "others": [(True,)]},
    unique_locations=LATER,
    reference_location=daily(1),
)


def lived(**cells: str) -> World:
    """Let sixteen people of each name live each month at a, b or nowhere."""
    places = {"a": "in-b", "b": "in-B"}
    events = [
        Event(f"{name}{number}", datetime.combine(day, time(12)), places[letter])
        for name, letters in cells.items()
        for number in range(16)
        for day, letter in zip(MONTHS, letters, strict=True)
    ]
    return World(events, frozenset(("calls", day) for day in MONTHS))


says(
    "residence_change",
    "Subscribers by their stable homes before and after a move, by month.",
    [("b", "B", date(2016, 8, 1), 16, 16)],
    world=lived(moves="aaaaaaabbbbbbb", visits="aaaaaabaaaaaaa", stays="bbbbbbbbbbbbbb"),
    homes=daily_homes({"aggregation_unit": "admin3"}),
)

#: Two hours at b, and one at B in the evening.
EVENING_OUT = drawn(
    """
    subscriber | time    | cell
    ann        | 1 08:05 | in-b
    ann        | 1 10:00 | in-b
    ann        | 1 20:05 | in-B
    ann        | 1 21:00 | in-B
    """
)
STAYS: dict[str, Any] = {
    "query_kind": "stays",
    **WINDOW,
    "end_date": "2016-01-02",
    "aggregation_unit": "admin3",
}


def clock(text: str) -> datetime:
    return moment(f"1 {text}")


says(
    "stays",
    "Spans of time at a location, on the move or unknown, by subscriber.",
    lambda rows: (
        sorted(rows, key=lambda row: row[1])
        == [
            ("ann", clock("00:00"), clock("08:00"), "unknown", None),
            ("ann", clock("08:00"), clock("10:05"), "stay", "b"),
            ("ann", clock("10:05"), clock("20:00"), "unknown", None),
            ("ann", clock("20:00"), clock("21:00"), "stay", "B"),
            ("ann", clock("21:00"), clock("00:00") + timedelta(days=1), "unknown", None),
        ]
    ),
    world=EVENING_OUT,
    end_date="2016-01-02",
)
says(
    "longest_stay",
    "One location per subscriber: where they stayed longest on a day.",
    {"ann": [("b",)]},
    world=EVENING_OUT,
    stays=STAYS,
)
says(
    "overnight_location",
    "One location per subscriber: where they stayed through a night.",
    # Bob is out from midnight to six, and Cid's night at b begins at half past four.
    {"ann": [("b",)]},
    world=drawn(
        """
        subscriber | time    | cell
        ann        | 1 21:00 | in-b
        ann        | 2 08:00 | in-b
        bob        | 1 21:00 | in-b
        bob        | 1 23:50 | in-b
        bob        | 2 06:00 | in-B
        cid        | 1 21:00 | in-B
        cid        | 2 04:30 | in-b
        cid        | 2 08:00 | in-b
        """
    ),
    stays=STAYS | {"end_date": "2016-01-03"},
)
says(
    "stay_time",
    "A statistic of the hours of each subscriber's stays.",
    {"ann": [(125 / 60 + 1,)]},
    world=EVENING_OUT,
    stays=STAYS,
    statistic="sum",
)
says(
    "population_weighted_opportunities",
    "Predict trips between the places where subscribers mostly are.",
    # A tenth of those mostly at a site leave it, all for the only other one.
    lambda rows: (
        sorted((row[0][0], row[1][0], round(row[2], 9), row[3]) for row in rows)
        == [
            ("beside p", "p", (OTHERS + LEAVE) / 10, 1.0),
            ("p", "beside p", (STAY + RETURN + QUIET) / 10, 1.0),
        ]
    ),
    start_date="2016-01-01",
    end_date="2016-01-03",
    aggregation_unit="versioned-site",
)
