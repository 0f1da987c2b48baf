"""Describe ``/api/v1`` as an OpenAPI document."""

from __future__ import annotations

from typing import Any

from flowauth import __version__

_TEXT = {"type": "string"}
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9_]{1,75}$"}
_WHOLE = {"type": "integer"}
_FLAG = {"type": "boolean"}
_MOMENT = {"type": "string", "format": "date-time"}
_OPTIONAL_MOMENT = {"type": ["string", "null"], "format": "date-time"}
_MINUTES = {"type": "integer", "minimum": 1}
_OPTIONAL_MINUTES = {"type": ["integer", "null"], "minimum": 1}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


_SCHEMAS: dict[str, Any] = {
    "Problem": _object(
        {"message": _TEXT, "code": _WHOLE},
        bad_field={**_TEXT, "description": "The first field that is refused."},
        bad_fields={
            "type": "object",
            "additionalProperties": _TEXT,
            "description": "Every field that is refused, and what is wrong with it.",
        },
        need_two_factor=_FLAG,
        retry_after=_WHOLE,
        error=_TEXT,
    ),
    "Session": _object({"access_token": _TEXT, "expires": _MOMENT}),
    "DeviceCodes": _object(
        {
            "device_code": _TEXT,
            "user_code": _TEXT,
            "verification_uri": _TEXT,
            "verification_uri_complete": _TEXT,
            "expires_in": _WHOLE,
            "interval": _WHOLE,
        }
    ),
    "DeviceToken": _object({"access_token": _TEXT, "token_type": _TEXT, "expires_in": _WHOLE}),
    "Server": _object(
        {
            "name": _TEXT,
            "roles": _list(_object({"name": _NAME, "scopes": _list(_TEXT), "max_expiry": _MOMENT})),
        }
    ),
    "RegisteredServer": _object({"name": _TEXT, "scopes": _list(_TEXT)}),
    "ScopeChange": _object({"added": _list(_TEXT), "removed": _list(_TEXT), "roles": {"type": "object"}}),
    "Token": _object(
        {
            "id": _WHOLE,
            "name": _NAME,
            "server": _TEXT,
            "roles": _list(_NAME),
            "issued": _MOMENT,
            "expires": _MOMENT,
            "revoked": _FLAG,
        },
        token={**_TEXT, "description": "The signed token; only where it is minted, renewed or revealed."},
    ),
    "TokenPage": _object(
        {
            "tokens": _list({"$ref": "#/components/schemas/AnyToken"}),
            "page": _WHOLE,
            "pages": _WHOLE,
            "total": _WHOLE,
        }
    ),
    "Revoked": _object({"revoked": {**_WHOLE, "description": "Number of tokens that were running."}}),
    "User": _object(
        {
            "id": _WHOLE,
            "username": _NAME,
            "is_admin": _FLAG,
            "is_auditor": _FLAG,
            "is_service": {**_FLAG, "description": "Signs in by scripts only."},
            "administers": {**_list(_TEXT), "description": "Names of servers."},
            "has_two_factor": _FLAG,
            "require_two_factor": _FLAG,
            "roles": _list(_object({"id": _WHOLE, "name": _NAME, "server": _TEXT})),
        }
    ),
    "Role": _object(
        {
            "id": _WHOLE,
            "name": _NAME,
            "server": _TEXT,
            "scopes": _list(_TEXT),
            "users": _list(_WHOLE),
            "longest_token_life_minutes": _MINUTES,
            "latest_token_expiry": _OPTIONAL_MOMENT,
        }
    ),
    "PublicKey": _object({"public_key": _TEXT}),
}

_SCHEMAS["AnyToken"] = _object(
    {
        **{name: _SCHEMAS["Token"]["properties"][name] for name in _SCHEMAS["Token"]["required"]},
        "user": _NAME,
        "last_used": _OPTIONAL_MOMENT,
        "revoked_because": {"type": ["string", "null"]},
    }
)

_LIMITS = {"longest_token_life_minutes": _MINUTES, "latest_token_expiry": _OPTIONAL_MOMENT}
_ROLE = _object(
    {"name": _NAME, "scopes": _list(_TEXT), "longest_token_life_minutes": _MINUTES},
    latest_token_expiry=_OPTIONAL_MOMENT,
    users=_list(_WHOLE),
)
_NEW_ROLE = _object(
    {"server": _TEXT, **{key: _ROLE["properties"][key] for key in _ROLE["required"]}},
    latest_token_expiry=_OPTIONAL_MOMENT,
    users=_list(_WHOLE),
)
_DESCRIPTION = {"type": "object", "description": "The API server's OpenAPI document."}


def _operation(
    summary: str,
    status: int,
    reply: str | None = None,
    *,
    many: bool = False,
    body: dict[str, Any] | None = None,
    anyone: bool = False,
) -> dict[str, Any]:
    success: dict[str, Any] = {"description": summary}
    if reply:
        schema: dict[str, Any] = {"$ref": f"#/components/schemas/{reply}"}
        success["content"] = {"application/json": {"schema": _list(schema) if many else schema}}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            str(status): success,
            "default": {
                "description": "Refused",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if anyone:
        operation["security"] = []
    return operation


def _parameter(name: str, schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": schema}]


def _search(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_REVOKE_TOKENS = {
    **_FLAG,
    "default": False,
    "description": "Revoke running tokens that keep a right being taken away.",
}
_TOKEN_SEARCH = [
    _search("search", "Part of a token's, user's or server's name.", _TEXT),
    _search("user", "User name.", _NAME),
    _search("server", "Server name.", _TEXT),
    _search("role", "Id of a role that the token was made from.", _WHOLE),
    _search("state", "Default running.", {"type": "string", "enum": ["running", "ended", "all"]}),
    _search("unused_days", "Idle for this many days.", _WHOLE),
    _search("page", "Page number, from 1; each page has 50 tokens.", _WHOLE),
]


def describe() -> dict[str, Any]:
    """Build the document."""
    credentials = _object({"username": _TEXT, "password": _TEXT}, two_factor_code=_TEXT)
    new_token = _object({"name": _NAME, "roles": _list(_NAME)}, lifetime_minutes=_OPTIONAL_MINUTES)
    ended = _object({}, revoke_tokens=_REVOKE_TOKENS)
    lifetime = _object({}, lifetime_minutes=_OPTIONAL_MINUTES)
    new_user = _object(
        {"username": _NAME, "password": _TEXT},
        is_admin=_FLAG,
        is_auditor=_FLAG,
        is_service=_FLAG,
        administers=_list(_WHOLE),
        require_two_factor=_FLAG,
        roles=_list(_WHOLE),
    )
    server, token, one = _parameter("name", _TEXT), _parameter("token_id", _WHOLE), _parameter
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FlowAuth",
            "version": __version__,
            "description": "Servers, roles, users and tokens.",
        },
        "security": [{"session": []}, {"credential": []}],
        "paths": {
            "/api/v1/openapi.json": {"get": {**_operation("This document", 200, anyone=True)}},
            "/api/v1/session": {
                "post": _operation("Sign in", 200, "Session", body=credentials, anyone=True),
                "delete": _operation("Sign out", 204),
            },
            "/api/v1/device-authorization": {
                "post": _operation(
                    "Start the device grant (RFC 8628): a code for a user to approve",
                    200,
                    "DeviceCodes",
                    body=_object({"audience": _TEXT, "client_id": _TEXT}),
                    anyone=True,
                ),
            },
            "/api/v1/device-token": {
                "post": _operation(
                    "The token that a user approved (RFC 8628)",
                    200,
                    "DeviceToken",
                    body=_object({"grant_type": _TEXT, "device_code": _TEXT, "client_id": _TEXT}),
                    anyone=True,
                ),
            },
            "/api/v1/servers": {
                "get": _operation("Servers on which you hold a role", 200, "Server", many=True),
                "post": _operation(
                    "Register a server (administrators)",
                    201,
                    "RegisteredServer",
                    body=_object({"description": _DESCRIPTION}, **_LIMITS),
                ),
            },
            "/api/v1/servers/{name}": {
                "parameters": server,
                "delete": _operation("Delete a server with its roles and tokens (administrators)", 204),
            },
            "/api/v1/servers/{name}/scopes": {
                "parameters": server,
                "put": _operation(
                    "Update a server's scopes (administrators)",
                    200,
                    "ScopeChange",
                    body=_object({"description": _DESCRIPTION}, revoke_tokens=_REVOKE_TOKENS),
                ),
            },
            "/api/v1/servers/{name}/tokens": {
                "parameters": server,
                "get": _operation("Your tokens", 200, "Token", many=True),
                "post": _operation("Mint a token", 201, "Token", body=new_token),
            },
            "/api/v1/tokens/{token_id}/renew": {
                "parameters": token,
                "post": _operation(
                    "A new token with the roles of an earlier one", 201, "Token", body=lifetime
                )
                | {"requestBody": {"required": False, "content": {"application/json": {"schema": lifetime}}}},
            },
            "/api/v1/tokens/{token_id}/reveal": {
                "parameters": token,
                "post": _operation("The text of a token", 200, "Token"),
            },
            "/api/v1/tokens/{token_id}/revoke": {
                "parameters": token,
                "post": _operation("Mark a token as revoked", 200, "Token"),
            },
            "/api/v1/tokens": {
                "get": _operation("Everybody's tokens (administrators)", 200, "TokenPage")
                | {"parameters": _TOKEN_SEARCH},
            },
            "/api/v1/tokens/revoke": {
                "post": _operation(
                    "Revoke tokens, or all of a user, server or role (administrators)",
                    200,
                    "Revoked",
                    body=_object(
                        {}, tokens=_list(_WHOLE), user=_NAME, server=_TEXT, role=_WHOLE, reason=_TEXT
                    ),
                ),
            },
            "/api/v1/users": {
                "get": _operation("All users (administrators)", 200, "User", many=True),
                "post": _operation("Create a user (administrators)", 201, "User", body=new_user),
            },
            "/api/v1/users/{user_id}": {
                "parameters": one("user_id", _WHOLE),
                "delete": _operation("Delete a user (administrators)", 204),
            },
            "/api/v1/roles": {
                "get": _operation("All roles (administrators)", 200, "Role", many=True),
                "post": _operation("Create a role (administrators)", 201, "Role", body=_NEW_ROLE),
            },
            "/api/v1/roles/{role_id}": {
                "parameters": one("role_id", _WHOLE),
                "put": _operation(
                    "Replace a role (administrators)",
                    200,
                    "Role",
                    body={
                        **_ROLE,
                        "properties": {**_ROLE["properties"], "revoke_tokens": _REVOKE_TOKENS},
                    },
                ),
                "delete": _operation("Delete a role (administrators)", 204)
                | {"requestBody": {"required": False, "content": {"application/json": {"schema": ended}}}},
            },
            "/api/v1/public-key": {"get": _operation("The key that verifies tokens", 200, "PublicKey")},
        },
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "session": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "credential": {"type": "http", "scheme": "bearer", "bearerFormat": "personal credential"},
            },
        },
    }
