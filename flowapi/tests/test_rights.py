"""Check which callers may ask what, against the real engine over loaded days."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loaded_country import (
    COUNTED,
    DAILY,
    EVENTS,
    EVERYTHING,
    HISTOGRAM,
    PEOPLE,
    ROUTES,
    SHAPES,
    SPATIAL,
    SPEC,
    among,
    execute,
    put_job,
    submit,
)
from quart.typing import TestClientProtocol as Client

from flowapi.app import create_app
from flowapi.settings import Settings
from flowapi.testing import TokenBuilder
from flowmachine.queries.catalogue import load_any
from flowmachine.testing import Processes

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("method", "path", "scopes", "code"), ROUTES, ids=[f"{r[0]} {r[1]}" for r in ROUTES])
async def test_all_scopes_in_one_role_and_nothing_less(
    client: Client,
    headers: dict[str, str],
    tokens: TokenBuilder,
    captured: Any,
    method: str,
    path: str,
    scopes: list[str],
    code: int,
) -> None:
    query_id = await submit(client, headers)
    [check, *_] = await (await client.get("/api/0/qa/", headers=headers)).get_json()
    path = path.format(
        query_id=query_id, cdr_type=check["cdr_type"], check_id=check["type_of_query_or_check"]
    )

    refused: list[dict[str, Any]] = []

    async def answer(roles: dict[str, list[str]]) -> int:
        captured.clear()
        body = SPEC if method == "POST" else None
        response = await client.open(path, method=method, json=body, headers=tokens.header(roles))
        document = await response.get_data()
        if response.status_code == 403:
            refused.append(json.loads(document))
            assert captured.lines("access", event="CLAIMS_VERIFICATION_FAILED")
        assert len(captured.lines("access", event="request finished")) == 1
        return response.status_code

    assert await answer({"right": scopes}) == code
    assert len(captured.lines("query")) == 1
    [first, *_] = captured.lines("access", event="permission granted")
    assert first["granting_roles"] == ["right"]
    for lacking in scopes:
        assert await answer({"almost": [scope for scope in scopes if scope != lacking]}) == 403
        refusals = [{"role": "almost", "missing_scopes": [lacking]}, {"missing_scopes": [lacking]}]
        assert refused[-1]["payload"] in refusals[: 2 if lacking == "run" else 1]
        assert f"lacks: {lacking}." in refused[-1]["msg"]
    others = [scope for scope in EVERYTHING if scope not in scopes]
    assert await answer({"wrong": others}) == 403
    # A separate test covers the shapes of a geojson result, which another role may pass.
    separate = [SHAPES] if path.endswith(".geojson") else []
    together = [scope for scope in scopes if scope not in separate]
    if len(together) > 1:
        assert await answer({"one": [together[0], *separate], "two": [*together[1:], *separate]}) == 403


async def test_shapes_may_come_from_another_role(
    client: Client, headers: dict[str, str], tokens: TokenBuilder
) -> None:
    query_id = await submit(client, headers)
    roles = {"rows": ["get_result", *SPATIAL], "shapes": ["get_result", SHAPES]}
    response = await client.get(f"/api/0/get/{query_id}.geojson", headers=tokens.header(roles))
    assert response.status_code == 200


async def everywhere(
    client: Client, settings: Settings, captured: Any, spec: dict[str, Any], query_id: str, headers: Any
) -> list[int]:
    """Return codes of run, explain, poll, get, and a fresh process's poll, get."""
    codes = []
    async with create_app(settings, captured.logs()).test_app() as restarted:
        for path in ("run", "explain"):
            codes.append((await client.post(f"/api/0/{path}", json=spec, headers=headers)).status_code)
        for asked in (client, restarted.test_client()):
            for path in ("poll", "get"):
                codes.append((await asked.get(f"/api/0/{path}/{query_id}", headers=headers)).status_code)
    return codes


ALLOWED = [202, 200, 303, 200, 303, 200]


async def test_a_subset_needs_a_right_to_the_kinds_that_it_is_made_of(
    client: Client, settings: Settings, tokens: TokenBuilder, captured: Any
) -> None:
    # This subset is part of a query that was run, so an id can name it.
    may_count = {"counts": ["run", "extremes", "nonspatial:histogram_aggregate:histogram_aggregate", COUNTED]}
    await submit(client, tokens.header(may_count), HISTOGRAM)
    named = among(load_any(EVENTS).query_id)
    whole = among(EVENTS)
    deep = among({**DAILY, "aggregation_unit": "lon-lat", "subscriber_subset": EVENTS})
    own = ["run", "get_result", *SPATIAL]
    enough = tokens.header({"one": [*own, COUNTED]})
    query_id = await submit(client, enough, named)
    assert await submit(client, enough, whole) == query_id
    for spec in (named, whole, deep):
        query_id = await submit(client, enough, spec)
        for roles in ({"one": own}, {"one": own, "two": [COUNTED, *may_count["counts"]]}):
            refused = tokens.header(roles)
            assert await everywhere(client, settings, captured, spec, query_id, refused) == [403] * 6
        assert await everywhere(client, settings, captured, spec, query_id, enough) == ALLOWED
    refused = await client.post("/api/0/run", json=named, headers=tokens.header({"one": own}))
    assert "*:*:event_count" in (await refused.get_json())["msg"]
    cancelled = await client.post(
        f"/api/0/cancel/{query_id}", headers=tokens.header({"one": [*own, "cancel"]})
    )
    assert cancelled.status_code == 403


async def test_values_of_one_subscriber_need_a_scope_of_their_own(
    client: Client, settings: Settings, tokens: TokenBuilder, captured: Any
) -> None:
    own = ["run", "get_result", COUNTED, "nonspatial:histogram_aggregate:histogram_aggregate"]
    enough, without = tokens.header({"one": [*own, "extremes"]}), tokens.header({"one": own})
    query_id = await submit(client, enough, HISTOGRAM)
    assert await everywhere(client, settings, captured, HISTOGRAM, query_id, without) == [403] * 6
    refused = await client.post("/api/0/run", json=HISTOGRAM, headers=without)
    assert (await refused.get_json())["payload"] == {"role": "one", "missing_scopes": ["extremes"]}
    bounded = HISTOGRAM | {"range": [0, 1000]}
    query_id = await submit(client, without, bounded)
    assert await everywhere(client, settings, captured, bounded, query_id, without) == ALLOWED


async def test_a_part_at_a_finer_unit_needs_the_right_for_that_unit(
    client: Client, settings: Settings, tokens: TokenBuilder, captured: Any
) -> None:
    window = {"start_date": "2016-01-01", "end_date": "2016-01-03"}
    metric = {"query_kind": "unique_location_counts", **window, "aggregation_unit": "lon-lat"}
    home = {**DAILY, "aggregation_unit": "admin2"}
    spec = {"query_kind": "joined_spatial_aggregate", "locations": home, "metric": metric, "method": "avg"}
    kinds = ("joined_spatial_aggregate", "daily_location", "unique_location_counts")
    own = ["run", "get_result", *(f"admin2:joined_spatial_aggregate:{kind}" for kind in kinds)]
    finer = "lon-lat:joined_spatial_aggregate:unique_location_counts"
    enough, without = tokens.header({"one": [*own, finer]}), tokens.header({"one": own, "two": [finer]})
    query_id = await submit(client, enough, spec)
    assert await everywhere(client, settings, captured, spec, query_id, without) == [403] * 6
    assert await everywhere(client, settings, captured, spec, query_id, enough) == ALLOWED
    for unit in ("admin2", "admin1"):
        same = {**spec, "metric": {**metric, "aggregation_unit": unit}}
        query_id = await submit(client, without, same)
        assert await everywhere(client, settings, captured, same, query_id, without) == ALLOWED


async def test_the_log_has_the_canonical_spec_whole(
    client: Client, tokens: TokenBuilder, captured: Any
) -> None:
    scopes = ["run", *SPATIAL, "admin3:spatial_aggregate:modal_location", COUNTED]
    headers = tokens.header({"all": scopes})
    await submit(client, headers, among(EVENTS))
    spec = among(load_any(EVENTS).query_id)
    spec["locations"]["event_types"] = ["sms", "calls"] * 1500
    days = [{**spec["locations"], "hours": {"start_hour": hour, "end_hour": 24}} for hour in range(24)]
    spec["locations"] = {"query_kind": "modal_location", "locations": days}
    for path in ("run", "explain"):
        answer = await client.post(f"/api/0/{path}", json=spec, headers=headers)
        assert answer.status_code in (200, 202)
        [line] = captured.lines("query", event=f"{path}_query")[-1:]
        logged = line["query"]["locations"]["locations"]
        assert [day["event_types"] for day in logged] == [["calls", "sms"]] * 24
        assert {json.dumps(day["subscriber_subset"]) for day in logged} == {
            json.dumps(load_any(EVENTS).spec())
        }


async def test_a_subset_adds_nothing_to_what_the_query_itself_needs(
    client: Client, settings: Settings, tokens: TokenBuilder, captured: Any
) -> None:
    spec = among({**DAILY, "date": "2016-01-02"})
    headers = tokens.header({"own": ["run", "get_result", *SPATIAL]})
    query_id = await submit(client, headers, spec)
    assert await everywhere(client, settings, captured, spec, query_id, headers) == ALLOWED


async def test_what_a_query_needs_is_told_to_whoever_explains_refusals(
    client: Client, settings: Settings, tokens: TokenBuilder, captured: Any, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    spec = among({**DAILY, "date": "2016-01-02"})
    query_id = await submit(client, tokens.header({"own": ["run", *SPATIAL]}), spec)
    other = create_app(settings.model_copy(update={"query_scopes_file": told}), captured.logs())
    async with other.test_app() as running:
        asked = running.test_client()
        headers = tokens.header({"none": ["get_result"]})
        assert (await asked.get(f"/api/0/get/{query_id}", headers=headers)).status_code == 403
        assert (await asked.get(f"/api/0/get/{'0' * 32}", headers=headers)).status_code == 404
    [line] = told.read_text().splitlines()
    assert [line.split()[0], *line.split()[2:]] == [query_id, *sorted({*SPATIAL, "*:*:daily_location"})]


async def test_kinds_for_direct_use_are_no_subsets_here(
    client: Client, headers: dict[str, str], engine: Processes
) -> None:
    await submit(client, headers)
    people = load_any(PEOPLE)
    put_job(engine, people, "duckdb")
    refused = await client.post("/api/0/run", json=among(people.query_id), headers=headers)
    assert refused.status_code == 400
    payload = (await refused.get_json())["payload"]
    assert payload["validation_error_messages"] == {
        "locations": {
            "subscriber_subset": [
                f"Query {people.query_id} cannot be a subset here: unique_subscribers is for direct use only."
            ]
        }
    }
    refused = await client.post("/api/0/run", json=among(PEOPLE), headers=headers)
    payload = (await refused.get_json())["payload"]
    assert payload["validation_error_messages"] == {
        "locations": {"subscriber_subset": {"query_kind": ["Unsupported value: unique_subscribers"]}}
    }


async def test_nobody_has_a_right_to_a_query_of_direct_use(
    client: Client, tokens: TokenBuilder, headers: dict[str, str], engine: Processes
) -> None:
    await submit(client, headers)
    direct = load_any(among(PEOPLE))
    put_job(engine, direct, "released")
    document = await (await client.get("/api/0/spec/openapi.json")).get_json()
    offered = document["components"]["securitySchemes"]["token"]["x-security-scopes"]
    for path in ("poll", "get"):
        answer = await client.get(f"/api/0/{path}/{direct.query_id}", headers=tokens.header({"all": offered}))
        assert answer.status_code == 403
        assert "*:*:unique_subscribers" in (await answer.get_json())["msg"]


async def test_only_who_alone_asked_for_a_query_can_stop_it(
    client: Client, tokens: TokenBuilder, engine: Processes
) -> None:
    ada, ben = (tokens.header({"all": EVERYTHING}, sub=name) for name in ("ada", "ben"))
    await submit(client, ada)
    query = load_any({**SPEC, "locations": {**DAILY, "hours": {"start_hour": 5, "end_hour": 6}}})
    path = f"/api/0/cancel/{query.query_id}"
    put_job(engine, query, "released")
    execute(
        engine,
        # A pending dependency keeps the worker away.
        "UPDATE engine.jobs SET state = 'queued', planned = true, pending = 1, requested_by = 'ada',"
        " queued_at = clock_timestamp() WHERE query_id = %s",
        query.query_id,
    )
    try:
        refused = await client.post(path, headers=ben)
        assert refused.status_code == 409
        assert "somebody else asked for it" in (await refused.get_json())["msg"]
        assert (await client.post("/api/0/run", json=query.spec(), headers=ben)).status_code == 202
        for headers in (ada, ben):
            assert (await client.post(path, headers=headers)).status_code == 409
        execute(
            engine, "UPDATE engine.jobs SET queued_at = clock_timestamp() WHERE query_id = %s", query.query_id
        )
        stopped = await client.post(path, headers=ada)
        assert await stopped.get_json() == {"query_id": query.query_id, "query_state": "cancelled"}
    finally:
        execute(engine, "DELETE FROM engine.jobs WHERE query_id = %s", query.query_id)


async def test_who_holds_what_is_needed_in_two_roles_is_told_what_the_closer_one_lacks(
    client: Client, tokens: TokenBuilder
) -> None:
    roles = {"far": [SPATIAL[0]], "near": ["run", SPATIAL[0]], "rest": [SPATIAL[1]]}
    answer = await client.post("/api/0/run", json=SPEC, headers=tokens.header(roles))
    assert answer.status_code == 403
    body = await answer.get_json()
    assert body["payload"] == {"role": "near", "missing_scopes": [SPATIAL[1]]}
    assert "roles do not add up" in body["msg"]


async def test_a_token_without_the_kind_or_without_any_role_is_told_so(
    client: Client, headers: dict[str, str], tokens: TokenBuilder
) -> None:
    query_id = await submit(client, headers)
    other = await client.post("/api/0/run", json=SPEC, headers=tokens.header({"one": ["run"]}))
    assert (await other.get_json())["payload"] == {"missing_scopes": ["<unit>:spatial_aggregate:<kind>"]}
    bare = await client.get(f"/api/0/get/{query_id}", headers=tokens.header({}))
    assert (await bare.get_json())["payload"] == {"missing_scopes": sorted(["get_result", *SPATIAL])}
