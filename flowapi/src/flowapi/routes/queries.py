"""Submit, poll, fetch and cancel queries."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from quart import Blueprint, Response, request, url_for

from flowapi.access import caller, require, require_kind
from flowapi.bodies import read_body, read_json_object
from flowapi.delivery import accepts_gzip, deliver, matches_etag, not_modified
from flowapi.encoding import CsvEncoder, Encoder, GeoJsonEncoder, JsonEncoder
from flowapi.engine import Reply
from flowapi.errors import ApiError, json_response, refused_by_engine
from flowapi.openapi import (
    FEATURES,
    QUERY_SCOPES,
    RESULT_METADATA,
    RETRY_AFTER,
    Json,
    Operation,
    answer,
    describe,
    object_of,
    parameter,
)
from flowapi.queries import read_spec, unknown_query
from flowapi.scopes import CANCEL, GET_RESULT, RUN, geography_scope
from flowapi.services import engine, services

blueprint = Blueprint("query", __name__, url_prefix="/api/0")

FILE_TYPES = ("json", "geojson", "csv")
LONGEST_WAIT_SECONDS = 30.0
#: Longest time for which the engine holds a request, well below the timeout for a silent engine.
WAIT_STEP_SECONDS = 5.0
PENDING = ("queued", "executing")
GONE = ("known", "resetting")

_PROGRESS: Json = {
    "type": "object",
    "description": "Numbers of the query's dependencies: to run, queued and running.",
    "required": ["eligible", "queued", "running"],
    "properties": {name: {"type": "integer", "minimum": 0} for name in ("eligible", "queued", "running")},
}
_LOCATION: Json = {
    "Location": {"description": "Path of the next request to make.", "schema": {"type": "string"}}
}
_ETAG: Json = {"ETag": {"description": "Names this state of the result.", "schema": {"type": "string"}}}
_ROWS: Json = {
    "type": "object",
    "required": ["query_id", "query_result"],
    "properties": {
        "query_id": {"type": "string"},
        "query_result": {"type": "array", "items": {"type": "object"}},
        "metadata": RESULT_METADATA,
    },
}
_FEATURES: Json = {**FEATURES, "properties": {**FEATURES["properties"], "metadata": RESULT_METADATA}}
_CSV: Json = {"type": "string"}
_QUERY_ID = parameter(
    "query_id", "Id of a submitted query.", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"}
)
_SAFE = parameter(
    "safe",
    "1: quote CSV text that a spreadsheet would run as a formula.",
    {"type": "string", "enum": ["0", "1"]},
    "query",
)
_STILL_RUNNING = answer(
    "Not ready yet",
    {"application/json": object_of(["status", "msg"], status={"type": "string"}, msg={"type": "string"})},
)
_NOT_MODIFIED = answer("The result is the one named by If-None-Match", headers=_ETAG)
_DAYS: Json = {
    "type": "object",
    "description": "Days by event type",
    "additionalProperties": {"type": "array", "items": {"type": "string", "format": "date"}},
}


def _result(path: str, name: str, summary: str, content: Mapping[str, Json], **more: Any) -> Operation:
    return Operation(
        path=path,
        method="get",
        name=name,
        summary=summary,
        replies={200: answer("The result", content, _ETAG), 202: _STILL_RUNNING, 304: _NOT_MODIFIED},
        errors=(400, 404),
        **more,
    )


@blueprint.post("/run")
@describe(
    Operation(
        path="/api/0/run",
        method="post",
        name="query.run_query",
        summary="Submit a query. Equal specs give the same id, and nothing runs twice.",
        scopes=["run", *QUERY_SCOPES],
        body={"$ref": "#/components/schemas/FlowmachineQuerySchema"},
        replies={
            202: answer(
                "Accepted",
                {
                    "application/json": object_of(
                        ["query_id", "progress"], query_id={"type": "string"}, progress=_PROGRESS
                    )
                },
                _LOCATION,
            )
        },
        errors=(400, 413),
    )
)
async def run_query() -> Response:
    """Submit the spec in the body; return 202 and the polling path."""
    async with _permitted_spec("run_query") as (spec, scopes):
        reply = await engine().ask("run_query", spec)
    if not reply.ok:
        raise refused_by_engine(reply)
    query_id = reply.payload["query_id"]
    services().queries.remember(query_id, scopes)
    return json_response(
        {"query_id": query_id, "progress": _progress(reply.payload)},
        202,
        {"Location": url_for("query.poll_query", query_id=query_id)},
    )


@blueprint.post("/explain")
@describe(
    Operation(
        path="/api/0/explain",
        method="post",
        name="query.explain_query",
        summary="What running a query would do; nothing is started.",
        scopes=["run", *QUERY_SCOPES],
        body={"$ref": "#/components/schemas/FlowmachineQuerySchema"},
        replies={
            200: answer(
                "Parts of the query, those already stored, days read and missing, and a forecast",
                {
                    "application/json": object_of(
                        [
                            "query_id",
                            "parts",
                            "stored",
                            "executor",
                            "days",
                            "missing_days",
                            "forecast_seconds",
                            "floor",
                            "near",
                        ],
                        query_id={"type": "string"},
                        parts={"type": "integer"},
                        stored={"type": "integer"},
                        executor={"type": "string"},
                        days=_DAYS,
                        missing_days=_DAYS,
                        forecast_seconds={"type": "number", "nullable": True},
                        floor={
                            "type": "integer",
                            "description": "Rows of this many subscribers or fewer are withheld",
                        },
                        near={
                            "type": "array",
                            "description": "Earlier answers that this one may repeat, or be cut beside",
                            "items": object_of(
                                ["query_id", "reason"],
                                query_id={"type": "string"},
                                reason={"type": "string", "enum": ["subset", "twin", "total", "part"]},
                            ),
                        },
                    )
                },
            )
        },
        errors=(400, 413),
    )
)
async def explain_query() -> Response:
    """Explain a spec without starting it: parts, stored parts, days, a forecast."""
    async with _permitted_spec("explain_query") as (spec, _):
        reply = await engine().ask("explain_query", spec)
    if not reply.ok:
        raise refused_by_engine(reply)
    return json_response(dict(reply.payload))


@blueprint.get("/poll/<query_id>")
@describe(
    Operation(
        path="/api/0/poll/{query_id}",
        method="get",
        name="query.poll_query",
        summary="The state of a submitted query.",
        scopes=QUERY_SCOPES,
        parameters=[
            _QUERY_ID,
            parameter(
                "wait",
                "Hold the reply up to this many seconds, until the state changes.",
                {"type": "number", "minimum": 0, "maximum": 30},
                "query",
            ),
        ],
        replies={
            202: answer(
                "Queued or running",
                {
                    "application/json": object_of(
                        ["status", "msg", "progress"],
                        status={"type": "string", "enum": ["queued", "executing"]},
                        msg={"type": "string"},
                        progress=_PROGRESS,
                    )
                },
                RETRY_AFTER,
            ),
            303: answer("The result is ready", None, _LOCATION),
        },
        errors=(400, 404),
    )
)
async def poll_query(query_id: str) -> Response:
    """Return a query's state: 202 while pending, 303 to its result when ready."""
    wait = _wait_seconds(request.args.get("wait", "0"))
    scopes = await services().queries.scopes_of(query_id, engine())
    services().logs.query.info("poll_query", query_id=query_id)
    require(scopes)
    reply = await _poll(query_id, wait)
    message = _message(reply, query_id)
    if reply.state in PENDING:
        body = {"status": reply.state, "msg": message, "progress": _progress(reply.payload)}
        return json_response(body, 202, {"Retry-After": "1"})
    if reply.state == "completed":
        location = url_for("query.get_query_result", query_id=query_id)
        return json_response({"status": "completed"}, 303, {"Location": location})
    if reply.state == "awol":
        raise unknown_query(query_id)
    raise ApiError(404 if reply.state in GONE else 500, message, status=reply.state or "error")


@blueprint.get("/get/<query_id>")
@describe(
    _result(
        "/api/0/get/{query_id}",
        "query.get_query_result",
        "The result of a query as JSON.",
        {"application/json": _ROWS},
        scopes=["get_result", *QUERY_SCOPES],
        parameters=[_QUERY_ID],
    )
)
@describe(
    _result(
        "/api/0/get/{query_id}.{filetype}",
        "query.get_query_result_file",
        "The result of a query in a given format; geojson also needs the shapes' scope.",
        {"application/json": _ROWS, "application/geo+json": _FEATURES, "text/csv": _CSV},
        scopes=["get_result", *QUERY_SCOPES, "geojson: <unit>:geography:geography"],
        parameters=[
            _QUERY_ID,
            parameter("filetype", "Format.", {"type": "string", "enum": ["json", "geojson", "csv"]}),
            _SAFE,
        ],
    )
)
async def get_query_result(query_id: str) -> Response:
    """Stream a query's result as JSON, or in the format after the dot of the id."""
    query_id, _, file_type = query_id.partition(".")
    file_type = file_type or "json"
    if file_type not in FILE_TYPES:
        raise ApiError(400, f"The file type is {file_type!r}; it must be one of {', '.join(FILE_TYPES)}.")
    safe = _is_safe(request.args.get("safe", "0"))
    scopes = await services().queries.scopes_of(query_id, engine())
    require(scopes | {GET_RESULT})
    services().logs.query.info("get_result", query_id=query_id, filetype=file_type)
    is_geographic = file_type == "geojson"
    action = "get_geo_sql_for_query_result" if is_geographic else "get_sql_for_query_result"
    reply = await engine().ask(action, {"query_id": query_id})
    if not reply.ok:
        return await _not_ready(reply, query_id, is_geographic)
    if is_geographic:
        require(frozenset({GET_RESULT, geography_scope(reply.payload["aggregation_unit"])}))
    # The id alone would still name an old copy after its days were loaded again.
    table = await services().results.table_identity(query_id)
    form = f"{file_type}{'-safe' if safe else ''}{'-gzip' if accepts_gzip() else ''}"
    etag = f'"{query_id}.{form}.{table}"'
    if matches_etag(etag):
        return not_modified(etag)
    return await deliver(
        reply.payload["sql"],
        _encoder(file_type, query_id, safe, reply.payload.get("metadata")),
        filename=f"{query_id}.{file_type}",
        headers={"ETag": etag},
    )


@describe(
    Operation(
        path="/api/0/cancel/{query_id}",
        method="post",
        name="query.cancel_query",
        summary="Stop a queued or running query that no other user submitted.",
        scopes=["cancel", *QUERY_SCOPES],
        parameters=[_QUERY_ID],
        replies={
            200: answer(
                "The state after the request",
                {
                    "application/json": object_of(
                        ["query_id", "query_state"],
                        query_id={"type": "string"},
                        query_state={"type": "string"},
                    )
                },
            )
        },
        errors=(404, 409),
    )
)
async def cancel_query(query_id: str) -> Response:
    """Stop a query that no other user submitted; return 200 and its new state."""
    scopes = await services().queries.scopes_of(query_id, engine())
    require(scopes | {CANCEL})
    services().logs.query.info("cancel_query", query_id=query_id)
    reply = await engine().ask("cancel_query", {"query_id": query_id})
    if reply.state == "awol":
        raise unknown_query(query_id)
    if reply.code == "asked_by_others":
        raise ApiError(409, reply.message, status="Error", payload=reply.payload)
    if not reply.ok:
        raise ApiError(500, _message(reply, query_id), status=reply.state or "error")
    return json_response({"query_id": query_id, "query_state": reply.state})


@asynccontextmanager
async def _permitted_spec(event: str) -> AsyncIterator[tuple[dict[str, Any], frozenset[str]]]:
    """Provide the body's spec and its scopes if the token allows running it.

    A large spec waits for its user's turn. The log gets the event with the canonical spec whole.
    """
    limit = services().settings.max_body
    body = await read_body(limit)
    large = body is not None and len(body) >= services().settings.large_spec
    async with services().turns.of(caller().name) if large else nullcontext():
        yield await _read_permitted(event, limit)


async def _read_permitted(event: str, limit: int) -> tuple[dict[str, Any], frozenset[str]]:
    spec = await read_json_object(limit)
    top_kind = spec.get("query_kind")
    if not isinstance(top_kind, str):
        raise ApiError(400, "The query spec must name its kind: query_kind is missing or not a text.")
    require_kind(RUN, top_kind)
    scopes, canonical = await read_spec(spec, engine())
    require(scopes | {RUN})
    services().logs.query.info(event, query=canonical)
    return spec, scopes


async def _poll(query_id: str, wait: float) -> Reply:
    """Ask the engine about a query; with ``wait`` seconds, hold for a change."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    reply = await engine().ask("poll_query", {"query_id": query_id})
    first_state = reply.state
    while reply.state in PENDING and reply.state == first_state and (left := deadline - loop.time()) > 0:
        step = {"query_id": query_id, "wait": min(WAIT_STEP_SECONDS, left)}
        reply = await engine().ask("poll_query", step)
    return reply


async def _not_ready(reply: Reply, query_id: str, is_geographic: bool) -> Response:
    message = _message(reply, query_id)
    if reply.state in PENDING:
        return json_response({"status": reply.state, "msg": message}, 202, {"Retry-After": "1"})
    if reply.state in ("known", "awol"):
        raise ApiError(404, message, status="Error")
    if reply.state == "resetting":
        raise ApiError(404, message, status="resetting")
    if reply.state == "errored" and is_geographic:
        # The engine reports errored for a failed query and also for a good result without geography.
        poll = await engine().ask("poll_query", {"query_id": query_id})
        if poll.state == "completed":
            raise ApiError(400, message, status="Error")
    raise ApiError(500, message, status=reply.state or "error")


def _message(reply: Reply, query_id: str) -> str:
    """Describe a query's state: the engine's words, the failure's cause or the state."""
    cause = reply.payload.get("cause")
    return reply.message or (f"Query with id '{query_id}' is {reply.state}{f': {cause}' if cause else ''}.")


def _progress(payload: Mapping[str, Any]) -> dict[str, int]:
    progress = payload.get("progress") or {}
    return {name: int(progress.get(name, 0)) for name in ("eligible", "queued", "running")}


def _wait_seconds(text: str) -> float:
    try:
        wait = float(text)
    except ValueError:
        wait = math.nan
    if not 0 <= wait <= LONGEST_WAIT_SECONDS:
        raise ApiError(400, f"wait is {text[:64]!r}; it must be a number from 0 to {LONGEST_WAIT_SECONDS:g}.")
    return wait


def _is_safe(text: str) -> bool:
    if text not in ("0", "1"):
        raise ApiError(400, f"safe is {text[:64]!r}; it must be 0 or 1.")
    return text == "1"


def _encoder(file_type: str, query_id: str, safe: bool, metadata: Mapping[str, Any] | None) -> Encoder:
    if file_type == "csv":
        return CsvEncoder(safe=safe)
    if file_type == "geojson":
        return GeoJsonEncoder(metadata)
    return JsonEncoder(query_id, metadata)
