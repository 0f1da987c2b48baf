"""What readers expect of the summaries of aggregates."""

from __future__ import annotations

import itertools
from datetime import date
from typing import Any

from ..sayings import LEAVE, OTHERS, QUIET, RETURN, STAY, WINDOW, says
from ..specs import classified, daily, meaningful, on, window
from ..world import World, drawn, moment

FRIDAY, SATURDAY, SUNDAY = (date(2016, 1, day) for day in (1, 2, 3))
#: Those who were at b on Friday, and all who were at B at some time.
AT_B = STAY + LEAVE + RETURN + QUIET
EVER_AT_OTHER = LEAVE + RETURN + OTHERS
THEN: dict[str, Any] = {"to_location": daily(2)}
MOVED = LEAVE + RETURN

says("spatial_aggregate", "The number of subscribers at each location.", [("B", OTHERS), ("b", AT_B)])
says(
    "unique_subscriber_counts",
    "The number of subscribers seen at each location.",
    [("B", EVER_AT_OTHER), ("b", AT_B)],
)
says(
    "unique_visitor_counts",
    "Subscribers seen at each location, less those whose reference location it is.",
    [("B", MOVED)],
)
says(
    "active_at_reference_location_counts",
    "The number of subscribers seen at their reference location.",
    # Seen from Saturday on at the place of Friday.
    [("B", OTHERS), ("b", STAY + RETURN)],
    unique_locations=window("unique_locations", "2016-01-02"),
)
says(
    "unmoving_at_reference_location_counts",
    "The number of subscribers seen at their reference location only.",
    [("B", OTHERS), ("b", STAY + QUIET)],
)
says(
    "unmoving_counts",
    "The number of subscribers seen at one location only.",
    [("B", OTHERS), ("b", STAY + QUIET)],
)
says(
    "flows",
    "The number of subscribers at one location first and at any location second.",
    [("B", "B", OTHERS), ("b", "B", MOVED), ("b", "b", STAY)],
    **THEN,
)
says(
    "inflows",
    "The flows to each location from all origins, including those who stayed.",
    [("B", OTHERS + MOVED), ("b", STAY)],
    **THEN,
)
says(
    "outflows",
    "The flows from each location to all destinations, including those who stayed.",
    [("B", OTHERS), ("b", STAY + MOVED)],
    **THEN,
)
says(
    "trips_od_matrix",
    "The number of subscribers seen at one location before they were last at another.",
    [("B", "b", RETURN), ("b", "B", MOVED)],
)
says(
    "consecutive_trips_od_matrix",
    "The number of subscribers seen at one location, then at another or the same.",
    [("B", "B", LEAVE + OTHERS), ("B", "b", RETURN), ("b", "B", MOVED), ("b", "b", STAY)],
)
says(
    "location_event_counts",
    "The number of events at each location, by day, hour or minute.",
    [
        ("B", str(FRIDAY), 2 * OTHERS),
        ("B", str(SATURDAY), EVER_AT_OTHER),
        ("B", str(SUNDAY), 2 * OTHERS + LEAVE),
        ("b", str(FRIDAY), AT_B),
        ("b", str(SATURDAY), STAY),
        ("b", str(SUNDAY), STAY + RETURN),
    ],
    end_date="2016-01-04",
)
says(
    "calendar_activity",
    "The number of subscribers by the periods in which they were active.",
    [([moment("1")], QUIET), ([moment(day) for day in "123"], STAY + LEAVE + RETURN + OTHERS)],
    total_periods=3,
)
says(
    "localised_calendar_activity",
    "The number of subscribers by location and by their active periods.",
    [
        ("B", [moment(day) for day in "123"], OTHERS),
        ("b", [moment("1")], QUIET),
        ("b", [moment(day) for day in "123"], STAY + LEAVE + RETURN),
    ],
    total_periods=3,
)
says(
    "present_population",
    "The number of subscribers at each location at points of time.",
    [
        ("B", moment("1 10:00"), OTHERS),
        ("B", moment("2 10:00"), EVER_AT_OTHER),
        ("b", moment("1 10:00"), AT_B),
        ("b", moment("2 10:00"), STAY),
    ],
    start_date="2016-01-01 10:00",
    end_date="2016-01-02 10:00",
    interval_minutes=1440,
)
says(
    "histogram_aggregate",
    "The number of subscribers by ranges of a metric.",
    [(STAY + QUIET + OTHERS, 1.0, 2.0), (MOVED, 2.0, 3.0)],
    metric=window("unique_location_counts"),
    bins={"bin_list": [1, 2, 3]},
)
says(
    "joined_spatial_aggregate",
    "A statistic or the distribution of a metric over each location's subscribers.",
    # Numbers of events: three of each who was at b but the quiet, who had one; five of each of the others.
    [("B", 5.0), ("b", (3 * (STAY + LEAVE + RETURN) + QUIET) / AT_B)],
    metric={"query_kind": "event_count", **WINDOW},
    method="avg",
)
MOVERS = classified(on(1), on(2))
says(
    "labelled_spatial_aggregate",
    "The number of subscribers at each location, by label.",
    # The quiet were not seen on the second day, so that they have no label.
    [("B", "stable", OTHERS), ("b", "mobile", MOVED), ("b", "stable", STAY), ("b", None, QUIET)],
    locations=on(1),
    labels=MOVERS,
)
says(
    "labelled_flows",
    "The number of subscribers by first and second location and label.",
    [("B", "B", "stable", OTHERS), ("b", "B", "mobile", MOVED), ("b", "b", "stable", STAY)],
    from_location=on(1),
    to_location=on(2),
    labels=MOVERS,
)
says(
    "displaced_counts",
    "Residents at home, away, displaced, returned or unseen, by place and period.",
    [
        ("B", 1, "at_home", OTHERS, 1.0, None, None),
        ("B", 2, "at_home", OTHERS, 1.0, None, None),
        ("b", 1, "at_home", STAY, STAY / (STAY + MOVED), None, None),
        ("b", 1, "displaced", MOVED, MOVED / (STAY + MOVED), None, None),
        ("b", 1, "not_seen", QUIET, None, None, None),
        ("b", 2, "at_home", STAY, STAY / (STAY + MOVED), None, None),
        ("b", 2, "displaced", LEAVE, LEAVE / (STAY + MOVED), None, None),
        ("b", 2, "not_seen", QUIET, None, None, None),
        ("b", 2, "returned", RETURN, RETURN / (STAY + MOVED), None, None),
    ],
    displacement_status={
        "query_kind": "displacement_status",
        "reference_location": daily(1),
        "locations": [daily(2), daily(3)],
    },
)
says(
    "population_estimate",
    "A count as people: each subscriber times the people per subscriber at home.",
    # The table has 6,000 people in b and 8,000 in B, for whom those there on Friday stand.
    [
        ("B", EVER_AT_OTHER, MOVED * 6000 / AT_B + 8000.0, EVER_AT_OTHER, 1.0),
        ("b", STAY, STAY * 6000 / AT_B, STAY, 1.0),
    ],
    counts={"query_kind": "spatial_aggregate", "locations": daily(2)},
    weights_table="geography.weights",
    minimum_residents=16,
)
says("dummy_query", "Nothing, after a while. Test servers only.", lambda rows: "anything" in rows[0])

#: At b sixteen call each other, and forty-eight call as many at B.
TALKING = "\n".join(
    ["subscriber | time | id | outgoing | counterpart | cell"]
    + [
        f"{who}{n} | 1 10:00 | {ends}{n} | {way} | {other}{n} | {cell}"
        for ends, number, caller, called, place in (("e", 16, "a", "b", "in-b"), ("f", 48, "c", "d", "in-B"))
        for n in range(number)
        for who, way, other, cell in ((caller, "out", called, "in-b"), (called, "in", caller, place))
    ]
)
says(
    "location_introversion",
    "The share of each location's events whose other party is there too.",
    # Of 80 events at b, made or received, 32 are with b.
    [("B", 0.0), ("b", 32 / 80)],
    world=drawn(TALKING),
)

#: Nights at b, or some nights at b and some elsewhere, and days at é: see the labels' scores.
COMMUTERS = drawn(
    """
    subscriber | time    | cell
    one1..17   | 1 22:00 | in-b
    one1..17   | 2 22:00 | in-b
    one1..17   | 1 10:00 | in-é
    two1..46   | 1 22:00 | in-b
    two1..46   | 2 22:00 | in-two-regions
    two1..46   | 1 12:00 | in-é
    """
)
NIGHTS: dict[str, Any] = {
    name: value for name, value in meaningful("x").items() if name not in ("query_kind", "aggregation_unit")
}
says(
    "meaningful_locations_aggregate",
    "Subscribers by area of their locations of a label; of n such each counts 1/n.",
    # Sites of "in-two-regions" lie in two areas.
    lambda rows: ("evening", "b", 17.0 + 46 / 2) in rows,
    world=COMMUTERS,
    **NIGHTS,
    label="evening",
)
says(
    "meaningful_locations_between_label_od_matrix",
    "Subscribers by areas of locations of two labels; of n pairs each counts 1/n.",
    lambda rows: ("evening", "day", "b", "é", 17.0 + 46 / 2) in rows,
    world=COMMUTERS,
    **NIGHTS,
    label_a="evening",
    label_b="day",
)
says(
    "meaningful_locations_between_dates_od_matrix",
    "Subscribers by areas of locations in two periods; of n pairs each counts 1/n.",
    # On both days one had one place for the evening; over both days two of them had two.
    lambda rows: ("evening", "evening", "b", "b", 17.0 + 46 / 2) in rows,
    world=COMMUTERS,
    **NIGHTS,
    start_date_a="2016-01-01",
    end_date_a="2016-01-02",
    start_date_b="2016-01-01",
    end_date_b="2016-01-03",
    label="evening",
)
says(
    "event_score",
    "Score each site of a subscriber by the hours and weekdays of the events there.",
    # Nights score one and days minus one; every weekday scores one half.
    {
        "one": [(("p", 0, 84.25, 27.25), 2, 1.0, 0.5), (("é", 0, 85.625, 28.8125), 1, -1.0, 0.5)],
        "two": [
            (("p", 0, 84.25, 27.25), 1, 1.0, 0.5),
            (("two", 0, 84.8125, 28.6875), 1, 1.0, 0.5),
            (("é", 0, 85.625, 28.8125), 1, -1.0, 0.5),
        ],
    },
    world=COMMUTERS,
    **WINDOW,
    **{name: value for name, value in NIGHTS.items() if name != "labels"},
)
says(
    "meaningful_locations",
    "Cluster each subscriber's sites, and label the clusters by their scores.",
    {
        "one": [(84.25, 27.25, "evening", 1.0, 0.5), (85.625, 28.8125, "day", -1.0, 0.5)],
        "two": [
            (84.25, 27.25, "evening", 1.0, 0.5),
            (84.8125, 28.6875, "evening", 1.0, 0.5),
            (85.625, 28.8125, "day", -1.0, 0.5),
        ],
    },
    world=COMMUTERS,
    **WINDOW,
    **NIGHTS,
)


def hours(*people: tuple[str, str, str], day: int = 1) -> list[str]:
    """Draw lines of people with an event in each of some hours at b, then at B."""
    return [
        f"{names} | {day} {hour}:30 | {cell}"
        for names, *days in people
        for cell, held in zip(("in-b", "in-B"), days, strict=True)
        for hour in held.split()
    ]


def lines(*drawings: list[str]) -> World:
    return drawn("\n".join(["subscriber | time | cell", *itertools.chain(*drawings)]))


WORKING = "08 09 10 11 12 13 14 15"
PERIODS: dict[str, Any] = {
    name: {
        "query_kind": "daily_permanence",
        "start_date": f"2016-01-0{day}",
        "end_date": f"2016-01-0{day + 1}",
        "aggregation_unit": "admin3",
    }
    for name, day in (("previous", 1), ("new", 2))
}
#: Both halves of a day are enough to be at home there.
HALVES = ("08 09 10 11", "12 13 14 15")
ONE_DAY: dict[str, Any] = {"min_score": 1, "min_days": 1, "ue_share": 40, "label_share": 40}
says(
    "internal_migration",
    "Subscribers who moved by homes before and after; of n pairs each counts 1/n.",
    [("B", "é", 16.0, 32), ("b", "B", 17.0, 17), ("b", "é", 16.0, 32)],
    world=lines(
        hours(("moves1..17", WORKING, ""), ("stays1..19", WORKING, ""), ("two1..32", *HALVES)),
        hours(("moves1..17", "", WORKING), ("stays1..19", WORKING, ""), day=2),
        [f"two1..32 | 2 {hour}:30 | in-é" for hour in WORKING.split()],
    ),
    **PERIODS,
    **ONE_DAY,
)
says(
    "usual_environment_counts",
    "Subscribers by usual location, home or workplace; of n such each counts 1/n.",
    [
        ("B", label, 19.0 + 32 / 2, 19 + 32) if place == "B" else ("b", label, 17.0 + 32 / 2, 17 + 32)
        for place in "Bb"
        for label in ("home", "usual", "work")
    ],
    world=lines(hours(("here1..17", WORKING, ""), ("there1..19", "", WORKING), ("two1..32", *HALVES))),
    daily_permanence=PERIODS["previous"],
    **ONE_DAY,
)
says(
    "stay_durations",
    "Subscribers and their hours by home and location of the longest stay.",
    # From five minutes before the first event to the last: an hour and two.
    [("b", "B", 17, 125 / 60, 0.0), ("b", "b", 16, 65 / 60, 0.0)],
    world=drawn(
        """
        subscriber | time    | cell
        home1..16  | 1 08:00 | in-b
        home1..16  | 1 09:00 | in-b
        away1..17  | 1 08:00 | in-B
        away1..17  | 1 10:00 | in-B
        home1..16  | 2 08:00 | in-b
        away1..17  | 2 08:00 | in-b
        """
    ),
    stays={
        "query_kind": "stays",
        "start_date": "2016-01-01",
        "end_date": "2016-01-02",
        "aggregation_unit": "admin3",
    },
    home_location=window("most_frequent_location", "2016-01-02"),
)
