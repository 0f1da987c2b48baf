"""Strategies of specs for the kinds of direct use about contacts, gaps, durations and who is active."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from .drawing import (
    SPECS,
    STATISTICS,
    TIMES,
    UNITS,
    WORLDS,
    Spec,
    amounts,
    chosen,
    directions,
    loaded_days,
    nested,
    spec,
    two_party_types,
)
from .drawing import hours as all_hours
from .drawing import subsets as all_subsets
from .drawing import types as all_types
from .drawing import windows as all_windows
from .oracle_contacts import PHASES, UNITS_OF_TIME
from .world import CELL_NAMES, CELLS, Event, World

#: Cells that are somewhere, and each of the others once.
_cells = st.sampled_from((*CELL_NAMES, *(cell.id for cell in CELLS if cell.point), "in-b", "in-B", "in-a1"))
_people = ("ann", "bob", "cat")
_others = st.sampled_from((*_people, *_people, "x", None))


@st.composite
def conversations(draw: st.DrawFn) -> World:
    """What three people do and whom they talk to; of most events between them the other party's record is there, too."""
    found = []
    for who in draw(st.lists(st.sampled_from(_people), min_size=6, max_size=16)):
        event = Event(
            subscriber=who,
            time=draw(st.sampled_from(TIMES)),
            cell=draw(_cells),
            type=draw(st.sampled_from(("calls", "calls", "calls", "sms", "mds"))),
            id=draw(st.sampled_from("abcde")),
            outgoing=draw(st.sampled_from((True, True, False, False, None))),
            counterpart=draw(_others),
            duration=draw(amounts),
            volume_total=draw(amounts),
            volume_upload=draw(amounts),
            volume_download=draw(amounts),
        )
        found.append(event)
        other = event.counterpart
        if other in _people and event.outgoing is not None and draw(st.integers(0, 3)):
            found.append(
                replace(
                    event, subscriber=other, counterpart=who, outgoing=not event.outgoing, cell=draw(_cells)
                )
            )
    return World(found, draw(loaded_days()))


def seldom(usual: Spec, drawn: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    """A group of fields that mostly lets everything through, lest nothing be left of so few events."""
    return st.integers(0, 2).flatmap(lambda number: st.just(usual) if number else drawn)


windows = seldom({"start_date": "2016-01-01", "end_date": "2016-01-04"}, all_windows)
hours = seldom({"hours": None}, all_hours)
subsets = seldom({"subscriber_subset": None}, all_subsets)
types = seldom({"event_types": None}, all_types)
selection = (types, subsets, hours)
two_parties = (windows, two_party_types, subsets, hours)
calls = (windows, subsets, hours, directions, chosen("statistic", *STATISTICS))
statistics = chosen("statistic", *STATISTICS)
selves = chosen("exclude_self_calls", True, False)
places = st.sampled_from([{"aggregation_unit": "cell"}, *UNITS])


def balances() -> st.SearchStrategy[Spec]:
    return spec("contact_balance", *two_parties, directions, selves)


def reciprocals() -> st.SearchStrategy[Spec]:
    return spec("contact_reciprocal", *two_parties)


def everybody(when: st.SearchStrategy[Spec] = windows) -> st.SearchStrategy[Spec]:
    return spec("unique_subscribers", when, *selection)


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


_DIRECT: dict[str, Callable[[], st.SearchStrategy[Spec]]] = {
    "periodic_entropy": lambda: spec("periodic_entropy", *two_parties, directions, chosen("phase", *PHASES)),
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
        "new_subscribers", nested("benchmark", everybody(short_windows)), nested("focal", everybody())
    ),
    "active_subscribers": lambda: spec("active_subscribers", *selection, active()),
}
SPECS.update(_DIRECT)
WORLDS.update(dict.fromkeys(_DIRECT, conversations))
