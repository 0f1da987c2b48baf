"""Provide specs over the loaded country, routes with needed scopes, and helpers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from quart.typing import TestClientProtocol as Client

from flowmachine.spec.query import Query
from flowmachine.testing import Processes

DAILY = {"query_kind": "daily_location", "date": "2016-01-01", "method": "last", "aggregation_unit": "admin3"}
SPEC = {"query_kind": "spatial_aggregate", "locations": DAILY}
FLOWS = {"query_kind": "flows", "from_location": DAILY, "to_location": {**DAILY, "date": "2016-01-02"}}
SPATIAL = ["admin3:spatial_aggregate:spatial_aggregate", "admin3:spatial_aggregate:daily_location"]
SHAPES = "admin3:geography:geography"
EVERYTHING = [
    "run",
    "get_result",
    "get_available_dates",
    "get_qa_checks",
    "cancel",
    SHAPES,
    *SPATIAL,
    "admin3:flows:flows",
    "admin3:flows:daily_location",
]

EVENTS = {"query_kind": "event_count", "start_date": "2016-01-01", "end_date": "2016-01-03"}
PEOPLE = {"query_kind": "unique_subscribers", "start_date": "2016-01-01", "end_date": "2016-01-03"}
COUNTED = "nonspatial:histogram_aggregate:event_count"
HISTOGRAM = {"query_kind": "histogram_aggregate", "metric": EVENTS, "bins": {"n_bins": 4}}


def among(subset: Any) -> dict[str, Any]:
    return {**SPEC, "locations": {**DAILY, "subscriber_subset": subset}}


ROUTES: list[tuple[str, str, list[str], int]] = [
    ("POST", "/api/0/run", ["run", *SPATIAL], 202),
    ("POST", "/api/0/explain", ["run", *SPATIAL], 200),
    ("GET", "/api/0/poll/{query_id}", SPATIAL, 303),
    ("GET", "/api/0/get/{query_id}", ["get_result", *SPATIAL], 200),
    ("GET", "/api/0/get/{query_id}.json", ["get_result", *SPATIAL], 200),
    ("GET", "/api/0/get/{query_id}.csv", ["get_result", *SPATIAL], 200),
    ("GET", "/api/0/get/{query_id}.geojson", ["get_result", SHAPES, *SPATIAL], 200),
    ("POST", "/api/0/cancel/{query_id}", ["cancel", *SPATIAL], 200),
    ("GET", "/api/0/geography/admin3", ["get_result", SHAPES], 200),
    ("GET", "/api/0/available_dates", ["get_available_dates"], 200),
    ("GET", "/api/0/loads", ["get_available_dates"], 200),
    ("GET", "/api/0/qa/", ["get_qa_checks"], 200),
    (
        "GET",
        "/api/0/qa/{cdr_type}/{check_id}?start_date=2016-01-01&end_date=2016-01-03",
        ["get_qa_checks"],
        200,
    ),
    ("GET", "/api/0/qa/{cdr_type}/{check_id}/2016-01-01", ["get_qa_checks"], 200),
]


async def submit(client: Client, headers: dict[str, str], spec: dict[str, Any] = SPEC) -> str:
    """Run a spec to its end and return its id."""
    response = await client.post("/api/0/run", json=spec, headers=headers)
    assert response.status_code == 202, await response.get_data(as_text=True)
    location = response.headers["Location"]
    async with asyncio.timeout(60):
        while (await client.get(location, headers=headers)).status_code == 202:
            await asyncio.sleep(0.05)
    return location.rpartition("/")[2]


def execute(engine: Processes, statement: Any, *values: Any) -> None:
    with engine.country.database.connect("flowdb") as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
    connection.close()


def put_job(engine: Processes, query: Query, store: str) -> None:
    """Insert a query into the job table as if another user had it stored.

    Its state is copied from another query.
    """
    execute(
        engine,
        "INSERT INTO engine.jobs SELECT (jsonb_populate_record(job, jsonb_build_object("
        "'query_id', %s::text, 'store', %s::text, 'kind', %s::text, 'spec', %s::jsonb))).*"
        " FROM engine.jobs AS job WHERE store = 'released' AND state = 'completed' LIMIT 1",
        query.query_id,
        store,
        query.kind,
        json.dumps(query.spec()),
    )
