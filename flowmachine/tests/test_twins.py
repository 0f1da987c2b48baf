"""Hold the judging of near answers to its definition, in a ledger in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmachine.ledger.twins import TooNear
from flowmachine.queries import (
    DailyLocation,
    EventCount,
    JoinedSpatialAggregate,
    UniqueSubscriberCounts,
)
from flowmachine.spec.aggregate import Aggregate

from .in_memory import Told, ask, empty_ledger, estimated, in_memory

FLOOR = 15


def seen(number: int) -> Aggregate:
    """Return one of many counts whose rows make up no total."""
    start, end = f"2016-01-{number + 1:02}", f"2016-01-{number + 2:02}"
    return UniqueSubscriberCounts(start_date=start, end_date=end, aggregation_unit="admin3")


def measured(number: int) -> Aggregate:
    """Return one of many statistics, of which every third is a mean."""
    home = DailyLocation(date=f"2016-01-{number + 1:02}", method="last", aggregation_unit="admin3")
    calls = EventCount(start_date="2016-01-01", end_date="2016-01-05")
    return JoinedSpatialAggregate(locations=home, metric=calls, method="sum" if number % 3 else "avg")


@dataclass
class Entry:
    """Hold a row of the definition's ledger."""

    told: Told
    served: bool
    repeats: Entry | None = None

    @property
    def behind(self) -> frozenset[int]:
        return self.told.behind

    @property
    def value(self) -> int:
        """Return the number that leaves, if any."""
        return (self.repeats or self).told.value


@dataclass
class Defined:
    """Judge answers by the definition: sets of subscribers, rows in lists, loops."""

    share: float = 0.0025
    releases: list[tuple[Aggregate, dict[Any, Entry]]] = field(default_factory=list)

    def ask(self, query: Aggregate, rows: Sequence[Told]) -> tuple[dict[Any, Any], list[str]]:
        """Return the values that leave by key, and the queries of twins; raise TooNear."""
        own = {row.key: Entry(row, len(row.people) > FLOOR) for row in rows}
        before = self.before(query, own)
        twins = [(other, found) for other, found in self.releases if self.are_twins(query, own, other, found)]
        repeated = dict(self.nearest(own, twins, before))
        for key, (other, entry) in repeated.items():
            if entry.behind != own[key].behind and other.measure[1] != query.measure[1]:
                raise TooNear(other.query_id)
        for key, (_, entry) in repeated.items():
            own[key].repeats, own[key].served = entry, entry.served
        self.releases.append((query, own))
        left = {key: entry.value for key, entry in own.items() if entry.served}
        return left, list(dict.fromkeys(other.query_id for other, _ in twins))

    def before(self, query: Aggregate, own: Mapping[Any, Entry]) -> set[Any]:
        """Let rows with the same subscribers be as this query's first ones were."""
        found = set()
        for key, entry in own.items():
            for other, rows in self.releases:
                if other.query_id == query.query_id and key in rows and rows[key].behind == entry.behind:
                    found.add(key)
                    first = rows[key]
                    if first.repeats is not None or first.served != entry.served:
                        entry.repeats = first.repeats or first
                        entry.served = first.served
                    break
        return found

    def are_twins(
        self, query: Aggregate, own: Mapping[Any, Entry], other: Aggregate, rows: Mapping[Any, Entry]
    ) -> bool:
        common = own.keys() & rows.keys()
        if other.query_id == query.query_id or other.measure[0] != query.measure[0]:
            return False
        if not any(is_told(own[key], rows[key]) for key in common):
            return False
        valued = query.measure[1] != "count"
        smaller = min(sum(len(found[key].told.people) for key in common) for found in (own, rows))
        most = max(60, 4 * self.share * smaller) if valued else max(30, self.share * smaller)
        return sum(estimated(own[key].behind ^ rows[key].behind) for key in common) <= most

    def nearest(
        self, own: Mapping[Any, Entry], twins: Sequence[Any], before: set[Any]
    ) -> Iterator[tuple[Any, tuple[Aggregate, Entry]]]:
        """Yield the earlier row to repeat by key: an equal one, or the earliest near one."""
        for key, entry in own.items():
            if key in before:
                continue
            found = [
                (other, rows[key])
                for other, rows in twins
                if key in rows and rows[key].repeats is None and (entry.served or rows[key].served)
            ]
            equal = [one for one in found if one[1].behind == entry.behind]
            if equal:
                if entry.served and not equal[0][1].served:
                    yield key, equal[0]
                continue
            near = [one for one in found if is_near(entry, one[1])]
            if near:
                yield key, near[0]


def is_near(one: Entry, other: Entry) -> bool:
    most = FLOOR if one.told.numbers is None else 2 * FLOOR
    return 1 <= len(one.behind ^ other.behind) <= most


def is_told(one: Entry, other: Entry) -> bool:
    """Return whether two rows tell that their answers may be twins."""
    people = [entry.told.people for entry in (one, other)]
    alike = one.behind == other.behind or is_near(one, other)
    return alike and len(people[0] ^ people[1]) <= FLOOR < max(map(len, people))


@pytest.fixture(scope="module")
def engine() -> Iterator[sa.Engine]:
    with in_memory() as engine:
        yield engine


@pytest.fixture(autouse=True)
def without_margins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "off")


#: How many of a place's people are left out, and how many others come.
CHANGES = st.tuples(st.sampled_from((0, 0, 1, 3, 14, 15, 16, 40)), st.sampled_from((0, 0, 1, 15, 16)))

Asked = list[tuple[int, list[Told]]]


@st.composite
def asked(draw: st.DrawFn, places: Mapping[str, tuple[range, int]], *, valued: bool = False) -> Asked:
    """Draw numbers of questions with their rows; a question may be asked again.

    A place has so many people at first, of those that are its own. Few of them have another number.
    """
    found = []
    for _ in range(draw(st.integers(2, 5))):
        rows = []
        for place, (own, size) in places.items():
            if rows and not draw(st.integers(0, 9)):
                continue
            gone, come = draw(CHANGES)
            people = own[min(gone, size) : min(size + come, len(own))]
            numbers = None
            if valued:
                other, number = draw(st.sampled_from((0, 0, 1, 15, 16))), draw(st.sampled_from((0, 1, 3)))
                numbers = dict.fromkeys(own, 2) | dict.fromkeys(own[size - other : size], number)
            rows.append(Told((place,), frozenset(people), numbers))
        found.append((draw(st.integers(0, 3)), rows))
    return found


COUNTED = {"a": (range(100), 60), "b": (range(100, 180), 31), "c": (range(180, 256), 16)}
MEASURED = {"a": (range(40), 32), "b": (range(40, 64), 16)}

#: So many places that two questions with few differences have an equal one.
MANY = {f"{number:02}": range(20 * number, 20 * number + 20) for number in range(60)}


@st.composite
def asked_of_many(draw: st.DrawFn) -> Asked:
    """Draw questions about nearly all places, of which a few people are missing."""
    found = []
    for number in range(draw(st.integers(2, 4))):
        absent = draw(st.sets(st.sampled_from(sorted(MANY)), max_size=draw(st.sampled_from((0, 2, 12, 40)))))
        each, changed = draw(st.sampled_from((1, 2))), draw(st.sampled_from((30, 31, 15, 14, 60, 0)))
        rows = []
        for position, (place, own) in enumerate(MANY.items()):
            gone = each if (position - 20 * number) % 60 < changed else 0
            size = 15 if position % 9 == 0 else 18
            if place not in absent:
                rows.append(Told((place,), frozenset(own[gone : gone + size])))
        found.append((draw(st.sampled_from((number, 0))), rows))
    return found


few = settings(max_examples=max(10, settings.default.max_examples // 5))


@few
@given(asked=asked(COUNTED), share=st.sampled_from(("0.0025", "0.3")))
def test_counts_are_judged_as_defined(engine: sa.Engine, asked: Asked, share: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWMACHINE_TWIN_SHARE", share)
        held_to_definition(engine, [(seen(number), rows) for number, rows in asked], Defined(float(share)))


@few
@given(asked=asked_of_many(), share=st.sampled_from(("0.0025", "0.02")))
def test_answers_about_many_places_are_judged_as_defined(engine: sa.Engine, asked: Asked, share: str) -> None:
    """Check that releases are found by equal rows only where twins have one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWMACHINE_TWIN_SHARE", share)
        held_to_definition(engine, [(seen(number), rows) for number, rows in asked], Defined(float(share)))


@few
@given(asked=asked(MEASURED, valued=True), share=st.sampled_from(("0.0025", "0.5")))
def test_statistics_are_judged_as_defined(engine: sa.Engine, asked: Asked, share: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWMACHINE_TWIN_SHARE", share)
        held_to_definition(
            engine, [(measured(number), rows) for number, rows in asked], Defined(float(share))
        )


def held_to_definition(
    engine: sa.Engine, asked: Sequence[tuple[Aggregate, list[Told]]], definition: Defined
) -> None:
    with empty_ledger(engine) as connection:
        for query, rows in asked:
            told = [row.judged(query) for row in rows]
            try:
                expected = definition.ask(query, rows)
            except TooNear as refused:
                with pytest.raises(TooNear, match=str(refused)):
                    ask(connection, query, told)
                return
            found = ask(connection, query, told)
            assert (found.values, found.answer.repeats) == expected


@pytest.mark.parametrize(
    ("places", "changed", "twins"), [(60, 29, True), (60, 30, False), (39, 29, True), (29, 29, True)]
)
def test_twins_about_many_places_are_found(engine: sa.Engine, places: int, changed: int, twins: bool) -> None:
    """Check rows that lack one person, who is estimated as a little more."""
    with empty_ledger(engine) as connection:
        whole = [Told((place,), frozenset(own)) for place, own in list(MANY.items())[:places]]
        first = ask(connection, seen(0), [row.judged(seen(0)) for row in whole])
        without = [Told(row.key, row.people - {min(row.people)}) for row in whole[:changed]] + whole[changed:]
        later = ask(connection, seen(1), [row.judged(seen(1)) for row in without])
        assert (later.answer.repeats == [seen(0).query_id], later.values == first.values) == (twins, twins)
