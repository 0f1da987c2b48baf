"""Report whether the API is alive and whether it is ready."""

from __future__ import annotations

import asyncio

from quart import Blueprint, Response

from flowapi import __version__
from flowapi.access import public
from flowapi.engine import NoAnswer
from flowapi.errors import json_response
from flowapi.results import DatabaseDown
from flowapi.services import engine, services

blueprint = Blueprint("health", __name__)

PING_SECONDS = 5.0

#: What an operator does about each part.
CURES = {
    "engine": "Look at the log of flowmachine.",
    "database": "Look at the log of flowdb, and compare FLOWAPI_FLOWDB_PASSWORD.",
    "key": "Give the API the auth app's PUBLIC_JWT_SIGNING_KEY.",
    "workers": "Start a worker, or look at the workers' log: queries wait.",
    "folders": "Mount the folder where the workers expect it, with rights for their user.",
    "loading": "`python -m flowetl status` names the days and the cause.",
}

# What the engine tells of other parts.
_TOLD = ("workers", "folders", "loading")


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
    """Return 200 if every needed part answers, else 503; name faults and cures.

    Queries wait without workers, and days without a loader, but both are told only. The age of the fetched list of
    revoked tokens is told; an old list stays in force.
    """
    (answers, told_by_engine), database = await asyncio.gather(_engine_tells(), _database_answers())
    needed = {
        "engine": "ok" if answers else "silent",
        "database": "ok" if database else "down",
        "key": "ok" if services().settings.public_keys else "missing",
    }
    parts = needed | told_by_engine
    told: dict[str, object] = {"version": __version__, "parts": parts}
    if cures := {part: CURES[part] for part, state in parts.items() if state != "ok"}:
        told["cures"] = cures
    if (fetched := services().fetched) is not None:
        told["revoked_tokens_age_seconds"] = fetched.age_seconds
    failing = [part for part in needed if needed[part] != "ok"]
    if not failing:
        return json_response({"status": "ready", **told})
    named = ", ".join(f"{part} {needed[part]}" for part in failing)
    body = {
        "status": "error",
        "msg": f"Not ready: {named}. {' '.join(CURES[part] for part in failing)}",
        **told,
    }
    return json_response(body, 503, {"Retry-After": "5"})


async def _engine_tells() -> tuple[bool, dict[str, str]]:
    """Return whether the engine answers, and what it tells of other parts.

    One question after the other, because the replies of one request have the same id.
    """
    limit = min(PING_SECONDS, services().engine.timeout)
    answers = False
    try:
        answers = (await engine().ask("ping", timeout=limit)).ok
        reply = await engine().ask("health", timeout=limit)
    except NoAnswer:
        # Without its database the engine may be too slow to tell more.
        return answers, {}
    return answers, {part: str(reply.payload[part]) for part in _TOLD if part in reply.payload}


async def _database_answers() -> bool:
    try:
        await services().results.ping(PING_SECONDS)
    except DatabaseDown:
        return False
    return True
