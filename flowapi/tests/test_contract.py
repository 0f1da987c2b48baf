"""Check the whole contract against the real engine over a loaded country.

Specs, states, results and faults are covered.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import signal
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from contextlib import closing as closed
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from loaded_country import (
    DAILY,
    FLOWS,
    ROUTES,
    SPATIAL,
    SPEC,
    execute,
    submit,
)
from openapi_spec_validator import validate
from psycopg2 import sql
from quart.typing import TestClientProtocol as Client

from flowapi.app import create_app
from flowapi.settings import Settings
from flowapi.testing import TokenBuilder
from flowmachine.testing import Processes, wait_for

pytestmark = pytest.mark.anyio


async def test_from_spec_to_rows_in_every_format(
    client: Client, headers: dict[str, str], captured: Any, engine: Processes
) -> None:
    response = await client.post("/api/0/run", json=SPEC, headers=headers)
    body = await response.get_json()
    assert response.status_code == 202
    assert set(body) == {"query_id", "progress"}
    assert set(body["progress"]) == {"eligible", "queued", "running"}
    query_id = body["query_id"]
    assert response.headers["Location"] == f"/api/0/poll/{query_id}"
    assert response.headers["X-Request-ID"] in engine.logs()

    await submit(client, headers)
    captured.clear()
    polled = await client.get(f"/api/0/poll/{query_id}", headers=headers)
    assert polled.status_code == 303
    assert polled.headers["Location"] == f"/api/0/get/{query_id}"
    assert await polled.get_json() == {"status": "completed"}
    assert captured.events("query") == ["poll_query"]

    captured.clear()
    result = await client.get(f"/api/0/get/{query_id}", headers=headers)
    assert result.content_type == "application/json"
    assert result.headers["Content-Disposition"] == f"attachment;filename={query_id}.json"
    assert "Transfer-Encoding" not in result.headers
    document = await result.get_json()
    rows = document["query_result"]
    assert document["query_id"] == query_id
    assert rows
    assert all(row["value"] > 15 for row in rows)
    assert captured.events("query") == ["get_result"]
    assert captured.events("access") == [
        "user load attempted",
        "user loaded",
        "permission granted",
        "request finished",
    ]
    [closing] = captured.lines("access", event="request finished")
    assert closing["rows"] == len(rows)

    named = await client.get(f"/api/0/get/{query_id}.json", headers=headers)
    assert await named.get_json() == document

    table = await client.get(f"/api/0/get/{query_id}.csv?safe=1", headers=headers)
    assert table.content_type == "text/csv"
    lines = list(csv.DictReader(io.StringIO(await table.get_data(as_text=True))))
    assert lines == [{name: str(value) for name, value in row.items()} for row in rows]

    shapes = await client.get(f"/api/0/get/{query_id}.geojson", headers=headers)
    assert shapes.content_type == "application/geo+json"
    features = json.loads(await shapes.get_data())["features"]
    assert {feature["properties"]["pcod"] for feature in features} == {row["pcod"] for row in rows}
    assert all(feature["properties"]["centroid"]["type"] == "Point" for feature in features)


async def test_an_equal_spec_has_an_equal_id(client: Client, headers: dict[str, str]) -> None:
    reordered = dict(reversed(SPEC.items()))
    assert await submit(client, headers) == await submit(client, headers, reordered)


async def test_a_known_result_is_not_sent_again_until_it_is_made_anew(
    client: Client, headers: dict[str, str], engine: Processes
) -> None:
    query_id = await submit(client, headers)
    path = f"/api/0/get/{query_id}.csv"
    etag = (await client.get(path, headers=headers)).headers["ETag"]
    again = await client.get(path, headers=headers | {"If-None-Match": etag})
    assert (again.status_code, await again.get_data()) == (304, b"")
    other_format = await client.get(f"/api/0/get/{query_id}", headers=headers | {"If-None-Match": etag})
    assert other_format.status_code == 200
    table = sql.Identifier(f"x{query_id}")
    execute(
        engine,
        sql.SQL(
            "CREATE TABLE cache.copy AS TABLE cache.{0}; DROP TABLE cache.{0};"
            "ALTER TABLE cache.copy RENAME TO {0}; GRANT SELECT ON cache.{0} TO flowapi, flowmachine"
        ).format(table),
    )
    anew = await client.get(path, headers=headers | {"If-None-Match": etag})
    assert anew.status_code == 200


STATES = [
    ("queued", (202, "queued"), (202, "queued")),
    ("executing", (202, "executing"), (202, "executing")),
    ("errored", (500, "errored"), (500, "errored")),
    ("cancelled", (500, "cancelled"), (500, "cancelled")),
    ("known", (404, "known"), (404, "Error")),
    ("resetting", (404, "resetting"), (404, "resetting")),
]


@pytest.mark.parametrize(("state", "polled", "fetched"), STATES, ids=[state for state, *_ in STATES])
async def test_every_state_through_poll_and_get(
    client: Client,
    headers: dict[str, str],
    engine: Processes,
    state: str,
    polled: tuple[int, str],
    fetched: tuple[int, str],
) -> None:
    query_id = str(uuid.uuid4().hex)
    execute(
        engine,
        # A pending dependency and an endless lease keep the worker away.
        "INSERT INTO engine.jobs SELECT (jsonb_populate_record(job, jsonb_build_object("
        "'query_id', %s::text, 'state', %s::text, 'error', 'the cause', 'planned', true, 'pending', 1,"
        " 'lease_until', now() + interval '1 h'))).* FROM engine.jobs AS job"
        " WHERE query_id = %s AND store = 'released'",
        query_id,
        state,
        await submit(client, headers),
    )
    try:
        response = await client.get(f"/api/0/poll/{query_id}", headers=headers)
        document = await response.get_json()
        assert (response.status_code, document["status"]) == polled
        assert document["msg"]
        if response.status_code == 202:
            assert set(document["progress"]) == {"eligible", "queued", "running"}
            assert response.headers["Retry-After"] == "1"
        if state == "errored":
            assert "the cause" in document["msg"]
        for file_type in ("json", "csv", "geojson"):
            response = await client.get(f"/api/0/get/{query_id}.{file_type}", headers=headers)
            document = await response.get_json()
            assert (response.status_code, document["status"]) == fetched
            assert document["msg"]
    finally:
        execute(engine, "DELETE FROM engine.jobs WHERE query_id = %s", query_id)


async def test_the_request_id_of_the_caller_is_in_every_log_and_in_the_audit_trail(
    engine: Processes, client: Client, headers: dict[str, str], captured: Any
) -> None:
    spec = {**SPEC, "locations": {**DAILY, "hours": {"start_hour": 5, "end_hour": 7}}}
    answer = await client.post("/api/0/run", json=spec, headers=headers | {"X-Request-ID": "notebook-7"})
    request_id = answer.headers["X-Request-ID"]
    assert request_id.startswith("notebook-7.")
    [closing] = captured.lines("access", event="request finished")
    assert closing["request"]["request_id"] == request_id

    def heard() -> bool:
        events = [line["event"] for line in engine.lines() if line.get("request_id") == request_id]
        return {"received", "answered", "computed"} <= set(events)

    await asyncio.to_thread(wait_for, heard)
    with closed(engine.country.database.connect("flowdb")) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT action FROM audit.engine_requests WHERE request_id = %s ORDER BY 1", (request_id,)
        )
        assert cursor.fetchall() == [("authorise",), ("run_query",)]


async def test_an_unknown_id_is_awol(client: Client, headers: dict[str, str]) -> None:
    for path in ("poll", "get"):
        response = await client.get(f"/api/0/{path}/{'0' * 32}", headers=headers)
        assert response.status_code == 404
        assert await response.get_json() == {"status": "awol", "msg": f"Unknown query id: '{'0' * 32}'"}


async def test_a_spec_that_the_engine_refuses(client: Client, headers: dict[str, str]) -> None:
    response = await client.post("/api/0/run", json=SPEC | {"surprise": 1}, headers=headers)
    document = await response.get_json()
    assert response.status_code == 400
    assert document["msg"].startswith("Parameter validation failed.")
    assert document["payload"]["validation_error_messages"] == {"surprise": ["Unknown field."]}


async def test_a_spec_of_five_thousand_parts_is_accepted(client: Client, tokens: TokenBuilder) -> None:
    parts = [DAILY | {"date": f"2016-01-0{1 + part % 3}", "method": "last"} for part in range(5_000)]
    spec = {
        "query_kind": "spatial_aggregate",
        "locations": {"query_kind": "modal_location", "locations": parts},
    }
    scopes = ["run", *SPATIAL, "admin3:spatial_aggregate:modal_location"]
    response = await client.post("/api/0/run", json=spec, headers=tokens.header({"all": scopes}))
    assert response.status_code == 202, await response.get_data(as_text=True)


async def test_a_day_without_data(client: Client, headers: dict[str, str]) -> None:
    spec = {**SPEC, "locations": {**DAILY, "date": "1999-01-01"}}
    response = await client.post("/api/0/run", json=spec, headers=headers)
    document = await response.get_json()
    assert response.status_code == 400
    assert document["status"] == "Error"
    assert "1999-01-01" in document["payload"]["exception"]


async def test_a_result_that_was_not_released_is_not_served(
    client: Client, headers: dict[str, str], engine: Processes
) -> None:
    query_id = await submit(client, headers)
    table = sql.Identifier(f"x{query_id}")
    execute(engine, sql.SQL("REVOKE SELECT ON cache.{} FROM flowapi").format(table))
    try:
        response = await client.get(f"/api/0/get/{query_id}", headers=headers)
        assert response.status_code == 403
        assert "released" in (await response.get_json())["msg"]
    finally:
        execute(engine, sql.SQL("GRANT SELECT ON cache.{} TO flowapi").format(table))


async def test_a_result_that_was_dropped_can_be_run_again(
    client: Client, headers: dict[str, str], engine: Processes
) -> None:
    query_id = await submit(client, headers, FLOWS)
    execute(engine, sql.SQL("DROP TABLE cache.{}").format(sql.Identifier(f"x{query_id}")))
    assert (await client.get(f"/api/0/get/{query_id}", headers=headers)).status_code == 404
    assert await submit(client, headers, FLOWS) == query_id
    assert (await client.get(f"/api/0/get/{query_id}", headers=headers)).status_code == 200


async def test_polling_can_wait(client: Client, headers: dict[str, str]) -> None:
    spec = {**FLOWS, "to_location": {**DAILY, "date": "2016-01-03"}}
    location = (await client.post("/api/0/run", json=spec, headers=headers)).headers["Location"]
    response = await client.get(f"{location}?wait=30", headers=headers)
    assert response.status_code in (202, 303)
    async with asyncio.timeout(60):
        while response.status_code == 202:
            response = await client.get(f"{location}?wait=30", headers=headers)


async def test_shapes_of_a_unit(client: Client, headers: dict[str, str]) -> None:
    response = await client.get("/api/0/geography/admin3", headers=headers)
    assert response.content_type == "application/geo+json"
    assert response.headers["Content-Disposition"] == "attachment;filename=admin3.geojson"
    document = json.loads(await response.get_data())
    assert document["type"] == "FeatureCollection"
    assert {feature["type"] for feature in document["features"]} == {"Feature"}
    assert all("pcod" in feature["properties"] for feature in document["features"])


async def test_replies_are_compressed_for_who_asks(client: Client, headers: dict[str, str]) -> None:
    path = "/api/0/geography/admin3"
    plain = await client.get(path, headers=headers)
    packed = await client.get(path, headers=headers | {"Accept-Encoding": "br, gzip;q=0.5"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert {plain.headers["Vary"], packed.headers["Vary"]} == {"Accept-Encoding"}
    whole, small = await plain.get_data(), await packed.get_data()
    assert gzip.decompress(small) == whole
    assert len(small) < len(whole) / 2
    refused = await client.get(path, headers=headers | {"Accept-Encoding": "gzip;q=0"})
    assert await refused.get_data() == whole


async def test_a_unit_that_is_none(client: Client, tokens: TokenBuilder) -> None:
    headers = tokens.header({"odd": ["get_result", "admin9:geography:geography"]})
    response = await client.get("/api/0/geography/admin9", headers=headers)
    assert response.status_code == 400
    assert (await response.get_json())["payload"]["aggregation_unit"]


async def test_days_with_data(client: Client, headers: dict[str, str]) -> None:
    document = await (await client.get("/api/0/available_dates", headers=headers)).get_json()
    assert document["available_dates"]["calls"] == ["2016-01-01", "2016-01-02", "2016-01-03"]


async def test_loads(client: Client, headers: dict[str, str]) -> None:
    loads = (await (await client.get("/api/0/loads", headers=headers)).get_json())["loads"]
    assert ("calls", "2016-01-01") in {(load["event_type"], load["date"]) for load in loads}
    assert len({load["load_id"] for load in loads}) == len(loads)
    assert all(datetime.fromisoformat(load["loaded_at"]).tzinfo for load in loads)


async def test_quality_checks(client: Client, headers: dict[str, str]) -> None:
    listed = await (await client.get("/api/0/qa/", headers=headers)).get_json()
    assert await (await client.get("/api/0/qa", headers=headers)).get_json() == listed
    [check, *_] = listed
    assert set(check) == {"cdr_type", "type_of_query_or_check"}
    path = f"/api/0/qa/{check['cdr_type']}/{check['type_of_query_or_check']}"
    span = await client.get(f"{path}?start_date=2016-01-01&end_date=2016-01-03", headers=headers)
    outcomes = await span.get_json()
    assert {outcome["cdr_date"] for outcome in outcomes} <= {f"2016-01-0{day}" for day in (1, 2, 3)}
    assert all(isinstance(outcome["outcome"], str) for outcome in outcomes)
    day = await client.get(f"{path}/{outcomes[0]['cdr_date']}", headers=headers)
    assert day.mimetype == "text/plain"
    assert await day.get_data(as_text=True) == outcomes[0]["outcome"]
    absent = await client.get(f"{path}/1999-01-01", headers=headers)
    assert (absent.status_code, (await absent.get_json())["status"]) == (404, "not found")


async def test_the_description(client: Client, tokens: TokenBuilder) -> None:
    response = await client.get("/api/0/spec/openapi.json")
    document = await response.get_json()
    validate(document)
    scheme = document["components"]["securitySchemes"]["token"]
    assert scheme["x-audience"] == tokens.audience
    assert scheme["x-security-scopes"] == sorted(_scopes_by_hand(document["components"]["schemas"]))
    for item in document["paths"].values():
        for operation in item.values():
            assert operation["security"] == [{"token": []}]
            assert operation["x-required-scopes"]
            for code, answer in operation["responses"].items():
                if code >= "400":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorReply"}
    etag = response.headers["ETag"]
    again = await client.get("/api/0/spec/openapi.json", headers={"If-None-Match": etag})
    assert again.status_code == 304


def _scopes_by_hand(schemas: dict[str, Any]) -> set[str]:
    """Compute offered scopes from published schemas by plain recursion."""

    def names_in(node: Any) -> set[str]:
        if isinstance(node, dict):
            found = {node["$ref"].rpartition("/")[2]} if "$ref" in node else set()
            return found.union(*(names_in(value) for value in node.values()))
        return set().union(*map(names_in, node)) if isinstance(node, list) else set()

    def closure(name: str, seen: set[str]) -> set[str]:
        if name not in seen:
            seen.add(name)
            for other in names_in(schemas[name]):
                closure(other, seen)
        return seen

    scopes = {"run", "get_result", "get_available_dates", "get_qa_checks", "cancel", "extremes"}
    for kind, reference in schemas["FlowmachineQuerySchema"]["discriminator"]["mapping"].items():
        name = reference.rpartition("/")[2]
        below = {
            schemas[other]["properties"]["query_kind"]["enum"][0]
            for other in closure(name, set())
            if "query_kind" in schemas[other].get("properties", {})
        }
        unit = schemas[name]["properties"].get("aggregation_unit")
        scopes |= {
            f"{spatial}:{kind}:{other}"
            for spatial in (unit["enum"] if unit else ["nonspatial"])
            for other in below
        }
    return scopes


async def test_the_same_description_as_yaml_and_as_a_page(client: Client) -> None:
    document = await (await client.get("/api/0/spec/openapi.json")).get_json()
    as_yaml = await client.get("/api/0/spec/openapi.yaml")
    assert as_yaml.content_type == "application/yaml"
    assert yaml.safe_load(await as_yaml.get_data(as_text=True)) == document
    page = await client.get("/api/0/spec/redoc")
    text = await page.get_data(as_text=True)
    assert page.mimetype == "text/html"
    assert f"<title>{document['info']['title']} {document['info']['version']}</title>" in text
    assert all(path in text for path in document["paths"])
    assert "<script" not in text
    assert "src=" not in text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


async def test_without_the_feature_cancelling_is_not_there(
    settings: Settings, captured: Any, headers: dict[str, str]
) -> None:
    plain = create_app(settings.model_copy(update={"cancel_enabled": False}), captured.logs())
    async with plain.test_app() as running:
        client = running.test_client()
        document = await (await client.get("/api/0/spec/openapi.json")).get_json()
        assert "cancel" not in document["components"]["securitySchemes"]["token"]["x-security-scopes"]
        assert not any("cancel" in path for path in document["paths"])
        assert (await client.post("/api/0/cancel/abc", headers=headers)).status_code == 404


async def test_queries_nested_too_deeply_are_refused(client: Client, headers: dict[str, str]) -> None:
    spec: Any = None
    for _ in range(150):
        spec = {**DAILY, "subscriber_subset": spec}
    response = await client.post(
        "/api/0/run", json={"query_kind": "spatial_aggregate", "locations": spec}, headers=headers
    )
    assert response.status_code == 400
    [problem] = (await response.get_json())["payload"]["validation_error_messages"]["_schema"]
    assert "more than 50 deep" in problem


async def test_an_engine_without_its_database_is_503_wherever_it_is_needed(
    engine: Processes,
    settings: Settings,
    headers: dict[str, str],
    captured: Any,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    with ExitStack() as stack:
        own = Processes(engine.country, tmp_path, stack, free_port())
        own.start("server", FLOWDB_PORT=str(free_port()))
        await asyncio.to_thread(own.client)
        async with create_app(
            settings.model_copy(update={"engine_port": own.port}), captured.logs()
        ).test_app() as running:
            client = running.test_client()
            for method, path, *_ in ROUTES:
                path = path.format(query_id="0" * 32, cdr_type="calls", check_id="count")
                body = SPEC if method == "POST" else None
                answer = await client.open(path, method=method, json=body, headers=headers)
                document = await answer.get_json()
                assert (answer.status_code, document["status"]) == (503, "error"), (path, document)
                assert document["msg"]
                assert int(answer.headers["Retry-After"]) > 0
            described = await client.get("/api/0/spec/openapi.json")
            assert described.status_code == 503


async def test_a_full_queue_is_429(
    engine: Processes,
    settings: Settings,
    headers: dict[str, str],
    captured: Any,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    with ExitStack() as stack:
        own = Processes(engine.country, tmp_path, stack, free_port())
        own.start("server", FLOWMACHINE_QUEUE_LIMIT="0")
        await asyncio.to_thread(own.client)
        async with create_app(
            settings.model_copy(update={"engine_port": own.port}), captured.logs()
        ).test_app() as running:
            spec = {**SPEC, "locations": {**DAILY, "hours": {"start_hour": 3, "end_hour": 4}}}
            answer = await running.test_client().post("/api/0/run", json=spec, headers=headers)
            document = await answer.get_json()
            assert (answer.status_code, document["status"]) == (429, "Error")
            assert document["payload"] == {"code": "queue_full", "limit": 0}
            assert document["msg"]
            assert int(answer.headers["Retry-After"]) > 0


async def test_an_engine_killed_in_mid_request_is_503_and_its_successor_is_found(
    engine: Processes,
    settings: Settings,
    headers: dict[str, str],
    captured: Any,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    with ExitStack() as stack:
        own = Processes(engine.country, tmp_path, stack, free_port())
        server = own.start("server")
        await asyncio.to_thread(own.client)
        impatient = settings.model_copy(update={"engine_port": own.port, "engine_timeout": 2.0})
        async with create_app(impatient, captured.logs()).test_app() as running:
            client = running.test_client()
            assert (await client.get("/api/0/available_dates", headers=headers)).status_code == 200
            server.send_signal(signal.SIGSTOP)
            asked = asyncio.create_task(client.get("/api/0/available_dates", headers=headers))
            await asyncio.sleep(0)
            server.kill()
            server.wait()
            answered = await asked
            assert answered.status_code == 503
            assert int(answered.headers["Retry-After"]) > 0
            assert (await answered.get_json())["msg"]
            own.start("server")
            await asyncio.to_thread(own.client)
            assert (await client.get("/api/0/available_dates", headers=headers)).status_code == 200
