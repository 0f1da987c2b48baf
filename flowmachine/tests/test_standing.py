"""Check that listed parts of all days are stored, kept and used."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from flowmachine.data import DataState
from flowmachine.jobs import table
from flowmachine.settings import Choice
from flowmachine.standing import StandingParts
from flowmachine.testing import Processes, run_module, wait_for
from flowsettings import SettingError

from .job_rows import data

PART = {"query_kind": "daily_location", "method": "last", "aggregation_unit": "admin2"}
LISTED = {"FLOWMACHINE_STANDING": json.dumps([PART])}
HOMES = {
    "query_kind": "modal_location",
    "locations": [{**PART, "date": f"2016-01-0{day}"} for day in (1, 2, 3)],
}


def shown(processes: Processes, *command: str, **settings: str) -> str:
    environment = processes.country.environment(processes.folder / "cache") | settings
    return run_module("flowmachine", "cache", *command, **environment)


def daily(processes: Processes) -> int:
    """Count the daily locations that were computed."""
    return sum(line["event"] == "computed" and line["kind"] == "daily_location" for line in processes.lines())


def test_questions_read_what_idle_workers_stored(processes: Processes) -> None:
    processes.start("worker", **LISTED)
    wait_for(lambda: "3 of 3 days" in shown(processes, "standing", **LISTED))
    processes.start("server")
    client = processes.client()
    spec = {"query_kind": "spatial_aggregate", "locations": HOMES}
    query_id = client.ask("run_query", **spec)["payload"]["query_id"]
    assert client.until_done(query_id) == "completed"
    processes.computed(5)
    assert daily(processes) == 3
    # Size never drops them while they are listed, and a lost part comes back by itself.
    everything = ("shrink", "--limit", "0", "--protected", "-1")
    assert "daily_location" not in shown(processes, *everything, **LISTED)
    assert "3 of 3 days" in shown(processes, "standing", **LISTED)
    assert shown(processes, *everything).count("daily_location") == 3
    wait_for(lambda: "3 of 3 days" in shown(processes, "standing", **LISTED))


def test_a_part_that_failed_waits_for_other_data(engine: sa.Engine) -> None:
    parts = StandingParts([PART])
    before, after = data(), data(UUID(int=2))
    with engine.begin() as connection:

        def offered(state: DataState) -> int:
            """Count the parts that are queued until no more are offered."""
            turns = iter(range(100))
            while parts.offer(connection, state, {}, Choice("duckdb")):
                assert next(turns) < 50
            connection.execute(table.moved("execute"))
            return connection.execute(table.moved("error")).rowcount

        assert offered(before) == 7
        assert offered(before) == 0
        assert offered(after) == 7


@pytest.mark.parametrize(
    "spec",
    [
        {"query_kind": "no_such_kind"},
        {**PART, "date": "2016-01-01", "method": "first"},
        {"query_kind": "unique_subscriber_counts", "aggregation_unit": "admin2"},
    ],
)
def test_a_part_that_is_not_a_query_of_one_day_is_named(spec: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="FLOWMACHINE_STANDING"):
        StandingParts([spec])
