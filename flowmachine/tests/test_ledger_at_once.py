"""Check that two workers can write to each table of the ledger at once.

The second worker begins while the first has written and not committed. Both end, and the ledger is as if one had
come after the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from flowmachine.ledger import packing
from flowmachine.ledger.commands import prune
from flowmachine.queries import EventCount, Flows
from flowmachine.spec.subsets import set_of
from flowmachine.tables import metadata

from .kinds.sketching import defined
from .test_ledger import KEYS, answer, homes

#: What a worker does in a transaction, given its number.
Act = Callable[[sa.Connection, int], Any]

TABLES = {name: table for name, table in metadata.tables.items() if table.name.startswith("ledger_")}

PLACES = {"a": range(100), "b": range(100, 300)}


def release_flows(connection: sa.Connection, worker: int) -> Any:
    """Release flows from a location that both workers join, to another."""
    query = Flows(from_location=homes(1).locations, to_location=homes(1 + worker).locations)
    return answer(connection, query, {place: list(people)[worker:] for place, people in PLACES.items()})


def use_a_subset(connection: sa.Connection, worker: int) -> Any:
    query = set_of(EventCount(start_date="2016-01-01", end_date=f"2016-01-{2 + worker:02}"))
    numbers = range(worker, 100)
    sketch = {"subscribers": len(numbers), **defined(KEYS[number] for number in numbers)}
    used = packing.judged(connection, query, "made", sketch, lambda: [KEYS[number] for number in numbers])
    return used and used.query_id


#: A table that is new needs an act that writes to it.
ACTS: dict[str, Act] = {
    **dict.fromkeys(
        (
            "engine.ledger_results",
            "engine.ledger_rows",
            "engine.ledger_places",
            "engine.ledger_forms",
            "engine.ledger_totals",
            "engine.ledger_sums",
            "engine.ledger_margins",
            "engine.ledger_inputs",
        ),
        release_flows,
    ),
    "engine.ledger_subsets": use_a_subset,
}


@pytest.fixture(autouse=True)
def margins_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep sums of rows and refuse none: the places of these rows are in no region."""
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "report")


def empty(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY CASCADE"))


def contents(engine: sa.Engine, table: sa.Table) -> list[str]:
    """Return the rows of a table as texts, without times."""
    columns = [column for column in table.c if column.name != "at"]
    with engine.connect() as connection:
        return sorted(repr(tuple(row)) for row in connection.execute(sa.select(*columns)))


def wait_until_it_waits(engine: sa.Engine, other: Future[Any]) -> bool:
    """Wait until another worker is done, or waits for a lock; return whether it waits."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 60
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not other.done():
            if connection.execute(waiting).scalar_one():
                return True
            assert time.monotonic() < deadline
            threading.Event().wait(0.005)
    return False


def in_own_transaction(engine: sa.Engine, act: Act, worker: int) -> Any:
    with engine.begin() as connection:
        return act(connection, worker)


def one_after_the_other(engine: sa.Engine, act: Act) -> list[Any]:
    empty(engine)
    return [in_own_transaction(engine, act, worker) for worker in (1, 2)]


def at_once(engine: sa.Engine, act: Act) -> list[Any]:
    empty(engine)
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            first = act(connection, 1)
            second = pool.submit(in_own_transaction, engine, act, 2)
            wait_until_it_waits(engine, second)
        return [first, second.result(60)]


@pytest.mark.parametrize("name", TABLES)
def test_two_workers_write_as_if_one_came_after_the_other(engine: sa.Engine, name: str) -> None:
    act, table = ACTS[name], TABLES[name]
    expected_answers, expected = one_after_the_other(engine, act), contents(engine, table)
    assert len(expected) > 0
    assert at_once(engine, act) == expected_answers
    assert contents(engine, table) == expected


@pytest.mark.parametrize("act", [release_flows, use_a_subset])
def test_what_a_worker_compares_with_is_not_forgotten_meanwhile(engine: sa.Engine, act: Act) -> None:
    """Check that nothing is left of what is forgotten while a worker compares with it."""
    tomorrow = date.today() + timedelta(days=2)

    def forget(connection: sa.Connection, _worker: int) -> Any:
        return prune(connection, tomorrow)

    in_own_transaction(engine, act, 1)
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            act(connection, 2)
            forgetting = pool.submit(in_own_transaction, engine, forget, 0)
            assert wait_until_it_waits(engine, forgetting)
        forgetting.result(60)
    remembered = {"engine.ledger_places", "engine.ledger_forms"}
    assert {name for name, table in TABLES.items() if contents(engine, table)} <= remembered
