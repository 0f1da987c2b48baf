"""Read and check request bodies."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any, NoReturn

from quart import g, request

from flowapi.errors import ApiError

BODY_SECONDS = 60
# Read an oversized body to its end before refusing, because a caller who is still sending when the connection
# closes sees a broken pipe instead of the answer. Beyond this factor the connection is closed anyway.
DRAINED_FACTOR = 16
#: Maximum nesting of lists and objects: more than any spec that the engine accepts, and far below the limit
#: of recursive code.
DEEPEST_BODY = 200


async def read_body(limit: int) -> bytes | None:
    """Return the request's body, or None if larger than ``limit`` bytes."""
    if "body" not in g:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                g.body = await _collect(limit)
        except TimeoutError:
            raise ApiError(408, f"The request body did not arrive within {BODY_SECONDS} s.") from None
    return g.body


async def drain_body() -> None:
    """Read and discard the body, up to the size at which it is cut off."""
    await read_body(0)


async def _collect(limit: int) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    async for part in request.body:
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
    return b"".join(parts) if size <= limit else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:32]} is too large")
    return number


async def read_json_object(limit: int) -> dict[str, Any]:
    """Return the JSON object in the request's body.

    Raises
    ------
    ApiError
        400 if it is no JSON object, holds a text that cannot be stored or a number that is too large, is nested too
        deeply or is not sent as ``application/json``, 413 if it is too large.
    """
    body = await read_body(limit)
    value = await asyncio.to_thread(_parsed, body, limit, request.mimetype)
    g.spec = value
    return value


def _parsed(body: bytes | None, limit: int, mimetype: str) -> dict[str, Any]:
    if body is None:
        raise ApiError(413, f"The request body is larger than the {limit} bytes allowed.")
    if mimetype != "application/json":
        raise ApiError(400, f"The content type must be application/json, not {mimetype or 'absent'!r}.")
    try:
        value = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ApiError(400, _TOO_DEEP) from None
    except ValueError as error:
        raise ApiError(400, f"The request body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ApiError(400, "The request body must be a JSON object.")
    if problem := _problem_within(value):
        raise ApiError(400, problem)
    return value


_TOO_DEEP = f"Lists and objects in the request body are nested more than {DEEPEST_BODY} deep."
_NOT_STORABLE = (
    "A text in the request body holds a null character or half of a surrogate pair (\\u0000, \\ud800)."
)


def _problem_within(value: Any) -> str | None:
    """Return what no part of the engine accepts in a JSON value, or None.

    Unacceptable are texts that no database stores and too many levels. The walk goes level by level, because
    nesting itself may be the problem.
    """
    level = [value]
    depth = 0
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if "\0" in item or (
                    not item.isascii() and any("\ud800" <= sign <= "\udfff" for sign in item)
                ):
                    return _NOT_STORABLE
            elif isinstance(item, dict | list):
                if depth == DEEPEST_BODY:
                    return _TOO_DEEP
                below += [*item.keys(), *item.values()] if isinstance(item, dict) else item
        level, depth = below, depth + 1
    return None
