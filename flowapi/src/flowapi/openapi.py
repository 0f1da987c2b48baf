"""Describe in OpenAPI what every route accepts, answers and needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flowapi

Json = dict[str, Any]

ERROR_SCHEMA = "ErrorReply"

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
    },
}
_FEATURES: Json = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"type": "string", "enum": ["FeatureCollection"]},
        "features": {"type": "array", "items": {"type": "object"}},
    },
}
_CSV: Json = {"type": "string"}
_UNITS = ["admin0", "admin1", "admin2", "admin3", "lon-lat"]


def _object(required: list[str], **properties: Json) -> Json:
    return {"type": "object", "required": required, "properties": properties}


def _parameter(name: str, description: str, schema: Json | None = None, place: str = "path") -> Json:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema or {"type": "string"},
    }


def _reply(description: str, content: Mapping[str, Json] | None = None, headers: Json | None = None) -> Json:
    reply: Json = {"description": description}
    if content:
        reply["content"] = {media_type: {"schema": schema} for media_type, schema in content.items()}
    if headers:
        reply["headers"] = headers
    return reply


_ERRORS = {
    400: "The request cannot be understood or is refused",
    401: "No token, or one that is not accepted",
    403: "None of the token's roles holds all scopes needed",
    404: "Not found; running the query again may help",
    409: "Another user submitted the query",
    413: "The request body is too large",
    500: "The query failed or was cancelled, or a fault of the server",
    429: "Too many queries are waiting or running; try again later",
    503: "The database cannot be reached",
    504: "The query engine does not answer",
}
_COMMON_ERRORS = (401, 403, 500, 503, 504)
_RETRY_AFTER: Json = {
    "Retry-After": {"description": "Seconds to wait before the next attempt.", "schema": {"type": "integer"}}
}


@dataclass(frozen=True)
class Operation:
    """Describe one route."""

    path: str
    method: str
    name: str
    summary: str
    scopes: list[str]
    replies: Mapping[int, Json]
    errors: tuple[int, ...]
    parameters: list[Json] = field(default_factory=list)
    body: Json | None = None

    def document(self) -> Json:
        """Return the route's operation object of the OpenAPI document."""
        errors = {
            code: _reply(
                _ERRORS[code],
                {"application/json": {"$ref": f"#/components/schemas/{ERROR_SCHEMA}"}},
                _RETRY_AFTER if code in (429, 503, 504) else None,
            )
            for code in (*_COMMON_ERRORS, *self.errors)
        }
        replies = {**self.replies, **errors}
        document: Json = {
            "operationId": f"{self.name}.{self.method}",
            "summary": self.summary,
            "security": [{"token": []}],
            "x-required-scopes": self.scopes,
            "responses": {str(code): replies[code] for code in sorted(replies)},
        }
        if self.parameters:
            document["parameters"] = self.parameters
        if self.body:
            document["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": self.body}},
            }
        return document


_QUERY_ID = _parameter(
    "query_id", "Id of a submitted query.", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"}
)
_SAFE = _parameter(
    "safe",
    "1: quote CSV text that a spreadsheet would run as a formula.",
    {"type": "string", "enum": ["0", "1"]},
    "query",
)
_DATE: Json = {"type": "string", "format": "date"}
QUERY_SCOPES = ["<unit>:<top kind>:<each kind outside of subsets>", "*:*:<each kind in a subset>"]
_STILL_RUNNING = _reply(
    "Not ready yet",
    {"application/json": _object(["status", "msg"], status={"type": "string"}, msg={"type": "string"})},
)
_NOT_MODIFIED = _reply("The result is the one named by If-None-Match", headers=_ETAG)


def _result(path: str, name: str, summary: str, content: Mapping[str, Json], **more: Any) -> Operation:
    return Operation(
        path=path,
        method="get",
        name=name,
        summary=summary,
        replies={200: _reply("The result", content, _ETAG), 202: _STILL_RUNNING, 304: _NOT_MODIFIED},
        errors=(400, 404),
        **more,
    )


_DAYS: Json = {
    "type": "object",
    "description": "Days by event type",
    "additionalProperties": {"type": "array", "items": {"type": "string", "format": "date"}},
}

_OPERATIONS = [
    Operation(
        path="/api/0/run",
        method="post",
        name="query.run_query",
        summary="Submit a query. Equal specs give the same id, and nothing runs twice.",
        scopes=["run", *QUERY_SCOPES],
        body={"$ref": "#/components/schemas/FlowmachineQuerySchema"},
        replies={
            202: _reply(
                "Accepted",
                {
                    "application/json": _object(
                        ["query_id", "progress"], query_id={"type": "string"}, progress=_PROGRESS
                    )
                },
                _LOCATION,
            )
        },
        errors=(400, 413, 429),
    ),
    Operation(
        path="/api/0/explain",
        method="post",
        name="query.explain_query",
        summary="What running a query would do; nothing is started.",
        scopes=["run", *QUERY_SCOPES],
        body={"$ref": "#/components/schemas/FlowmachineQuerySchema"},
        replies={
            200: _reply(
                "Parts of the query, those already stored, days read and missing, and a forecast",
                {
                    "application/json": _object(
                        [
                            "query_id",
                            "parts",
                            "stored",
                            "executor",
                            "days",
                            "missing_days",
                            "forecast_seconds",
                        ],
                        query_id={"type": "string"},
                        parts={"type": "integer"},
                        stored={"type": "integer"},
                        executor={"type": "string"},
                        days=_DAYS,
                        missing_days=_DAYS,
                        forecast_seconds={"type": "number", "nullable": True},
                    )
                },
            )
        },
        errors=(400, 413),
    ),
    Operation(
        path="/api/0/poll/{query_id}",
        method="get",
        name="query.poll_query",
        summary="The state of a submitted query.",
        scopes=QUERY_SCOPES,
        parameters=[
            _QUERY_ID,
            _parameter(
                "wait",
                "Hold the reply up to this many seconds, until the state changes.",
                {"type": "number", "minimum": 0, "maximum": 30},
                "query",
            ),
        ],
        replies={
            202: _reply(
                "Queued or running",
                {
                    "application/json": _object(
                        ["status", "msg", "progress"],
                        status={"type": "string", "enum": ["queued", "executing"]},
                        msg={"type": "string"},
                        progress=_PROGRESS,
                    )
                },
                _RETRY_AFTER,
            ),
            303: _reply("The result is ready", None, _LOCATION),
        },
        errors=(400, 404),
    ),
    _result(
        "/api/0/get/{query_id}",
        "query.get_query_result",
        "The result of a query as JSON.",
        {"application/json": _ROWS},
        scopes=["get_result", *QUERY_SCOPES],
        parameters=[_QUERY_ID],
    ),
    _result(
        "/api/0/get/{query_id}.{filetype}",
        "query.get_query_result_file",
        "The result of a query in a given format; geojson also needs the shapes' scope.",
        {"application/json": _ROWS, "application/geo+json": _FEATURES, "text/csv": _CSV},
        scopes=["get_result", *QUERY_SCOPES, "geojson: <unit>:geography:geography"],
        parameters=[
            _QUERY_ID,
            _parameter("filetype", "Format.", {"type": "string", "enum": ["json", "geojson", "csv"]}),
            _SAFE,
        ],
    ),
    Operation(
        path="/api/0/geography/{aggregation_unit}",
        method="get",
        name="geography.get_geography",
        summary="The shapes of a spatial unit, in WGS84.",
        scopes=["get_result", "<aggregation_unit>:geography:geography"],
        parameters=[
            _parameter("aggregation_unit", "Spatial unit.", {"type": "string", "enum": list(_UNITS)}),
        ],
        replies={200: _reply("The shapes", {"application/geo+json": _FEATURES})},
        errors=(400,),
    ),
    Operation(
        path="/api/0/available_dates",
        method="get",
        name="available_dates.get_available_dates",
        summary="The days for which there is data, per event type.",
        scopes=["get_available_dates"],
        replies={
            200: _reply(
                "Days by event type",
                {
                    "application/json": _object(
                        ["available_dates"],
                        available_dates={
                            "type": "object",
                            "additionalProperties": {"type": "array", "items": _DATE},
                        },
                    )
                },
            )
        },
        errors=(),
    ),
    Operation(
        path="/api/0/qa/",
        method="get",
        name="qa.list_qa_checks",
        summary="The quality checks that have outcomes.",
        scopes=["get_qa_checks"],
        replies={
            200: _reply(
                "Checks",
                {
                    "application/json": {
                        "type": "array",
                        "items": _object(
                            ["cdr_type", "type_of_query_or_check"],
                            cdr_type={"type": "string"},
                            type_of_query_or_check={"type": "string"},
                        ),
                    }
                },
            )
        },
        errors=(),
    ),
    Operation(
        path="/api/0/qa/{cdr_type}/{check_id}",
        method="get",
        name="qa.get_qa_date_range",
        summary="Outcomes of a quality check for a range of days, both ends included.",
        scopes=["get_qa_checks"],
        parameters=[
            _parameter("cdr_type", "Event type."),
            _parameter("check_id", "Name of the check."),
            {**_parameter("start_date", "First day.", _DATE, "query"), "required": True},
            {**_parameter("end_date", "Last day.", _DATE, "query"), "required": True},
        ],
        replies={
            200: _reply(
                "Outcomes",
                {
                    "application/json": {
                        "type": "array",
                        "items": _object(
                            ["cdr_date", "outcome", "type_of_query_or_check"],
                            cdr_date=_DATE,
                            outcome={"type": "string"},
                            type_of_query_or_check={"type": "string"},
                        ),
                    }
                },
            )
        },
        errors=(400, 404),
    ),
    Operation(
        path="/api/0/qa/{cdr_type}/{check_id}/{check_date}",
        method="get",
        name="qa.get_qa_date",
        summary="The outcome of a quality check for one day, as bare text.",
        scopes=["get_qa_checks"],
        parameters=[
            _parameter("cdr_type", "Event type."),
            _parameter("check_id", "Name of the check."),
            _parameter("check_date", "Day.", _DATE),
        ],
        replies={200: _reply("Outcome", {"text/plain": {"type": "string"}})},
        errors=(400, 404),
    ),
]

_CANCEL = Operation(
    path="/api/0/cancel/{query_id}",
    method="post",
    name="query.cancel_query",
    summary="Stop a queued or running query that no other user submitted.",
    scopes=["cancel", *QUERY_SCOPES],
    parameters=[_QUERY_ID],
    replies={
        200: _reply(
            "The state after the request",
            {
                "application/json": _object(
                    ["query_id", "query_state"], query_id={"type": "string"}, query_state={"type": "string"}
                )
            },
        )
    },
    errors=(404, 409),
)

_ERROR: Json = {
    "type": "object",
    "description": "The shape of every refusal.",
    "required": ["msg"],
    "properties": {
        "msg": {"type": "string", "minLength": 1, "description": "What is wrong, for people."},
        "status": {"type": "string", "description": "State of the query, or error."},
        "payload": {"description": "Details, such as the errors of each field of a spec."},
        "request_id": {"type": "string", "description": "To quote when reporting a fault."},
    },
}


def operations(*, cancel: bool) -> list[Operation]:
    """List every documented route; ``cancel`` enables that feature's route."""
    return [*_OPERATIONS, _CANCEL] if cancel else list(_OPERATIONS)


def build_document(
    query_schemas: Mapping[str, Any], scopes: list[str], identifier: str, *, cancel: bool = False
) -> Json:
    """Build the OpenAPI document of a server.

    Parameters
    ----------
    query_schemas
        The engine's ``components.schemas``; published unchanged.
    scopes
        All scopes of the server, sorted.
    identifier
        The server's name, which is the audience of its tokens.
    """
    paths: dict[str, Json] = {}
    for operation in operations(cancel=cancel):
        paths.setdefault(operation.path, {})[operation.method] = operation.document()
    return {
        "openapi": "3.0.1",
        "info": {
            "title": "FlowAPI",
            "version": flowapi.__version__,
            "description": "Aggregates of population movement from call records: "
            "submit a query, poll it, fetch its result.",
            "license": {"name": "MPL-2.0", "url": "https://www.mozilla.org/MPL/2.0/"},
            "contact": {"name": f"The operator of {identifier}"},
        },
        "paths": paths,
        "components": {
            "schemas": {**query_schemas, ERROR_SCHEMA: _ERROR},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "x-security-scopes": scopes,
                    "x-audience": identifier,
                }
            },
        },
    }
