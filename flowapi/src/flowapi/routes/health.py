"""Report whether the API is alive and whether it is ready."""

from __future__ import annotations

from quart import Blueprint, Response

from flowapi import __version__
from flowapi.access import public
from flowapi.engine import NoAnswer
from flowapi.errors import json_response
from flowapi.results import DatabaseDown
from flowapi.services import engine, services

blueprint = Blueprint("health", __name__)

PING_SECONDS = 5.0


@blueprint.get("/")
@public
async def heartbeat() -> Response:
    """Return an empty 200 as soon as the process serves; check nothing."""
    return Response("", content_type="text/plain; charset=utf-8")


@blueprint.get("/api/0/health/live")
@public
async def live() -> Response:
    """Return 200 and the version as soon as the process serves."""
    return json_response({"status": "live", "version": __version__})


@blueprint.get("/api/0/health/ready")
@public
async def ready() -> Response:
    """Return 200 if every needed part answers, else 503 and name the silent parts.

    The age of the fetched list of revoked tokens is told; an old list stays in force.
    """
    parts = {
        "engine": "ok" if await _engine_answers() else "silent",
        "database": "ok" if await _database_answers() else "down",
        "key": "ok" if services().settings.public_keys else "missing",
    }
    told: dict[str, object] = {"version": __version__, "parts": parts}
    if (fetched := services().fetched) is not None:
        told["revoked_tokens_age_seconds"] = fetched.age_seconds
    if all(state == "ok" for state in parts.values()):
        return json_response({"status": "ready", **told})
    failing = ", ".join(f"{part} {state}" for part, state in parts.items() if state != "ok")
    body = {"status": "error", "msg": f"Not ready: {failing}.", **told}
    return json_response(body, 503, {"Retry-After": "5"})


async def _engine_answers() -> bool:
    try:
        return (await engine().ask("ping", timeout=min(PING_SECONDS, services().engine.timeout))).ok
    except NoAnswer:
        return False


async def _database_answers() -> bool:
    try:
        await services().results.ping(PING_SECONDS)
    except DatabaseDown:
        return False
    return True
