"""Check that small questions take few round trips to the database."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from flowdb.testing import TestCluster
from flowmachine.data import read_data_state
from flowmachine.jobs import submitting, working
from flowmachine.jobs.table import RELEASED, Key, find
from flowmachine.queries.catalogue import load
from flowmachine.settings import Settings
from flowmachine.spec.aggregate import Aggregate
from flowmachine.testing import Country, forget_jobs
from flowmachine.worker import Worker

from .job_rows import LEASE, aggregate, data, finish, load_daily_id, plan, state


@pytest.fixture
def worker(
    country: Country, cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """Provide a worker over a copy of the country."""
    with dataclasses.replace(cluster, template=country.database.name).database() as database:
        forget_jobs(database)
        copied = dataclasses.replace(country, database=database)
        settings = Settings.load(copied.environment(tmp_path_factory.mktemp("cache")))
        made = Worker(settings, settings)
        yield made
        made.close()


def counted(day: int) -> Aggregate:
    locations = {
        "query_kind": "daily_location",
        "date": f"2016-01-0{day}",
        "method": "last",
        "aggregation_unit": "admin2",
    }
    return load({"query_kind": "spatial_aggregate", "locations": locations})


def test_a_question_of_one_part_takes_few_statements(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging answers together has statements of its own, so it is off."""
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sa.event.listen(worker._engine, "before_cursor_execute", note)
    # The first question also makes the map of the cells.
    for day in (1, 2):
        query = counted(day)
        with worker._engine.begin() as connection:
            submitting.submit(connection, query, read_data_state(connection))
        statements.clear()
        assert worker.work_one(go_on=True)
        with worker._engine.connect() as connection:
            done = find(connection, Key(query.query_id, RELEASED))
        assert done is not None
        assert done["state"] == "completed", done["error"]
    # One for the plan and the part, and one after each of two computations.
    assert sum("columnar_files" in statement for statement in statements) == 3
    assert len(statements) <= 30, "\n".join(statements)


def test_a_job_is_claimed_together_with_the_end_of_another_or_not_at_all(engine: sa.Engine) -> None:
    query = aggregate(1)
    daily, modal = Key(load_daily_id(1), "duckdb"), Key(query.children[0].query_id, "duckdb")
    with engine.begin() as connection:
        submitting.submit(connection, query, data())
        plan(connection, query)
        assert working.claim(connection, "w", LEASE) is not None
    with engine.connect() as connection, connection.begin() as transaction:
        finish(connection, daily)
        following = working.claim(connection, "w", LEASE, only_planned=True)
        assert following is not None
        assert following["query_id"] == modal.query_id
        transaction.rollback()
    with engine.connect() as connection:
        assert [state(connection, key) for key in (daily, modal)] == ["executing", "queued"]


def test_planning_comes_before_the_next_claim(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        submitting.submit(connection, aggregate(1, 2), data())
        plan(connection, aggregate(1, 2))
        submitting.submit(connection, aggregate(3), data())
        assert working.claim(connection, "w", LEASE, only_planned=True) is None
        plan(connection, aggregate(3))
        claimed = working.claim(connection, "w", LEASE, only_planned=True)
        assert claimed is not None
        assert working.others_are_ready(claimed)
