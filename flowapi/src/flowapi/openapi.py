"""Build the OpenAPI document from the descriptions that stand beside the views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from quart import Quart

import flowapi

Json = dict[str, Any]

QUERY_SCOPES = [
    "<unit>:<top kind>:<each kind outside of subsets>",
    "*:*:<each kind in a subset>",
    "extremes, for values that may be one subscriber's own",
]

ERROR_SCHEMA = "ErrorReply"

#: What is said beside the rows of a result; absent where the result is older than its server.
RESULT_METADATA: Json = {
    "type": "object",
    "description": "Why rows are absent, and the earlier queries whose answers or subsets are used.",
    "required": ["withheld", "repeats"],
    "properties": {
        "withheld": {"type": "array", "items": {"type": "string", "enum": ["floor", "parts"]}},
        "repeats": {"type": "array", "items": {"type": "string"}},
    },
}

FEATURES: Json = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"type": "string", "enum": ["FeatureCollection"]},
        "features": {"type": "array", "items": {"type": "object"}},
    },
}


def object_of(required: list[str], **properties: Json) -> Json:
    """Return the schema of an object."""
    return {"type": "object", "required": required, "properties": properties}


def parameter(name: str, description: str, schema: Json | None = None, place: str = "path") -> Json:
    """Return a parameter of a route; those of the path are required."""
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema or {"type": "string"},
    }


def answer(description: str, content: Mapping[str, Json] | None = None, headers: Json | None = None) -> Json:
    """Return one reply of a route: its content by media type, and its headers."""
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
    429: "Too many requests, or too many queries that wait or run; try again later",
    503: "The query engine or the database is away; try again later",
    504: "The query engine takes too long to answer",
}
_COMMON_ERRORS = (401, 403, 429, 500, 503, 504)
RETRY_AFTER: Json = {
    "Retry-After": {"description": "Seconds to wait before the next attempt.", "schema": {"type": "integer"}}
}


@dataclass(frozen=True)
class Operation:
    """Describe one route: what it accepts, answers and needs."""

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
            code: answer(
                _ERRORS[code],
                {"application/json": {"$ref": f"#/components/schemas/{ERROR_SCHEMA}"}},
                RETRY_AFTER if code in (429, 503, 504) else None,
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


View = TypeVar("View", bound=Callable[..., Any])


def describe(operation: Operation) -> Callable[[View], View]:
    """Attach a description to the view below it; a view of several forms has several."""

    def attach(view: View) -> View:
        view.operations = (operation, *getattr(view, "operations", ()))  # type: ignore[attr-defined]
        return view

    return attach


def operations_of(app: Quart) -> list[Operation]:
    """List the descriptions of an app's routes, in the order of registration."""
    views = dict.fromkeys(app.view_functions[rule.endpoint] for rule in app.url_map.iter_rules())
    return [operation for view in views for operation in getattr(view, "operations", ())]


def build_document(
    query_schemas: Mapping[str, Any], scopes: list[str], identifier: str, operations: list[Operation]
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
    operations
        The descriptions of the server's routes.
    """
    paths: dict[str, Json] = {}
    for operation in operations:
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
