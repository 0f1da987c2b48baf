"""Judge releases in a ledger in memory, whose rows the test tells.

DuckDB runs the ledger's statements. What only PostgreSQL has is defined as macros: locks, which nobody else asks for
here, and shapes. A shape is a text here, and lies within all shapes that the text begins with: the point at longitude
1.5 and latitude 23.4 is "c123", in the regions "c123", "c12", "c1" and "c" of four levels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import sqlalchemy as sa

from flowmachine.ledger.releasing import Answer, judge_together
from flowmachine.spec.aggregate import Aggregate
from flowmachine.sql.release import leaving
from flowmachine.tables import (
    audit,
    jobs,
    ledger_forms,
    ledger_margins,
    ledger_places,
    ledger_results,
    ledger_rows,
    ledger_subsets,
    ledger_sums,
    ledger_totals,
)

from .kinds.sketching import defined

_TABLES = (
    audit,
    jobs,
    ledger_forms,
    ledger_margins,
    ledger_places,
    ledger_results,
    ledger_rows,
    ledger_subsets,
    ledger_sums,
    ledger_totals,
)

#: Tables that count their own rows.
_COUNTED = {"ledger_results": "release", "ledger_subsets": "subset", "ledger_places": "place"}

LEVELS = ("admin0", "admin1", "admin2", "admin3")

_MACROS = (
    "CREATE TYPE JSONB AS JSON",
    "CREATE MACRO pg_advisory_xact_lock(key) AS key",
    "CREATE MACRO set_config(name, word, local) AS word",
    "CREATE MACRO ST_MakePoint(lon, lat) AS 'c' || floor(lon)::INTEGER || floor(lat)::INTEGER",
    "CREATE MACRO ST_SetSRID(place, number) AS place",
    "CREATE MACRO ST_PointOnSurface(place) AS place",
    "CREATE MACRO ST_Within(place, around) AS starts_with(place, around)",
)


def key_of(number: int) -> int:
    """Return a subscriber's key.

    Of 256 subscribers each has a parity bit of its own, and none counts in a thin sketch. So the sketches of their sets
    differ in as many bits as the sets in subscribers.
    """
    return (number % 256) | 1 << 8 | (number * 0x9E3779B97F4A7C15 % 2**40) << 20


def estimated(difference: frozenset[int]) -> float:
    """Return the estimate of a sketch of 256 bits, in which each of these has a bit."""
    bits = len(difference)
    return -128 * math.log(1 - bits / 128) if bits <= 102 else math.inf


@contextmanager
def in_memory() -> Iterator[sa.Engine]:
    """Provide a database with an empty ledger and the regions of a country.

    Every second region does not name the region around it.
    """
    engine = sa.create_engine(
        "duckdb:///:memory:", connect_args={"config": {"threads": 1}}, poolclass=sa.pool.StaticPool
    )
    with engine.begin() as connection:
        for macro in _MACROS:
            connection.execute(sa.text(macro))
        for schema in ("engine", "audit", "geography", "cache"):
            connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
        for table in _TABLES:
            columns = ", ".join(f'"{column.name}" {_type(column.type)}' for column in table.c)
            connection.execute(sa.text(f"CREATE TABLE {table.fullname} ({columns})"))
        for name, column in _COUNTED.items():
            connection.execute(sa.text(f"CREATE SEQUENCE {name}_numbers"))
            default = f"SET DEFAULT nextval('{name}_numbers')"
            connection.execute(sa.text(f"ALTER TABLE engine.{name} ALTER {column} {default}"))
        for depth, level in enumerate(LEVELS):
            columns = [sa.Column(name, sa.Text) for name in (f"{level}pcod", "parent_pcod", "geom")]
            table = sa.Table(level, sa.MetaData(), *columns, schema="geography")
            table.create(connection)
            codes = [f"c{''.join(digits)}" for digits in product("123", repeat=depth)]
            rows = [
                (code, code[:-1] if depth and number % 2 else None, code) for number, code in enumerate(codes)
            ]
            connection.execute(table.insert(), [dict(zip(table.c.keys(), row, strict=True)) for row in rows])
    yield engine
    engine.dispose()


def _type(type_: Any) -> str:
    if isinstance(type_, sa.ARRAY):
        return f"{_type(type_.item_type)}[]"
    return "TIMESTAMP" if isinstance(type_, sa.DateTime) else str(type_)


@contextmanager
def empty_ledger(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Provide a transaction that is taken back."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


@dataclass(frozen=True)
class Told:
    """Hold a row: its key values, and who stands behind it with which number.

    Of subscribers with numbers there are 64, and the numbers are 0 to 3.
    """

    key: tuple[Any, ...]
    people: frozenset[int]
    numbers: Mapping[int, int] | None = None

    @property
    def behind(self) -> frozenset[int]:
        """Return who stands behind the value: subscribers, or each of them with a number."""
        numbers = self.numbers
        return self.people if numbers is None else frozenset(one + 64 * numbers[one] for one in self.people)

    @property
    def value(self) -> int:
        numbers = self.numbers
        return len(self.people) if numbers is None else sum(numbers[one] for one in self.people)

    def judged(self, query: Aggregate) -> dict[str, Any]:
        """Return the row as the gate judges it."""
        size = len(self.people)
        row = dict(zip(query.published.keys, self.key, strict=True))
        row |= {"value": self.value, "kept": size > 15, "subscribers": size}
        row |= defined(map(key_of, self.people))
        if self.numbers is not None:
            row |= {f"value_{name}": bits for name, bits in defined(map(key_of, self.behind)).items()}
        return row


@dataclass(frozen=True)
class Answered:
    """Hold an answer with the rows that leave."""

    query: Aggregate
    answer: Answer
    leaving: Sequence[Mapping[str, Any]]

    @property
    def values(self) -> dict[tuple[Any, ...], Any]:
        """Return the values by the rows' keys."""
        return {tuple(row[name] for name in self.query.published.keys): row["value"] for row in self.leaving}


def ask(connection: sa.Connection, query: Aggregate, rows: Sequence[Mapping[str, Any]]) -> Answered:
    """Judge rows with the columns of ``judged``; there is at least one."""
    with table_of(connection, query, rows) as table:
        answer = judge_together(connection, query, table)
        found = connection.execute(leaving(query.published, answer.rows)).mappings().all()
    return Answered(query, answer, found)


@contextmanager
def table_of(
    connection: sa.Connection, query: Aggregate, rows: Sequence[Mapping[str, Any]]
) -> Iterator[sa.Table]:
    """Provide rows with the columns of ``judged`` as a table."""
    types = dict.fromkeys(rows[0], sa.BigInteger()) | query.published.columns | {"kept": sa.Boolean()}
    columns = (sa.Column(name, type_) for name, type_ in types.items())
    table = sa.Table("judged_rows", sa.MetaData(), *columns, prefixes=["TEMPORARY"])
    table.create(connection)
    connection.execute(table.insert(), rows)
    try:
        yield table
    finally:
        table.drop(connection)
