"""Hold the comparison of sums of rows to its definition, in a ledger in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmachine.ledger import margins
from flowmachine.ledger.recording import record
from flowmachine.queries import DailyLocation, EventCount, JoinedSpatialAggregate, SpatialAggregate
from flowmachine.spec.aggregate import Aggregate
from flowmachine.tables import ledger_rows

from .in_memory import Told, empty_ledger, estimated, in_memory, table_of

FLOOR = 15
UNITS = ("admin1", "admin2", "admin3")


@dataclass
class Row:
    """Hold a row of the definition: who is behind its number, and whether it left."""

    told: Told
    served: bool
    repeats: Row | None = None

    @property
    def told_of(self) -> Told:
        return (self.repeats or self).told


@dataclass
class Release:
    """Hold a release of a question at a unit, with its rows by place."""

    query: Aggregate
    unit: str
    rows: dict[str, Row]
    number: int = 0


@dataclass(frozen=True)
class Entry:
    """Hold a row of a release, or the sum of its rows over a place."""

    behind: frozenset[int]
    size: int
    served: bool
    everybody: frozenset[int]
    is_own: bool = True

    def is_near(self, other: Entry, *, valued: bool) -> bool:
        most = 2 * FLOOR if valued else FLOOR
        difference = self.behind ^ other.behind
        return (
            1 <= len(difference) <= most
            and sum(bit % 256 < 64 for bit in difference) <= most
            and abs(self.size - other.size) <= FLOOR < max(self.size, other.size)
            and (self.served or other.served)
            and self.is_own
            and other.is_own
            and self.everybody != other.everybody
        )


def entries(release: Release, unit: str) -> dict[str, Entry]:
    """Return the rows of a release at its own unit, or their sums at a coarser unit."""
    if unit == release.unit:
        return {
            place: Entry(
                row.told.behind, len(row.told.people), row.served, row.told.behind, row.repeats is None
            )
            for place, row in release.rows.items()
        }
    found: dict[str, list[Row]] = {}
    for place, row in release.rows.items():
        found.setdefault(place[: 2 + UNITS.index(unit)], []).append(row)
    return {place: summed(rows) for place, rows in found.items()}


def summed(rows: list[Row]) -> Entry:
    """Add up the rows that left, or all rows if none left."""
    out = [row for row in rows if row.served] or rows
    behind: frozenset[int] = frozenset()
    everybody: frozenset[int] = frozenset()
    for row in out:
        behind ^= row.told_of.behind
    for row in rows:
        everybody ^= row.told.behind
    size = sum(len(row.told_of.people) for row in out)
    return Entry(behind, size, any(row.served for row in rows), everybody)


def everybody(release: Release) -> frozenset[int]:
    found: frozenset[int] = frozenset()
    for row in release.rows.values():
        found ^= row.told.behind
    return found


def tell_too_much(mine: Release, theirs: Release) -> bool:
    """Return whether sums of rows of two releases differ by few."""
    valued = mine.query.measure[1] != "count"
    for unit in UNITS[: 1 + min(UNITS.index(mine.unit), UNITS.index(theirs.unit))]:
        if mine.unit == theirs.unit and (unit == mine.unit or everybody(mine) == everybody(theirs)):
            continue  # Rows are compared as twins, and sums over places of the same people are not compared.
        own, others = entries(mine, unit), entries(theirs, unit)
        common = own.keys() & others.keys()
        smaller = min(sum(found[place].size for place in common) for found in (own, others))
        most = max(60, 0.01 * smaller) if valued else max(30, 0.0025 * smaller)
        if sum(estimated(own[place].behind ^ others[place].behind) for place in common) <= most and any(
            own[place].is_near(others[place], valued=valued) for place in common
        ):
            return True
    return False


def counted(number: int, unit: str) -> Aggregate:
    return SpatialAggregate(locations=located(number, unit))


def measured(number: int, unit: str) -> Aggregate:
    calls = EventCount(start_date="2016-01-01", end_date="2016-01-05")
    return JoinedSpatialAggregate(locations=located(number, unit), metric=calls, method="sum")


def located(number: int, unit: str) -> DailyLocation:
    return DailyLocation(date=f"2016-01-{number + 1:02}", method="last", aggregation_unit=unit)


@st.composite
def releases(draw: st.DrawFn, ask: Any, sizes: Mapping[str, range], *, valued: bool = False) -> list[Release]:
    """Draw releases; rows may be withheld for other reasons, or repeat earlier rows."""
    found: list[Release] = []
    for number in range(draw(st.integers(2, 4))):
        unit, rows = draw(st.sampled_from(UNITS)), dict[str, list[int]]()
        gone = {place: draw(st.sampled_from((0, 0, 1, 14, 15, 16))) for place in sizes}
        numbers = {}
        for place, own in sizes.items():
            rows.setdefault(place[: 2 + UNITS.index(unit)], []).extend(own[gone[place] :])
            other = draw(st.sampled_from((0, 0, 1, 15))) if valued else 0
            numbers |= dict.fromkeys(own, 2) | dict.fromkeys(own[len(own) - other :], 3)
        release = Release(ask(draw(st.integers(0, 3)), unit), unit, {}, number)
        for place, people in rows.items():
            told = Told((place,), frozenset(people), numbers if valued else None)
            row = Row(told, len(people) > FLOOR and draw(st.integers(0, 5)) > 0)
            before = [one for one in found if one.unit == unit and place in one.rows]
            if before and draw(st.integers(0, 3)) == 0:
                first = before[0].rows[place]
                row.repeats, row.served = first.repeats or first, first.served
            release.rows[place] = row
        found.append(release)
    return found


@pytest.fixture(scope="module")
def engine() -> Iterator[sa.Engine]:
    with in_memory() as engine:
        yield engine


#: Two regions of two districts each, of two places; and two districts of which one has two places.
COUNTED = {
    f"c{one}{two}{three}": range(start, start + 32)
    for start, (one, two, three) in zip(range(0, 256, 32), product((1, 2), repeat=3), strict=True)
}
MEASURED = {"c111": range(20), "c112": range(20, 40), "c121": range(40, 64)}

few = settings(max_examples=max(10, settings.default.max_examples // 5))


@few
@given(drawn=releases(counted, COUNTED))
def test_sums_of_counts_are_compared_as_defined(engine: sa.Engine, drawn: list[Release]) -> None:
    held_to_definition(engine, drawn)


@few
@given(drawn=releases(measured, MEASURED, valued=True))
def test_sums_of_statistics_are_compared_as_defined(engine: sa.Engine, drawn: list[Release]) -> None:
    held_to_definition(engine, drawn)


def held_to_definition(engine: sa.Engine, drawn: list[Release]) -> None:
    with empty_ledger(engine) as connection:
        numbers: dict[int, int] = {}
        for release in drawn:
            made = recorded(connection, release, drawn, numbers)
            with statements(connection) as asked:
                found = margins.near(connection, release.query, made)
            assert len(asked) <= 5, "all candidates are compared at once"
            earlier = [
                other.query.query_id
                for other in drawn[: release.number]
                if other.query.family != release.query.family and tell_too_much(release, other)
            ]
            assert found == list(dict.fromkeys(earlier))


@contextmanager
def statements(connection: sa.Connection) -> Iterator[list[str]]:
    """Collect the statements that a connection executes."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    sa.event.listen(connection, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(connection, "before_cursor_execute", note)


def recorded(
    connection: sa.Connection, release: Release, drawn: list[Release], numbers: dict[int, int]
) -> int:
    """Write a release and its sums into the ledger, with what its rows repeat."""
    query = release.query
    with table_of(connection, query, [row.told.judged(query) for row in release.rows.values()]) as table:
        made = numbers[release.number] = record(connection, query, table)
    for row in release.rows.values():
        first = next(
            (
                numbers[other.number]
                for other in drawn[: release.number]
                if row.repeats in other.rows.values()
            ),
            None,
        )
        key = sa.select(ledger_rows.c.row_key).where(
            ledger_rows.c.release == made, ledger_rows.c.whole == row.told.judged(query)["whole"]
        )
        connection.execute(
            sa.update(ledger_rows)
            .where(ledger_rows.c.release == made, ledger_rows.c.row_key.in_(key))
            .values(served=row.served, repeats=first)
        )
    margins.record(connection, query, made)
    return made
