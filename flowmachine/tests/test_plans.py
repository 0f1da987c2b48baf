"""Check that the database never compares each subscriber with all others.

PostgreSQL underestimates common table expressions, which have no statistics. It then joins thousands of rows with
thousands in nested loops, which takes minutes where a hash takes a second.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from flowdb.testing import Database, TestCluster
from flowmachine.data import read_data_state
from flowmachine.jobs import submitting
from flowmachine.jobs.table import RELEASED, Key, find
from flowmachine.queries.catalogue import load, submittable_kinds
from flowmachine.queries.examples import example
from flowmachine.settings import Settings
from flowmachine.testing import Country, forget_jobs
from flowmachine.worker import Worker

_SAME_SUBSCRIBER = re.compile(r"\w+\.(subscriber|msisdn) = ")

#: The first loaded day, and the last.
_FIRST, _LAST = date(2016, 1, 1), 3


@pytest.fixture(scope="module")
def worker(
    country: Country, cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """Provide a worker over a copy of the country with far-away empty days."""
    with dataclasses.replace(cluster, template=country.database.name).database() as database:
        forget_jobs(database)
        _load_nothing(database)
        copied = dataclasses.replace(country, database=database)
        settings = Settings.load(
            copied.environment(tmp_path_factory.mktemp("cache")) | {"FLOWMACHINE_EXECUTOR": "postgres"}
        )
        made = Worker(settings, settings)
        yield made
        made.close()


def _load_nothing(database: Database) -> None:
    """Record days without events: in the weeks before, and in the months after."""
    days = [_FIRST - timedelta(weeks=week) for week in range(1, 5)]
    days += [date(2016 + month // 12, month % 12 + 1, 1) for month in range(1, 14)]
    with closing(database.connect("flowdb")) as connection, connection, connection.cursor() as cursor:
        for event_type in ("calls", "sms"):
            cursor.executemany(
                "INSERT INTO etl.etl_records (cdr_type, cdr_date, state, load_id)"
                " VALUES (%s, %s, 'ingested', gen_random_uuid())",
                [(event_type, day) for day in days],
            )


def slow_joins(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the conditions of nested loops over subscribers, which a hash could join."""
    if plan["Node Type"] == "Nested Loop" and _SAME_SUBSCRIBER.search(plan.get("Join Filter", "")):
        yield plan["Join Filter"]
    for below in plan.get("Plans", ()):
        yield from slow_joins(below)


def loaded(value: Any, name: str = "") -> Any:
    """Return a spec with its dates moved to days that are loaded."""
    if name == "total_periods":
        return _LAST
    if isinstance(value, dict):
        return {key: loaded(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [loaded(item, name) for item in value]
    late = isinstance(value, str) and (found := re.match(r"2016-01-(\d\d)", value)) and int(found[1]) > _LAST
    return f"2016-01-0{_LAST + name.startswith('end')}" if late else value


@pytest.mark.parametrize("kind", [kind for kind in submittable_kinds() if kind != "dummy_query"])
def test_nothing_is_compared_with_all(worker: Worker, kind: str) -> None:
    found: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        made = re.search(r"CREATE (UNLOGGED |TEMPORARY )?TABLE .* AS", statement)
        if made:
            cursor.execute("EXPLAIN (FORMAT JSON) " + statement[made.start() :], parameters)
            found.extend(slow_joins(cursor.fetchone()[0][0]["Plan"]))

    sa.event.listen(worker._engine, "before_cursor_execute", explain)
    try:
        query = load(loaded(example(kind)))
        with worker._engine.begin() as connection:
            submitting.submit(connection, query, read_data_state(connection))
        worker.run_until_idle()
    finally:
        sa.event.remove(worker._engine, "before_cursor_execute", explain)
    with worker._engine.begin() as connection:
        job = find(connection, Key(query.query_id, RELEASED))
    assert job is not None
    assert job["state"] == "completed", job["error"]
    assert found == []
