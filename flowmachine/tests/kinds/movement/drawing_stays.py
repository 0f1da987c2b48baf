"""Specs of stays and of what is counted from them."""

from __future__ import annotations

from hypothesis import strategies as st

from ..drawing import SPECS, STATISTICS, Spec, at, chosen, nested, spec, subsets, types
from .drawing_sequences import clean


def _window(*edges: tuple[str, str]) -> st.SearchStrategy[Spec]:
    return st.sampled_from(edges).map(lambda window: {"start_date": window[0], "end_date": window[1]})


#: Windows of more than a day, which hold a night.
LONGER = (("2016-01-01", "2016-01-04"), ("2016-01-02", "2016-01-04"), ("2015-12-31", "2016-01-05"))
longer, whole_days = _window(*LONGER), _window(("2016-01-01", "2016-01-02"), *LONGER)


def stays(unit: Spec | None = None, window: st.SearchStrategy[Spec] = whole_days) -> st.SearchStrategy[Spec]:
    return spec(
        "stays",
        window,
        types,
        subsets,
        at(unit),
        clean,
        chosen("min_stay_minutes", 0.1, 15, 300),
        chosen("max_stay_gap_hours", 1, 8, 12, 30),
        chosen("max_move_gap_hours", 0.5, 2, 8, 24),
        chosen("pad_minutes", 0.3, 5, 15),
    )


def days_of(stay: Spec) -> st.SearchStrategy[Spec]:
    """A day in the window of stays, and these."""
    first, end = int(stay["start_date"][-2:]), int(stay["end_date"][-2:])
    days = [f"2016-01-{day:02}" for day in range(1 if first == 31 else first, end)]
    return chosen("date", *days).map(lambda day: day | {"stays": stay})


of_a_day = (chosen("day_start_hour", 0, 4, 20), chosen("minimum_minutes", 0, 7, 200))


def longest_stays(unit: Spec | None = None) -> st.SearchStrategy[Spec]:
    return spec("longest_stay", stays(unit).flatmap(days_of), *of_a_day)


def nights_of(stay: Spec) -> st.SearchStrategy[Spec]:
    """A night in the window of stays, and these."""
    first, end = int(stay["start_date"][-2:]), int(stay["end_date"][-2:])
    days = [f"2016-01-{day:02}" for day in range(1 if first == 31 else first, end - 1)]
    return chosen("date", *days).map(lambda day: day | {"stays": stay})


def overnight_locations(unit: Spec | None = None) -> st.SearchStrategy[Spec]:
    return spec(
        "overnight_location",
        stays(unit, longer).flatmap(nights_of),
        chosen("functional_midnight", 0, 4, 23),
        chosen("min_night_minutes", 0, 61, 300, 900),
    )


SPECS["stays"] = stays
SPECS["overnight_location"] = overnight_locations
SPECS["longest_stay"] = longest_stays
SPECS["stay_time"] = lambda: spec("stay_time", nested("stays", stays()), chosen("statistic", *STATISTICS))
