"""Specs of permanence, and worlds in which people stay for hours."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import strategies as st

from ..drawing import (
    CROWDS,
    SPECS,
    WORLDS,
    Spec,
    at,
    chosen,
    loaded_days,
    nested,
    spec,
    subsets,
    types,
)
from ..movement.drawing_sequences import clean
from ..world import DAYS, Event, World

#: Often near each other, so that much of a day is known.
_CELLS = ("in-b", "in-b", "in-B", "in-é", "beside", "moves", "meets", "in-two-regions", "nowhere", None)
_TIMES = [
    datetime.combine(day, datetime.min.time()) + timedelta(minutes=minutes)
    for day in DAYS
    for minutes in (0, 7, 20, 240, 299, 480, 520, 521, 600, 660, 700, 990, 1080, 1200, 1380, 1439)
]


@st.composite
def staying(draw: st.DrawFn) -> World:
    """Draw crowds of people with many events."""
    happenings = st.lists(
        st.tuples(st.sampled_from(_TIMES), st.sampled_from(_CELLS)), min_size=4, max_size=16
    )
    people = []
    for number, (size, events) in enumerate(
        draw(st.lists(st.tuples(st.sampled_from(CROWDS), happenings), min_size=1, max_size=3))
    ):
        for member in range(size):
            people += [Event(subscriber=f"s{number}-{member}", time=time, cell=cell) for time, cell in events]
    return World(people, draw(loaded_days()))


def windows(*days: tuple[int, int]) -> st.SearchStrategy[Spec]:
    """Windows by their first day of January and the day after the last."""
    return st.sampled_from(days).map(
        lambda pair: {"start_date": f"2016-01-0{pair[0]}", "end_date": f"2016-01-0{pair[1]}"}
    )


#: Each day is a part of its own, so that many would take long.
few_days, one_day = windows((1, 2), (1, 3), (2, 5)), windows((1, 2), (2, 3), (3, 4))

gaps = (
    chosen("max_gap_other", 0, 900, 7200, 40000),
    chosen("max_gap_day", 0, 7200, 30000),
    chosen("max_gap_night", 0, 28800, 40000),
    chosen("max_speed", 5.0, 13.889, 900.0),
    chosen("slots", 24, 24, 48, 96),
)


def dailies(unit: Spec | None = None, days: st.SearchStrategy[Spec] = few_days) -> st.SearchStrategy[Spec]:
    return spec("daily_permanence", days, types, subsets, at(unit), clean, *gaps)


def hours(name: str) -> st.SearchStrategy[Spec]:
    pairs = [(18, 8), (8, 17), (16, 22), (2, 7), (0, 24), (12, 12), (22, 2)]
    return st.sampled_from([{}, {}, *({name: {"start_hour": a, "end_hour": b}} for a, b in pairs)])


thresholds = (
    chosen("min_score", 0, 1, 6),
    chosen("min_days", 0, 1, 2),
    chosen("gap_share", 1, 20, 50, 100),
    chosen("gap_score", 1, 2, 50),
    chosen("ue_share", 0, 30, 70, 100),
    chosen("label_share", 0, 30, 80, 100),
)

day_types = ("all", "all", "workdays", "weekends", "holidays", "fridays", "sundays")


def locations(unit: Spec | None = None) -> st.SearchStrategy[Spec]:
    return spec(
        "permanence_location",
        nested("daily_permanence", dailies(unit, windows((1, 2), (1, 3)))),
        chosen("label", "home", "work"),
        *thresholds,
    )


SPECS["permanence_of_day"] = lambda: spec(
    "permanence_of_day",
    chosen("date", "2015-12-31", "2016-01-01", "2016-01-02", "2016-01-04"),
    types,
    subsets,
    at(None),
    clean,
    *gaps,
)
SPECS["daily_permanence"] = dailies
SPECS["permanence"] = lambda: spec(
    "permanence",
    nested("daily_permanence", dailies()),
    chosen("day_start_hour", 0, 4, 12),
    chosen("day_type", *day_types),
    chosen("interval", "all", "night", "working_hours", "evening"),
    hours("night"),
    hours("working"),
    hours("evening"),
    chosen("holidays", [], ["2016-01-01", "2016-01-03"]),
)
SPECS["permanence_location"] = locations
SPECS["usual_environment_counts"] = lambda: spec(
    "usual_environment_counts",
    nested("daily_permanence", dailies(None, windows((1, 2), (1, 3)))),
    chosen("labels", ["usual", "home", "work"], ["work"], ["home", "usual"]),
    *thresholds,
)
for kind in (
    "permanence_of_day",
    "daily_permanence",
    "permanence",
    "permanence_location",
    "usual_environment_counts",
):
    WORLDS[kind] = staying
