"""Check that counts by cell and hour give the answers that the events give."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmachine.queries import examples
from flowmachine.queries.catalogue import kinds, load_any
from flowmachine.spec.fields import HourInterval
from flowmachine.spec.query import EventSelection

from .drawing import SPECS, WORLDS, worlds
from .oracle import NoData, Oracle
from .specs import answer, window
from .test_oracle import equal
from .world import DAYS, TYPES, Stage, World, drawn, moment

KINDS = sorted(kind for kind in kinds() if any(part.reads_tallies for part in examples.query(kind).graph()))

CROWDS = """
    subscriber | time    | cell
    a1..16     | 1 00:30 | in-é
    a1..16     | 1 00:40 | beside
    a1..16     | 2 01:30 | in-é
    a1..16     | 3 01:30 | in-é
"""
EVERYTHING = frozenset((event_type, day) for event_type in TYPES for day in DAYS)


def test_the_kinds_that_count_by_cell_and_time_read_tallies() -> None:
    assert KINDS == [
        "aggregate_network_objects",
        "location_event_counts",
        "network_silence",
        "total_network_objects",
    ]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_answers_are_as_defined_whichever_days_have_a_tally(
    stage_in_nepal: Stage, kind: str, data: st.DataObject
) -> None:
    world = data.draw(WORLDS.get(kind, worlds)(), "world")
    days = data.draw(st.sets(st.sampled_from(sorted({day for _, day in world.loaded}))), "days with a tally")
    tallied = {named for named in world.loaded if named[1] in days}
    without = data.draw(st.sets(st.sampled_from(sorted(tallied)), max_size=2) if tallied else st.just(set()))
    world = replace(world, tallied=frozenset(tallied - without))
    spec = data.draw(SPECS[kind](), "spec")
    try:
        expected = Oracle(stage_in_nepal, world).answer(spec)
    except NoData:
        return
    found = stage_in_nepal.evaluate(load_any(spec), world, "duckdb")
    assert equal(found, expected), f"{found}\nexpected: {expected}"


def test_whole_days_are_counted_and_the_rest_is_read(stage_in_nepal: Stage) -> None:
    tallied = EVERYTHING - {("sms", DAYS[1])}
    world = replace(drawn(CROWDS), tallied=tallied)
    subset = load_any(window("unique_locations"))
    start, end = moment("1"), moment("4")
    noon = moment("1 12:00"), moment("3 12:00")
    second = EventSelection(moment("2"), moment("3"))
    cases: list[tuple[EventSelection, bool, list[EventSelection]]] = [
        (EventSelection(start, end, ("calls",)), True, []),
        # One type without its tally has the day read.
        (EventSelection(start, end), True, [second]),
        (EventSelection(*noon, ("calls",)), True, [_of(noon[0], second.start), _of(second.end, noon[1])]),
        (EventSelection(start, end, ("calls",), HourInterval(8, 17)), True, []),
        (
            EventSelection(start, end, ("calls",), None, subset),
            False,
            [EventSelection(start, end, ("calls",), None, subset)],
        ),
        (
            EventSelection(moment("1 01:00"), second.start),
            False,
            [EventSelection(moment("1 01:00"), second.start)],
        ),
    ]
    with stage_in_nepal.loaded(world) as (connection, data):
        sources = stage_in_nepal.executors["duckdb"].sources(data, connection)
        for selection, counted, rest in cases:
            counts, found = sources.tallied(selection)
            assert (counts is not None, found) == (counted, rest)
        assert stage_in_nepal.executors["postgres"].sources(data, connection).tallied(cases[0][0])[0] is None


def _of(start: datetime, end: datetime) -> EventSelection:
    return EventSelection(start, end, ("calls",))


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({"interval": "hour"}, True),
        ({"interval": "day"}, True),
        ({"interval": "min"}, False),
        ({"interval": "hour", "direction": "out"}, False),
        ({"interval": "hour", "subscriber_subset": window("unique_locations")}, False),
    ],
)
def test_only_answers_from_all_events_of_hours_read_counts(
    stage_in_nepal: Stage, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], read: bool
) -> None:
    """Counts that were ten times too high show where they are read."""
    spec = window("location_event_counts", **{"event_types": ["calls"], **fields})
    sound = answer(stage_in_nepal, spec, drawn(CROWDS), "duckdb")
    monkeypatch.setattr(f"{World.__module__}.write_tally", exaggerated)
    found = answer(stage_in_nepal, spec, replace(drawn(CROWDS), tallied=EVERYTHING), "duckdb")
    assert found == ([(*row[:-1], 10 * row[-1]) for row in sound] if read else sound)


def exaggerated(events: Path, path: Path) -> None:
    from flowetl.tally import write_tally

    write_tally(events, path)
    table = pa.parquet.read_table(path)
    times = pc.multiply(table["events"], 10)
    pa.parquet.write_table(table.set_column(table.schema.get_field_index("events"), "events", times), path)


def test_a_tally_that_is_not_as_it_was_written_is_not_read(stage_in_nepal: Stage) -> None:
    world = replace(drawn(CROWDS), tallied=EVERYTHING)
    selection = EventSelection(moment("1"), moment("2"), ("calls",))
    store = stage_in_nepal.executors["duckdb"]
    with stage_in_nepal.loaded(world) as (connection, data):
        path = stage_in_nepal.folder / data.tallies["calls", DAYS[0]]
        path.write_bytes(path.read_bytes()[:-1])
        assert store.sources(data, connection).tallied(selection) == (None, [selection])
        assert store.damaged_tallies(EVERYTHING, data) == {("calls", DAYS[0])}
