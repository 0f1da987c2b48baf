"""Check through real processes that near subsets stay one subset."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from flowmachine.testing import Client, Processes, run_module

#: Of the country's subscribers fewer than half are active on only one of two days.
SETTINGS = {"FLOWMACHINE_DIFFERENCES": "on", "FLOWMACHINE_SUBSET_RADIUS": "0.5"}


def counted(day: int) -> dict[str, Any]:
    """Count where the subscribers with an event on a day were on the second day."""
    window = {"start_date": f"2016-01-{day:02}", "end_date": f"2016-01-{day + 1:02}"}
    locations = {
        "query_kind": "daily_location",
        "date": "2016-01-02",
        "method": "last",
        "aggregation_unit": "admin1",
        "subscriber_subset": {"query_kind": "event_count", **window},
    }
    return {"query_kind": "spatial_aggregate", "locations": locations}


def answer(processes: Processes, client: Client, spec: dict[str, Any]) -> list[Any]:
    query_id = client.ask("run_query", **spec)["payload"]["query_id"]
    assert client.until_done(query_id) == "completed", client.ask("poll_query", query_id=query_id)
    statement = client.ask("get_sql_for_query_result", query_id=query_id)["payload"]["sql"]
    with closing(processes.country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def test_an_earlier_set_outlives_its_store_and_its_results(processes: Processes) -> None:
    with closing(processes.country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute("TRUNCATE engine.ledger_subsets")
    processes.start("server", **SETTINGS)
    client = processes.client()
    columnar = processes.start("worker", FLOWMACHINE_EXECUTOR="duckdb", **SETTINGS)
    first = answer(processes, client, counted(1))
    columnar.terminate()
    columnar.wait(30)
    # The other store has nothing of the first set.
    tables = processes.start("worker", FLOWMACHINE_EXECUTOR="postgres", **SETTINGS)
    assert answer(processes, client, counted(3)) == first
    run_module("flowmachine", "cache", "reset", **processes.country.environment(processes.folder / "cache"))
    assert answer(processes, client, counted(3)) == first
    tables.terminate()
    tables.wait(30)
    processes.start("worker", FLOWMACHINE_EXECUTOR="duckdb", **SETTINGS)
    run_module("flowmachine", "cache", "reset", **processes.country.environment(processes.folder / "cache"))
    assert answer(processes, client, counted(3)) == first


def test_subsets_are_what_they_are_without_packing(processes: Processes) -> None:
    processes.start("server")
    processes.start("worker")
    client = processes.client()
    assert answer(processes, client, counted(3)) != answer(processes, client, counted(1))
