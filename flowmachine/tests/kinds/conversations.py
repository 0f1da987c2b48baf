"""Draw worlds in which three people talk, and fields that admit most events."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from .drawing import STATISTICS, TIMES, UNITS, Spec, amounts, chosen, directions, loaded_days, two_party_types
from .drawing import hours as all_hours
from .drawing import subsets as all_subsets
from .drawing import types as all_types
from .drawing import windows as all_windows
from .land import CELL_NAMES, CELLS
from .world import Event, World

#: Cells that are somewhere, and each of the others once.
_cells = st.sampled_from((*CELL_NAMES, *(cell.id for cell in CELLS if cell.point), "in-b", "in-B", "in-a1"))
_people = ("ann", "bob", "cat")
_others = st.sampled_from((*_people, *_people, "x", None))


@st.composite
def conversations(draw: st.DrawFn) -> World:
    """Draw three people's events; most have the other party's record, too."""
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
    """Draw fields that mostly admit everything, because events are few."""
    return st.integers(0, 2).flatmap(lambda number: st.just(usual) if number else drawn)


most_windows = seldom({"start_date": "2016-01-01", "end_date": "2016-01-04"}, all_windows)
most_hours = seldom({"hours": None}, all_hours)
most_subsets = seldom({"subscriber_subset": None}, all_subsets)
most_types = seldom({"event_types": None}, all_types)
most_selection = (most_types, most_subsets, most_hours)
two_parties = (most_windows, two_party_types, most_subsets, most_hours)
calls = (most_windows, most_subsets, most_hours, directions, chosen("statistic", *STATISTICS))
statistics = chosen("statistic", *STATISTICS)
selves = chosen("exclude_self_calls", True, False)
places = st.sampled_from([{"aggregation_unit": "cell"}, *UNITS])
