"""Draw mobile-money transactions and count them in plain Python."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2.extras import execute_values

from flowmachine.data import read_data_state
from flowmachine.queries.catalogue import load_any
from flowmachine.spec.query import NotBuildable

from ..land import CELLS
from ..oracle import FLOOR, ordered, places
from ..world import Stage, World

METRICS = ("amount", "commission", "fee", "discount")


@dataclass(frozen=True)
class Transaction:
    """Hold one transaction.

    ``time`` is wall-clock time; the parties are a subscriber's number and a cell's position.
    """

    time: datetime
    amounts: tuple[int | None, ...]
    payer: tuple[int, int]
    payee: tuple[int, int]


def load(connection: sa.Connection, stage: Stage, transactions: list[Transaction]) -> None:
    cursor = connection.connection.cursor()
    # Two identities of each person: the even and the odd one after it.
    execute_values(
        cursor,
        "INSERT INTO dfs.subscribers (id, msisdn) VALUES %s",
        [(number, f"person {number // 2}") for number in range(100)],
    )
    execute_values(
        cursor,
        "INSERT INTO dfs.transactions (id, amount, commission, fee, discount, timestamp) VALUES %s",
        [(n, *t.amounts, t.time.replace(tzinfo=stage.zone)) for n, t in enumerate(transactions)]
        or [(-1, *[None] * 5)],
    )
    parties = [
        (number, party[0], CELLS[party[1]].id, CELLS[party[1]].version)
        for number, transaction in enumerate(transactions)
        for party in (transaction.payer, transaction.payee)
    ]
    if parties:
        execute_values(
            cursor,
            "INSERT INTO dfs.transactions_metadata (transaction_id, subscriber_id, cell_id, cell_version) VALUES %s",
            parties,
        )


def evaluate(stage: Stage, spec: dict[str, Any], transactions: list[Transaction]) -> list[tuple[Any, ...]]:
    query = load_any(spec)
    with stage.engine.connect() as connection, connection.begin() as transaction:
        load(connection, stage, transactions)
        connection.execute(sa.text("SET LOCAL ROLE flowmachine"))
        state = read_data_state(connection)
        rows = stage.run(query, World([]), "postgres", connection, state)
        transaction.rollback()
    return rows


def defined(spec: dict[str, Any], transactions: list[Transaction]) -> list[tuple[Any, ...]]:
    start = datetime.fromisoformat(spec["start_date"])
    end = datetime.fromisoformat(spec["end_date"]) + timedelta(days=1)
    sums: dict[tuple[date, str], int] = defaultdict(int)
    people: dict[tuple[date, str], set[int]] = defaultdict(set)
    for transaction in transactions:
        amount = transaction.amounts[METRICS.index(spec["metric"])]
        if start <= transaction.time < end and amount is not None:
            for subscriber, cell in (transaction.payer, transaction.payee):
                for region in places(CELLS[cell], spec["aggregation_unit"]):
                    key = transaction.time.date(), region
                    sums[key] += amount
                    people[key].add(subscriber // 2)
    return ordered((*key, total) for key, total in sums.items() if len(people[key]) > FLOOR)


def crowd(size: int, cell: int, moment: datetime, payee: tuple[int, int] = (99, 10)) -> list[Transaction]:
    """So many people pay, all at one cell, by default to someone outside all regions."""
    return [Transaction(moment, (100, 1, 2, None), (2 * person, cell), payee) for person in range(size)]


SPEC = {
    "query_kind": "dfs_metric_total_amount",
    "metric": "amount",
    "start_date": "2016-01-01",
    "end_date": "2016-01-01",
    "aggregation_unit": "admin3",
}


def test_sums_by_local_date_and_region(stage_in_nepal: Stage) -> None:
    first, last = datetime(2016, 1, 1), datetime(2016, 1, 1, 23, 59, 59)
    transactions = (
        crowd(16, 0, first) + crowd(15, 1, first) + crowd(17, 3, last) + crowd(17, 3, first + timedelta(1))
    )
    assert evaluate(stage_in_nepal, SPEC, transactions) == [
        (date(2016, 1, 1), "b", Decimal(1600)),
        (date(2016, 1, 1), "é", Decimal(1700)),
    ]


def test_both_parties_in_a_region_count_twice(stage_in_nepal: Stage) -> None:
    noon = datetime(2016, 1, 1, 12)
    spec = SPEC | {"metric": "fee"}
    assert evaluate(stage_in_nepal, spec, crowd(16, 0, noon, payee=(99, 0))) == [
        (noon.date(), "b", Decimal(64))
    ]


def test_only_those_who_have_the_metric_are_counted(stage_in_nepal: Stage) -> None:
    noon = datetime(2016, 1, 1, 12)
    spec = SPEC | {"metric": "commission"}
    without = [Transaction(noon, (100, None, 2, None), (2 * person, 0), (99, 10)) for person in range(20)]
    assert evaluate(stage_in_nepal, spec, without) == []
    # Of twenty who paid, so many have a commission of 1.
    for size, rows in ((1, []), (15, []), (16, [(noon.date(), "b", Decimal(16))])):
        assert evaluate(stage_in_nepal, spec, crowd(size, 0, noon) + without[size:]) == rows


def test_two_identities_are_one_person(stage_in_nepal: Stage) -> None:
    noon = datetime(2016, 1, 1, 12)
    doubles = [Transaction(noon, (1, 1, 1, 1), (number, 0), (99, 10)) for number in range(30)]
    assert evaluate(stage_in_nepal, SPEC, doubles) == []


_moments = st.sampled_from(
    [datetime(2016, 1, day, *clock) for day in (1, 2, 3) for clock in ((0,), (12,), (23, 59, 59))]
)
_amounts = st.tuples(*[st.sampled_from((None, 0, 1, 250))] * len(METRICS))
_cells = st.integers(0, len(CELLS) - 1)


@st.composite
def histories(draw: st.DrawFn) -> list[Transaction]:
    """Crowds that pay alike."""
    found = []
    for _ in range(draw(st.integers(0, 4))):
        moment, amounts, cell = draw(_moments), draw(_amounts), draw(_cells)
        payee = (draw(st.integers(0, 99)), draw(_cells))
        first, size, step = (
            draw(st.integers(0, 10)),
            draw(st.sampled_from((1, 15, 16, 32))),
            draw(st.integers(1, 2)),
        )
        found += [
            Transaction(moment, amounts, (first + step * person, cell), payee) for person in range(size)
        ]
    return found


@given(
    transactions=histories(),
    metric=st.sampled_from(METRICS),
    unit=st.sampled_from(("admin2", "admin3")),
    window=st.sampled_from(
        (("2016-01-01", "2016-01-03"), ("2016-01-02", "2016-01-02"), ("2016-01-01 12:00", "2016-01-02"))
    ),
)
def test_rows_are_as_defined(
    stage_in_nepal: Stage, transactions: list[Transaction], metric: str, unit: str, window: tuple[str, str]
) -> None:
    spec = SPEC | {
        "metric": metric,
        "aggregation_unit": unit,
        "start_date": window[0],
        "end_date": window[1],
    }
    found = evaluate(stage_in_nepal, spec, transactions)
    expected = defined(spec, transactions)
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        assert row[2] == wanted[2] or math.isclose(row[2], wanted[2])


def test_only_the_database_has_transactions() -> None:
    assert load_any(SPEC).needs_database


def test_a_window_ends_after_it_starts(stage_in_utc: Stage) -> None:
    query = load_any(SPEC | {"start_date": "2016-01-03"})
    with (
        stage_in_utc.loaded(World([])) as (_, state),
        pytest.raises(NotBuildable, match="The start date is later than the stop date"),
    ):
        state.check(query)


def behind(spec: dict[str, Any], transactions: list[Transaction]) -> dict[Any, set[tuple[int, int]]]:
    """Return who stands behind each row, with what they add."""
    start = datetime.fromisoformat(spec["start_date"])
    end = datetime.fromisoformat(spec["end_date"]) + timedelta(days=1)
    sums: dict[Any, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for transaction in transactions:
        amount = transaction.amounts[METRICS.index(spec["metric"])]
        if start <= transaction.time < end and amount is not None:
            for subscriber, cell in (transaction.payer, transaction.payee):
                for region in places(CELLS[cell], spec["aggregation_unit"]):
                    sums[transaction.time.date(), region][subscriber // 2] += amount
    return {key: set(people.items()) for key, people in sums.items()}


@settings(max_examples=max(settings.default.max_examples // 5, 1))
@given(transactions=histories(), late=histories(), metric=st.sampled_from(METRICS))
def test_sums_that_differ_by_few_are_equal_or_absent_in_both(
    stage_in_nepal: Stage, transactions: list[Transaction], late: list[Transaction], metric: str
) -> None:
    """Ask from midnight and from a minute later, with payments of some people between."""
    between = datetime(2016, 1, 1, 0, 0, 30)
    history = [*transactions, *(replace(payment, time=between) for payment in late[:8])]
    specs = [SPEC | {"metric": metric, "start_date": start} for start in ("2016-01-01", "2016-01-01 00:01")]
    with stage_in_nepal.engine.connect() as connection, connection.begin() as transaction:
        load(connection, stage_in_nepal, history)
        connection.execute(sa.text("SET LOCAL ROLE flowmachine"))
        state = read_data_state(connection)
        answers = [
            {
                row[:2]: row[2]
                for row in stage_in_nepal.run(load_any(spec), World([]), "postgres", connection, state)
            }
            for spec in specs
        ]
        transaction.rollback()
    one, other = (behind(spec, history) for spec in specs)
    differences = {key: len(one[key] ^ other[key]) for key in one.keys() & other.keys()}
    if sum(differences.values()) <= 28:
        for key, difference in differences.items():
            if 1 <= difference <= 15:
                assert answers[0].get(key) == answers[1].get(key)
