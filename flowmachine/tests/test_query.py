"""Check a query's pieces: windows of events, parts and registration of kinds."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmachine.queries import DailyLocation, EventCount, Flows, ModalLocation, UniqueSubscribers
from flowmachine.queries.catalogue import all_kinds
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Text, required
from flowmachine.spec.query import (
    COLUMNS_OF_TYPES,
    DEFAULT_EVENT_TYPES,
    LONGEST_WINDOW,
    MOST_SPANS,
    EventSelection,
    NotBuildable,
    Query,
    holds_subscribers,
    queries_in,
    query_kind,
    registered,
)

FIRST = datetime(2016, 1, 1)
MOMENT = timedelta(microseconds=1)
moments = st.sampled_from([FIRST, FIRST + MOMENT, FIRST + timedelta(hours=12), FIRST + timedelta(1) - MOMENT])
lengths = st.integers(0, 5).map(timedelta) | st.sampled_from([MOMENT, timedelta(hours=30)])


@given(moments, lengths.filter(bool))
def test_the_days_of_a_window_are_those_of_its_moments(start: datetime, length: timedelta) -> None:
    selection = EventSelection(start, start + length)
    days = selection.days
    assert days == sorted(set(days))
    assert (days[0], days[-1]) == (start.date(), (start + length - MOMENT).date())
    assert len(days) == (days[-1] - days[0]).days + 1
    assert selection.earliest == start - timedelta(days=1)
    assert selection.earliest + timedelta(microseconds=selection.span) == start + length + timedelta(days=1)


@given(moments, lengths.filter(bool), st.lists(st.integers(-1, 7), unique=True).map(sorted))
def test_a_window_is_cut_at_the_midnights_inside(
    start: datetime, length: timedelta, numbers: list[int]
) -> None:
    selection = EventSelection(start, start + length, ("sms",))
    dates = [FIRST.date() + timedelta(number) for number in numbers]
    parts = selection.split(dates)
    edges = [parts[0].start, *(part.end for part in parts)]
    inside = [datetime.combine(day, datetime.min.time()) for day in dates]
    assert edges == [start, *(cut for cut in inside if start < cut < start + length), start + length]
    assert [part.start for part in parts] == edges[:-1]
    assert {part.event_types for part in parts} == {("sms",)}


def test_long_windows_are_read_whole() -> None:
    assert MOST_SPANS == 40
    for days, parts in ((1, 1), (40, 40), (41, 1)):
        assert len(EventSelection(FIRST, FIRST + timedelta(days)).by_day()) == parts


@pytest.mark.parametrize(
    ("length", "refused"),
    [
        (timedelta(0), "Start and stop are the same"),
        (-timedelta(days=1), "later than the stop date"),
        (-MOMENT, "later than the stop date"),
        (MOMENT, None),
        (LONGEST_WINDOW, None),
        (LONGEST_WINDOW + MOMENT, "no longer than 14640 days"),
    ],
)
def test_a_window_has_a_length(length: timedelta, refused: str | None) -> None:
    selection = EventSelection(FIRST, FIRST + length)
    if refused is None:
        selection.check()
    else:
        with pytest.raises(NotBuildable, match=refused):
            selection.check()


def test_event_types_have_their_columns() -> None:
    # As the tables of FlowDB: calls and messages have two parties, calls and sessions durations.
    has = {
        "calls": {"counterpart", "outgoing", "duration"},
        "sms": {"counterpart", "outgoing"},
        "mds": {"duration", "volume_total", "volume_upload", "volume_download"},
        "topups": {
            "recharge_amount", "airtime_fee", "tax_and_fee", "pre_event_balance", "post_event_balance",
        },
    }  # fmt: skip
    assert DEFAULT_EVENT_TYPES == ("calls", "sms") == EventSelection(FIRST, FIRST).types
    assert {column for column, types in COLUMNS_OF_TYPES.items() if not types} == set()
    for event_type, columns in has.items():
        selection = EventSelection(FIRST, FIRST, (event_type,))
        assert selection.types == (event_type,)
        for column in [*COLUMNS_OF_TYPES, "event_id", "cell"]:
            if column in columns or column not in COLUMNS_OF_TYPES:
                selection.check_columns([column])
            else:
                with pytest.raises(NotBuildable, match=rf"^.*{column}.* columns of events.{event_type}$"):
                    selection.check_columns(["cell", column])


def test_parts_come_before_what_needs_them_and_once() -> None:
    days = [
        DailyLocation(date=date(2016, 1, day), method="last", aggregation_unit="admin3") for day in (1, 2)
    ]
    modal = ModalLocation(locations=[days[1], days[0], days[1]])
    flows = Flows(from_location=modal, to_location=days[0])
    assert modal.children == (days[1], days[0])
    assert flows.children == (modal, days[0])
    assert list(flows.graph()) == [days[1], days[0], modal, flows]
    assert list(queries_in((days[0], (modal, 1)))) == [days[0], modal]


def test_a_query_is_equal_to_its_like_and_does_not_change() -> None:
    window: dict[str, Any] = {"start_date": "2016-01-01", "end_date": "2016-01-03"}
    query = EventCount(**window)
    assert query == EventCount(**window)
    assert len({query, EventCount(**window), UniqueSubscribers(**window)}) == 2
    assert query != query.query_id
    assert query.stands_for == "event_count"
    assert len(query.query_id) == 32
    with pytest.raises(FrozenInstanceError):
        query.direction = "in"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        EventSelection(FIRST, FIRST).start = FIRST  # type: ignore[misc]


def test_what_a_kind_that_says_nothing_is() -> None:
    assert (Query.sql_version, Query.order, Query.reads, Query.event_columns) == (1, (), (), ())
    assert (Query.ids_by_name, Query.needs_database, Query.reads_cells, Query.direct) == (
        False,
        False,
        True,
        False,
    )
    assert Aggregate.geographic
    with pytest.raises(NotImplementedError):
        Query.select(EventCount(start_date="2016-01-01", end_date="2016-01-02"), None)


def test_registering_a_kind_makes_it_known_with_its_fields() -> None:
    try:
        kind = query_kind("two_words", sql_version=3, component="Other", direct=True)(
            type("TwoWords", (EventCount,), {"__annotations__": {}})
        )
        assert registered["two_words"] is kind
        assert (kind.kind, kind.sql_version, kind.direct) == ("two_words", 3, True)
        assert kind.component_name() == "Other"
        plain = query_kind("three_short_words")(type("Three", (EventCount,), {"__annotations__": {}}))
        assert (plain.component_name(), plain.sql_version, plain.direct) == ("ThreeShortWords", 1, False)
    finally:
        for name in ("two_words", "three_short_words"):
            registered.pop(name, None)


def test_a_kind_has_a_summary_and_a_text_for_each_field() -> None:
    def register(base: type[EventCount], **settings: Any) -> type[EventCount]:
        return query_kind("four", **settings)(
            type("Four", (base,), {"__annotations__": {"word": str}} | body)
        )

    body: dict[str, Any] = {"__doc__": " First line.\nIts end.\n\nMore.", "word": required(Text(), "A word.")}
    try:
        assert register(EventCount).summary == "First line.\nIts end."
        assert register(EventCount, summary="Another.").summary == "Another."
        assert registered["four"].arguments["word"].text == "A word."
        body = {"word": required(Text())}
        direct = register(EventCount, direct=True)
        assert (direct.summary, list(direct.fields)[-1]) == ("", "word")
        with pytest.raises(TypeError, match=r"^four\.word has no documentation: declare it with a text$"):
            register(EventCount)
        assert registered["four"] is direct
    finally:
        registered.pop("four", None)


def test_a_signature_has_the_fields_of_its_kind() -> None:
    for cls in all_kinds().values():
        parameters = inspect.signature(cls).parameters
        assert list(parameters) == list(cls.fields)
        for name, parameter in parameters.items():
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
            assert (parameter.default is inspect.Parameter.empty) is cls.fields[name].required
            assert parameter.annotation is not inspect.Parameter.empty


@pytest.mark.parametrize(
    ("column", "holds"),
    [("subscriber", True), ("subscriber_from", True), ("msisdn_counterpart", True), ("value", False)],
)
def test_columns_of_subscribers_are_known_by_their_names(column: str, holds: bool) -> None:
    assert holds_subscribers(column) is holds
