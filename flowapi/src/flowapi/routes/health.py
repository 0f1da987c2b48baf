"""Report whether the API is alive and whether it is ready."""

from __future__ import annotations

from quart import Blueprint, Response

from flowapi import __version__
from flowapi.access import public
from flowapi.engine import EngineSilent
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
    """Return 200 if every needed part answers, else 503 and name the silent parts."""
    parts = {
        "engine": "ok" if await _engine_answers() else "silent",
        "database": "ok" if await _database_answers() else "down",
        "key": "ok" if services().settings.public_keys else "missing",
    }
    if all(state == "ok" for state in parts.values()):
        return json_response({"status": "ready", "version": __version__, "parts": parts})
    failing = ", ".join(f"{part} {state}" for part, state in parts.items() if state != "ok")
    body = {"status": "error", "msg": f"Not ready: {failing}.", "version": __version__, "parts": parts}
    return json_response(body, 503, {"Retry-After": "5"})


async def _engine_answers() -> bool:
    try:
        return (await engine().ask("ping", timeout=min(PING_SECONDS, services().engine.timeout))).ok
    except EngineSilent:
        return False


async def _database_answers() -> bool:
    try:
        await services().results.ping(PING_SECONDS)
    except DatabaseDown:
        return False
    return True
