"""Reading what the caller sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn

from quart import g, request

from flowapi.errors import ApiError

BODY_SECONDS = 60
# A body over the limit is read to its end before it is refused: a caller who is still sending when the
# connection closes sees a broken pipe in place of the answer. Beyond this factor it is cut off all the same.
DRAINED_FACTOR = 16


async def read_body(limit: int) -> bytes | None:
    """The request's body, or None if it is larger than ``limit`` bytes."""
    if "body" not in g:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                g.body = await _collect(limit)
        except TimeoutError:
            raise ApiError(408, f"The request body did not arrive within {BODY_SECONDS} s.") from None
    return g.body


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


async def read_json_object(limit: int) -> dict[str, Any]:
    """The JSON object in the request's body.

    Raises
    ------
    ApiError
        400 if it is no JSON object, holds a text that cannot be stored or is not sent as ``application/json``,
        413 if it is too large.
    """
    body = await read_body(limit)
    if body is None:
        raise ApiError(413, f"The request body is larger than the {limit} bytes allowed.")
    if request.mimetype != "application/json":
        raise ApiError(
            400, f"The content type must be application/json, not {request.mimetype or 'absent'!r}."
        )
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise ApiError(400, "The request body is nested too deeply.") from None
    except ValueError as error:
        raise ApiError(400, f"The request body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ApiError(400, "The request body must be a JSON object.")
    if not is_storable(value):
        raise ApiError(
            400,
            "A text in the request body holds a null character or half of a surrogate pair (\\u0000, \\ud800).",
        )
    return value


def is_storable(value: Any) -> bool:
    """Whether the database could hold every text in a JSON value; the engine answers nothing that holds another."""
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            if "\0" in item or (not item.isascii() and any("\ud800" <= sign <= "\udfff" for sign in item)):
                return False
        elif isinstance(item, dict):
            rest += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            rest += item
    return True
