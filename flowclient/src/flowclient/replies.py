"""From a reply that is not what was hoped for to the exception that says so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from flowclient.errors import (
    AuthenticationError,
    FlowclientConnectionError,
    PermissionDeniedError,
    QueryCancelledError,
    QueryFailedError,
    QueryNotFoundError,
    QueryValidationError,
)
from flowclient.transport import Reply

_NOT_JSON = "the response did not contain valid JSON"
_ROUTES_ABOUT_QUERIES = ("poll/", "get/", "cancel/")
_ROUTES_OF_SPECIFICATIONS = ("run", "explain")


def json_object(reply: Reply) -> dict[str, Any]:
    """Return the reply's JSON object, or an empty one where the body is anything else."""
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _details(reply: Reply, url: str) -> dict[str, Any]:
    body = json_object(reply)
    return {
        "status_code": reply.status_code,
        "msg": _words(body),
        "payload": body.get("payload"),
        "request_id": reply.headers.get("X-Request-ID"),
        "url": url,
    }


def _words(body: Mapping[str, Any]) -> Any:
    """The server's own words; the auth app calls them ``message``."""
    return body.get("msg", body.get("message"))


def access_error(reply: Reply, url: str) -> FlowclientConnectionError:
    """401 and 403: the server's own words."""
    body = json_object(reply)
    message = str(_words(body) or "Unknown access denied error")
    if reply.status_code == 401:
        return AuthenticationError(message, **_details(reply, url))
    missing = _missing_scopes(body)
    if missing:
        message += "\nMissing scopes: " + ", ".join(missing)
    return PermissionDeniedError(message, **_details(reply, url))


def _missing_scopes(body: Mapping[str, Any]) -> list[str]:
    payload = body.get("payload")
    scopes = payload.get("missing_scopes") if isinstance(payload, dict) else body.get("missing_scopes")
    return [str(scope) for scope in scopes] if isinstance(scopes, list) else []


def not_found(reply: Reply, url: str, route: str) -> Exception:
    """Translate a 404: unknown query, or unknown thing elsewhere.

    A server may lack some routes.
    """
    # Of a query that it does not know a server names the state; of a route that it lacks it cannot.
    if route == "queries" or (route.startswith("cancel/") and "status" not in json_object(reply)):
        lacking = "list a user's queries" if route == "queries" else "let users cancel queries"
        return FlowclientConnectionError(f"This server does not {lacking}.", **_details(reply, url))
    message = f"{url} not found."
    if route.startswith(_ROUTES_ABOUT_QUERIES):
        return QueryNotFoundError(message, **_details(reply, url))
    return FileNotFoundError(message)


def unexpected_get(reply: Reply, url: str) -> FlowclientConnectionError:
    """Translate any other status of a GET.

    A failed or cancelled query says so in the body's ``status``.
    """
    body = json_object(reply)
    status = body.get("status", "Unknown status")
    message = (
        f"Something went wrong: {body.get('msg', body.get('message', 'Unknown error'))}. "
        f"API returned with status code: {reply.status_code} and status '{status}'"
    )
    kinds = {"errored": QueryFailedError, "cancelled": QueryCancelledError}
    kind = (
        kinds.get(status, FlowclientConnectionError) if isinstance(status, str) else FlowclientConnectionError
    )
    return kind(message, **_details(reply, url))


def unexpected_post(reply: Reply, url: str, route: str, sent: Any) -> FlowclientConnectionError:
    """Translate any other status of a POST.

    A refused query lists its problems one by one, then the whole reply.
    """
    body = json_object(reply)
    message = f"Something went wrong. API returned with status code {reply.status_code}. Error message: "
    if not _is_json(reply):
        return FlowclientConnectionError(f"{message}'{_NOT_JSON}'.", **_details(reply, url))
    message += f"'{body.get('msg', 'Unknown error')}'."
    payload = body.get("payload")
    if payload:
        message += f" Payload: {payload}"
    if reply.status_code != 400 or route not in _ROUTES_OF_SPECIFICATIONS:
        return FlowclientConnectionError(message, **_details(reply, url))
    messages = payload.get("validation_error_messages") if isinstance(payload, dict) else None
    lines = list(_problem_lines(messages, sent))
    if isinstance(payload, dict) and isinstance(payload.get("exception"), str):
        lines.append(payload["exception"])
    return QueryValidationError("\n".join([*lines, message]), **_details(reply, url))


def unfinished(reply: Reply, url: str, what: str) -> FlowclientConnectionError:
    """A 202 where only 200 will do: the answer is still in the making."""
    message = f"{what}. API returned with status code: {reply.status_code}."
    reason = json_object(reply).get("msg")
    if reason:
        message += f" Reason: {reason}"
    return FlowclientConnectionError(message, **_details(reply, url))


def malformed(reply: Reply, url: str, message: str) -> FlowclientConnectionError:
    """A reply that lacks what the protocol promises."""
    return FlowclientConnectionError(message, **_details(reply, url))


def _is_json(reply: Reply) -> bool:
    try:
        reply.json()
    except ValueError:
        return False
    return True


def problems(messages: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (path into the spec, problem) for each leaf of validation messages."""
    if isinstance(messages, Mapping):
        for key, below in messages.items():
            # "_schema" is a problem of the object itself; "key" and "value" are ends of a mapping's entry.
            yield from problems(below, path if key == "_schema" else (*path, str(key)))
    elif isinstance(messages, list):
        for below in messages:
            yield from problems(below, path)
    elif messages is not None:
        yield path, str(messages)


def _problem_lines(messages: Any, sent: Any) -> Iterator[str]:
    """Yield a line for each problem.

    Of the same problem in many members of a list only the first is shown.
    """
    found: dict[str, list[str]] = {}
    for path, problem in problems(messages):
        line = _problem_line(path, problem, sent)
        place, _, rest = line.partition(" = ") if " = " in line else line.partition(": ")
        found.setdefault(re.sub(r"\.\d+(?=\.|$)", ".*", place) + rest, []).append(line)
    for lines in found.values():
        more = len(lines) - 1
        yield lines[0] + (f" And {more} more like it." if more else "")


def _problem_line(path: tuple[str, ...], problem: str, sent: Any) -> str:
    value: Any = sent
    for key in path:
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return f"{'.'.join(path) or 'query'}: {problem}"
    if isinstance(value, Mapping):
        return f"{'.'.join(path) or 'query'}: {problem}"
    return f"{'.'.join(path) or 'query'} = {json.dumps(value, default=str)}: {problem}"
