"""Check that judging reads no more beside many earlier answers than beside few."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg2.extras
import pytest
import sqlalchemy as sa

from flowmachine.ledger.releasing import judge_together
from flowmachine.queries import DailyLocation, SpatialAggregate
from flowmachine.sql.sketches import SKETCH
from flowmachine.tables import ledger_forms, ledger_places, ledger_results, ledger_rows

from .in_memory import table_of
from .kinds.sketching import signed

PLACES, PEOPLE = 75, 133


@pytest.fixture(autouse=True)
def without_margins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge no sums of rows: these places are in no larger region."""
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "off")


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.connect() as connection, connection.begin():
        yield connection


def homes(day: int) -> SpatialAggregate:
    located = DailyLocation(date=f"2016-01-{day:02}", method="last", aggregation_unit="admin3")
    return SpatialAggregate(locations=located)


def sketches(numbers: random.Random) -> dict[str, int]:
    """Return the sketch of people who are others each day: half of the bits are set."""
    return {name: signed(numbers.getrandbits(64)) for name in SKETCH}


def judged(query: SpatialAggregate, numbers: random.Random) -> list[Mapping[str, Any]]:
    people = [PEOPLE + numbers.randint(-20, 20) for _ in range(PLACES)]
    return [
        {"pcod": f"p{place:02}", "value": size, "kept": True, "subscribers": size, **sketches(numbers)}
        for place, size in enumerate(people)
    ]


def reads(connection: sa.Connection, day: int, numbers: random.Random) -> int:
    """Judge an answer; return how many rows and entries of the ledger were read."""
    counted = sa.text(
        "SELECT sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))"
        " FROM pg_class WHERE relname LIKE 'ledger%'"
    )
    before = connection.execute(counted).scalar_one()
    with table_of(connection, homes(day), judged(homes(day), numbers)) as table:
        assert judge_together(connection, homes(day), table).repeats == []
    return int(connection.execute(counted).scalar_one() - before)


def fill(connection: sa.Connection, first: int, last: int, numbers: random.Random) -> None:
    """Add releases of other queries with the places of the first release."""
    results = (
        "INSERT INTO engine.ledger_results (release, query_id, kind, form, measure, statistic, family)"
        " OVERRIDING SYSTEM VALUE SELECT number, md5(number::text), kind, form, measure, statistic, family"
        f" FROM engine.ledger_results, generate_series({first}, {last}) AS number WHERE release = 1"
    )
    connection.execute(sa.text(results))
    of_first = sa.select(ledger_rows.c.row_key, ledger_rows.c.place, ledger_rows.c.size)
    places = connection.execute(of_first.where(ledger_rows.c.release == 1)).all()
    names = ("row_key", "place", "size", "release", "subscribers", "served", *SKETCH)
    rows = [
        (*place, release, PEOPLE + numbers.randint(-20, 20), True, *sketches(numbers).values())
        for release in range(first, last + 1)
        for place in places
    ]
    cursor: Any = connection.connection.cursor()
    psycopg2.extras.execute_values(
        cursor, f"INSERT INTO engine.ledger_rows ({', '.join(names)}) VALUES %s", rows, page_size=1000
    )
    for table in (ledger_results, ledger_rows, ledger_places, ledger_forms):
        connection.execute(sa.text(f"ANALYZE {table.fullname}"))


def test_judging_reads_no_more_beside_many_answers(connection: sa.Connection) -> None:
    numbers = random.Random(11)
    reads(connection, 1, numbers)
    fill(connection, 1001, 1100, numbers)
    beside_few = reads(connection, 2, numbers)
    fill(connection, 2001, 2900, numbers)
    beside_many = reads(connection, 3, numbers)
    # Each of 75 rows is looked up among nine hundred further ones, of which 500 have as many people but for few.
    assert beside_many < 1.5 * beside_few
