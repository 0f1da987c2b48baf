"""Hold the packing of subsets to its definition, in a ledger in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmachine.data import DataState
from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.ledger import packing
from flowmachine.queries import DailyLocation, EventCount
from flowmachine.settings import Computing
from flowmachine.spec.query import Query
from flowmachine.spec.subsets import set_of
from flowmachine.tables import audit, jobs, ledger_subsets

from .in_memory import empty_ledger, estimated, in_memory, key_of

FLOOR = 15
NO_DATA = DataState({}, {}, 0, "UTC")

People = frozenset[int]


def active(number: int) -> EventCount:
    return EventCount(start_date="2016-01-01", end_date=f"2016-01-{number + 2:02}")


class Asked:
    """Store subsets one after the other over told sets, as a worker does."""

    def __init__(self, executor: DuckDBExecutor, connection: sa.Connection) -> None:
        self.executor, self.connection = executor, connection

    def used(self, query: Query, fingerprint: str, people: People) -> People:
        """Return the subscribers of the stored set; null is no subscriber."""
        numbers = {key_of(number): number for number in range(256)}
        rows = [*map(key_of, sorted(people)), None]
        with self.executor.replacing(query.query_id) as partial:
            columns = {name: pa.array(rows, pa.int64()) for name in query.columns}
            pa.parquet.write_table(pa.table(columns), partial)
        asked = set_of(query)
        with packing.storing(asked, fingerprint, self.executor, NO_DATA, self.connection) as stored:
            assert stored.bytes > 0
        found = [key for (key,) in self.executor.rows(asked, NO_DATA, self.connection)]
        assert len(found) == stored.rows
        return frozenset(numbers[key] for key in found)


@pytest.fixture(scope="module")
def engine() -> Iterator[sa.Engine]:
    with in_memory() as engine:
        yield engine


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> DuckDBExecutor:
    folder: Path = tmp_path_factory.mktemp("cache")
    computing = Computing(columnar_path=folder, cache_path=folder, threads=1, memory_limit="512MB")
    return DuckDBExecutor(computing, "flowapi")


@dataclass
class Kept:
    """Hold a set of the definition's ledger, and the set that is used in its place."""

    query: int
    fingerprint: str
    people: People
    used: Kept | None = None


@dataclass
class Defined:
    """Pack sets by the definition: the earliest near set in use is used."""

    radius: float = 0.01
    kept: list[Kept] = field(default_factory=list)

    def ask(self, query: int, fingerprint: str, people: People) -> Kept:
        for one in self.kept:
            if (one.query, one.fingerprint) == (query, fingerprint):
                used = one.used or one
                return used if used.query != query else Kept(query, fingerprint, people)
        near = next((one for one in self.kept if self.is_anchor(one, query, people)), None)
        self.kept.append(Kept(query, fingerprint, people, near))
        return near or self.kept[-1]

    def is_anchor(self, one: Kept, query: int, people: People) -> bool:
        if one.used is not None or one.query == query or len(one.people) <= FLOOR:
            return False
        radius = max(FLOOR, self.radius * min(len(one.people), len(people)))
        if abs(len(one.people) - len(people)) > radius:
            return False
        difference = one.people ^ people
        return len(difference) <= FLOOR or estimated(difference) <= radius


SIZES = (0, 1, 10, 14, 15, 16, 17, 40, 100, 115, 116, 150, 200, 215, 240)


@st.composite
def sets(draw: st.DrawFn) -> list[tuple[int, str, People]]:
    """Draw subsets by number with their making and people; a making may come again."""
    found: list[tuple[int, str, People]] = []
    for _ in range(draw(st.integers(2, 7))):
        size, shift = draw(st.sampled_from(SIZES)), draw(st.sampled_from((0, 0, 1, 7, 8, 16)))
        people = frozenset(range(shift, min(shift + size, 256)))
        found.append((draw(st.integers(0, 3)), draw(st.sampled_from("ab")), people))
    return found


few = settings(max_examples=max(10, settings.default.max_examples // 5))


@few
@given(drawn=sets(), radius=st.sampled_from(("0.01", "0.2", "0.5")))
def test_sets_are_packed_as_defined(
    engine: sa.Engine, executor: DuckDBExecutor, drawn: list[tuple[int, str, People]], radius: str
) -> None:
    definition = Defined(float(radius))
    with pytest.MonkeyPatch.context() as patch, empty_ledger(engine) as connection:
        patch.setenv("FLOWMACHINE_SUBSET_RADIUS", radius)
        asked = Asked(executor, connection)
        for query, fingerprint, people in drawn:
            expected = definition.ask(query, fingerprint, people)
            assert asked.used(active(query), fingerprint, people) == expected.people
        in_use = [one.people for one in definition.kept if one.used is None and len(one.people) > FLOOR]
        members = connection.execute(
            sa.select(ledger_subsets.c.members)
            .where(ledger_subsets.c.used.is_(None), ledger_subsets.c.subscribers > FLOOR)
            .order_by(ledger_subsets.c.subset)
        )
        assert members.scalars().all() == [sorted(map(key_of, people)) for people in in_use]


WHOLE, LESS = frozenset(range(100)), frozenset(range(1, 100))


@pytest.fixture
def asked(engine: sa.Engine, executor: DuckDBExecutor) -> Iterator[Asked]:
    with empty_ledger(engine) as connection:
        yield Asked(executor, connection)


def test_two_sets_that_differ_by_a_person_are_one(asked: Asked) -> None:
    assert asked.used(active(1), "a", WHOLE) == asked.used(active(2), "a", LESS) == WHOLE


def test_without_judging_sets_are_as_they_are(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
    assert [asked.used(active(n), "a", people) for n, people in enumerate((WHOLE, LESS))] == [WHOLE, LESS]
    assert asked.connection.execute(sa.select(ledger_subsets)).all() == []


@pytest.mark.parametrize("is_known", [True, False], ids=["a request", "no request"])
def test_a_report_names_both_subsets_and_who_asked(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "report")
    if is_known:
        for query, username in ((active(2), "another"), (set_of(active(2)), "ana")):
            request = {
                "query_id": query.query_id,
                "store": "duckdb",
                "request_id": f"of {username}",
                "requested_by": username,
            }
            asked.connection.execute(sa.insert(jobs).values(request))
    assert asked.used(active(1), "a", WHOLE) == WHOLE
    assert asked.used(active(2), "a", LESS) == LESS
    assert asked.used(active(3), "a", WHOLE) == WHOLE
    [row] = asked.connection.execute(sa.select(audit)).mappings()
    assert dict(row) == {
        "audit_id": None,
        "at": None,
        "request_id": "of ana" if is_known else "",
        "username": "ana" if is_known else None,
        "action": "near_subsets",
        "query_id": active(2).query_id,
        "params": {"near": active(1).query_id},
        "status": "success",
        "message": "This subset differs from an earlier one by few subscribers.",
        "seconds": 0.0,
    }


def test_a_query_names_the_subsets_that_are_used_in_its_place(asked: Asked) -> None:
    """Check equal and near sets, each named once by age, and none of its own."""
    first, other, equal, near = (active(number) for number in range(4))
    located = DailyLocation(
        date="2016-01-03", method="last", aggregation_unit="admin3", subscriber_subset=near
    )
    query = DailyLocation(
        date="2016-01-04", method="last", aggregation_unit="admin3", subscriber_subset=located
    )
    fingerprints = NO_DATA.fingerprints(query)
    asked.used(first, "a", WHOLE)
    asked.used(other, "a", frozenset(range(100, 200)))
    asked.used(near, fingerprints[set_of(near).query_id], frozenset(range(101, 200)))
    asked.used(located, fingerprints[set_of(located).query_id], WHOLE)
    asked.used(equal, "a", WHOLE)
    assert packing.used_by(query, NO_DATA, asked.connection) == [first.query_id, other.query_id]
    assert packing.used_by(located, NO_DATA, asked.connection) == [other.query_id]
    assert packing.used_by(first, NO_DATA, asked.connection) == []
