"""Check specs of thousands of parts: accepted at once, planned cheaply, polled."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from flowmachine.data import DataState
from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.jobs import planning, submitting, table
from flowmachine.jobs.specs import KEPT, query_of
from flowmachine.jobs.table import RELEASED, Key
from flowmachine.plan import make_plan
from flowmachine.queries.catalogue import MOST_PARTS, load
from flowmachine.server.actions import Actions
from flowmachine.settings import Choice, Computing
from flowmachine.spec import reading
from flowmachine.tables import jobs
from flowmachine.testing import Processes

#: With the modal location and the aggregate, as many as a spec may have.
PARTS = MOST_PARTS - 2


def spec_of(parts: int, days: int) -> dict[str, Any]:
    """A modal location over so many distinct daily locations in some days."""
    hours = [(first, last) for first in range(24) for last in range(25) if first != last]
    variants = (
        {
            "query_kind": "daily_location",
            "date": (date(2016, 1, 1) + timedelta(day)).isoformat(),
            "method": method,
            "aggregation_unit": "admin3",
            "event_types": types,
            "hours": {"start_hour": first, "end_hour": last},
        }
        for types in (["calls"], ["sms"], ["calls", "sms"])
        for method in ("last", "most-common")
        for first, last in hours
        for day in range(days)
    )
    locations = [spec for spec, _ in zip(variants, range(parts), strict=False)]
    return {
        "query_kind": "spatial_aggregate",
        "locations": {"query_kind": "modal_location", "locations": locations},
    }


@contextmanager
def counted_statements(engine: sa.Engine) -> Iterator[list[str]]:
    """The statements that are sent within the block."""
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def loaded(days: int) -> DataState:
    found = {
        (kind, date(2016, 1, 1) + timedelta(n)): UUID(int=1) for kind in ("calls", "sms") for n in range(days)
    }
    return DataState(found, {}, 1, "UTC")


@pytest.fixture
def executor(tmp_path: Path) -> DuckDBExecutor:
    return DuckDBExecutor(
        Computing(
            columnar_path=tmp_path, cache_path=tmp_path, executor="duckdb", threads=1, memory_limit="256MB"
        ),
        "flowapi",
    )


def test_planning_asks_the_database_no_oftener_for_more_parts(
    engine: sa.Engine, executor: DuckDBExecutor
) -> None:
    numbers = []
    for parts in (10, 900):
        query = load(spec_of(parts, 365))
        with engine.begin() as connection:
            submitting.submit(connection, query, loaded(365))
            job = table.find(connection, Key(query.query_id, RELEASED))
            assert job is not None
            with counted_statements(engine) as sent:
                make_plan(connection, job, loaded(365), {"duckdb": executor}, Choice("duckdb"))
            assert submitting.progress(connection, query.query_id).queued == parts + 2
        numbers.append(len(sent))
    assert numbers[1] <= numbers[0]


@pytest.mark.parametrize("parts", [7, KEPT + 5])
def test_a_spec_is_parsed_once_in_a_process(
    engine: sa.Engine, executor: DuckDBExecutor, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    parsed: list[str] = []
    parse = reading._of_kind

    def counted(kind: str, *arguments: Any) -> Any:
        parsed.append(kind)
        return parse(kind, *arguments)

    monkeypatch.setattr(reading, "_of_kind", counted)
    spec = spec_of(parts, 30)
    actions = Actions(engine)
    actions.authorise({"spec": spec})
    actions.get_aggregation_unit(spec)
    assert len(parsed) == parts + 2
    query = load(spec)
    with engine.begin() as connection:
        submitting.submit(connection, query, loaded(30))
    del query
    parsed.clear()
    # Act as a worker: plan the query, then compute its parts.
    with engine.begin() as connection:
        job = planning.next_unplanned(connection)
        assert job is not None
        make_plan(connection, job, loaded(30), {"duckdb": executor}, Choice("duckdb"))
        rows = connection.execute(sa.select(jobs.c.query_id, jobs.c.spec)).mappings().all()
        assert {query_of(row).query_id for row in rows} == {row["query_id"] for row in rows}
    assert len(rows) == parts + 2
    assert len(parsed) == parts + 2


def test_a_poll_of_a_big_plan_reads_no_spec_and_is_shared(
    engine: sa.Engine, executor: DuckDBExecutor
) -> None:
    query = load(spec_of(365, 365))
    with engine.begin() as connection:
        submitting.submit(connection, query, loaded(365))
        job = table.find(connection, Key(query.query_id, RELEASED))
        assert job is not None
        make_plan(connection, job, loaded(365), {"duckdb": executor}, Choice("duckdb"))
    actions = Actions(engine)
    with counted_statements(engine) as sent:
        replies = [actions.poll_query({"query_id": query.query_id}) for _ in range(50)]
    assert all(reply["progress"] == {"eligible": 367, "queued": 367, "running": 0} for reply in replies)
    assert len(sent) < 50
    assert not any("spec" in statement for statement in sent)
    cancelled = actions.cancel_query({"query_id": query.query_id}, user=None)
    assert cancelled["query_state"] == "cancelled"
    assert actions.poll_query({"query_id": query.query_id})["query_state"] == "cancelled"


def test_thousands_of_parts_are_accepted_polled_by_hundreds_and_cancelled(processes: Processes) -> None:
    processes.start("server")
    client = processes.client()
    reply = client.ask("run_query", **spec_of(PARTS, 3))
    assert reply["status"] == "success"
    query_id = reply["payload"]["query_id"]
    assert reply["payload"]["progress"] == {"eligible": PARTS + 2, "queued": PARTS + 2, "running": 0}

    with ThreadPoolExecutor(50) as pool:
        polls = list(pool.map(lambda _: client.ask("poll_query", query_id=query_id), range(200)))
    assert {poll["payload"]["query_state"] for poll in polls} == {"queued"}

    assert client.ask("cancel_query", query_id=query_id)["payload"]["query_state"] == "cancelled"
    assert client.ask("poll_query", query_id=query_id)["payload"]["query_state"] == "cancelled"
