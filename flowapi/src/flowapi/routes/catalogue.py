"""Serve available days and quality checks."""

from __future__ import annotations

import datetime
import re
from typing import Any

from quart import Blueprint, Response, request

from flowapi.access import require
from flowapi.engine import Reply
from flowapi.errors import ApiError, json_response
from flowapi.openapi import Json, Operation, answer, describe, object_of, parameter
from flowapi.scopes import GET_AVAILABLE_DATES, GET_QA_CHECKS
from flowapi.services import engine, services

dates = Blueprint("available_dates", __name__, url_prefix="/api/0")
quality = Blueprint("qa", __name__, url_prefix="/api/0/qa")

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


_DATE: Json = {"type": "string", "format": "date"}
_MOMENT: Json = {"type": "string", "format": "date-time", "nullable": True}


@dates.get("/available_dates")
@describe(
    Operation(
        path="/api/0/available_dates",
        method="get",
        name="available_dates.get_available_dates",
        summary="The days for which there is data, per event type.",
        scopes=["get_available_dates"],
        replies={
            200: answer(
                "Days by event type",
                {
                    "application/json": object_of(
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
    )
)
async def get_available_dates() -> Response:
    """Return days with data, per event type."""
    require(frozenset({GET_AVAILABLE_DATES}))
    services().logs.query.info("get_available_dates")
    reply = _successful(await engine().ask("get_available_dates"))
    available = {event_type: sorted(days) for event_type, days in sorted(reply.payload.items())}
    return json_response({"available_dates": available})


@dates.get("/loads")
@describe(
    Operation(
        path="/api/0/loads",
        method="get",
        name="available_dates.get_loads",
        summary="The loaded days: when each was loaded, and the id that changes when it is loaded again.",
        scopes=["get_available_dates"],
        replies={
            200: answer(
                "Loads by event type and day, and the version of the cells",
                {
                    "application/json": object_of(
                        ["loads", "cells_version"],
                        loads={
                            "type": "array",
                            "items": object_of(
                                [
                                    "event_type",
                                    "date",
                                    "load_id",
                                    "loaded_at",
                                    "first_loaded_at",
                                    "times_loaded",
                                ],
                                event_type={"type": "string"},
                                date=_DATE,
                                load_id={"type": "string", "format": "uuid"},
                                loaded_at=_MOMENT,
                                first_loaded_at=_MOMENT,
                                times_loaded={"type": "integer"},
                            ),
                        },
                        cells_version={"type": "integer"},
                    )
                },
            )
        },
        errors=(),
    )
)
async def get_loads() -> Response:
    """Return the loads of the days with data."""
    require(frozenset({GET_AVAILABLE_DATES}))
    services().logs.query.info("get_loads")
    return json_response(_successful(await engine().ask("get_loads")).payload)


@quality.get("/", strict_slashes=False)
@describe(
    Operation(
        path="/api/0/qa/",
        method="get",
        name="qa.list_qa_checks",
        summary="The quality checks that have outcomes.",
        scopes=["get_qa_checks"],
        replies={
            200: answer(
                "Checks",
                {
                    "application/json": {
                        "type": "array",
                        "items": object_of(
                            ["cdr_type", "type_of_query_or_check"],
                            cdr_type={"type": "string"},
                            type_of_query_or_check={"type": "string"},
                        ),
                    }
                },
            )
        },
        errors=(),
    )
)
async def list_qa_checks() -> Response:
    """List the pairs of event type and check that have outcomes."""
    require(frozenset({GET_QA_CHECKS}))
    services().logs.query.info("list_qa_checks")
    reply = _successful(await engine().ask("list_qa_checks"))
    return json_response(reply.payload["available_qa_checks"])


@quality.get("/<cdr_type>/<check_id>")
@describe(
    Operation(
        path="/api/0/qa/{cdr_type}/{check_id}",
        method="get",
        name="qa.get_qa_date_range",
        summary="Outcomes of a quality check for a range of days, both ends included.",
        scopes=["get_qa_checks"],
        parameters=[
            parameter("cdr_type", "Event type."),
            parameter("check_id", "Name of the check."),
            {**parameter("start_date", "First day.", _DATE, "query"), "required": True},
            {**parameter("end_date", "Last day.", _DATE, "query"), "required": True},
        ],
        replies={
            200: answer(
                "Outcomes",
                {
                    "application/json": {
                        "type": "array",
                        "items": object_of(
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
    )
)
async def get_qa_date_range(cdr_type: str, check_id: str) -> Response:
    """Return the outcomes of one check for a range of days."""
    require(frozenset({GET_QA_CHECKS}))
    start_date = _day("start_date", request.args.get("start_date"))
    end_date = _day("end_date", request.args.get("end_date"))
    return json_response(await _outcomes(cdr_type, check_id, start_date, end_date))


@quality.get("/<cdr_type>/<check_id>/<check_date>")
@describe(
    Operation(
        path="/api/0/qa/{cdr_type}/{check_id}/{check_date}",
        method="get",
        name="qa.get_qa_date",
        summary="The outcome of a quality check for one day, as bare text.",
        scopes=["get_qa_checks"],
        parameters=[
            parameter("cdr_type", "Event type."),
            parameter("check_id", "Name of the check."),
            parameter("check_date", "Day.", _DATE),
        ],
        replies={200: answer("Outcome", {"text/plain": {"type": "string"}})},
        errors=(400, 404),
    )
)
async def get_qa_date(cdr_type: str, check_id: str, check_date: str) -> Response:
    """Return the outcome of one check for one day, as bare text."""
    require(frozenset({GET_QA_CHECKS}))
    day = _day("check_date", check_date)
    outcomes = await _outcomes(cdr_type, check_id, day, day)
    return Response(outcomes[0]["outcome"], content_type="text/plain; charset=utf-8")


async def _outcomes(cdr_type: str, check_id: str, start_date: str, end_date: str) -> list[dict[str, Any]]:
    params = {
        "cdr_type": cdr_type,
        "check_type": check_id,
        "start_date": start_date,
        "end_date": end_date,
    }
    services().logs.query.info("get_qa_checks", **params)
    reply = _successful(await engine().ask("get_qa_checks", params))
    outcomes = [{**check, "outcome": str(check["outcome"])} for check in reply.payload["qa_checks"]]
    if not outcomes:
        raise ApiError(
            404,
            f"No outcome of the check {check_id!r} on {cdr_type!r} from {start_date} to {end_date}.",
            status="not found",
        )
    return outcomes


def _successful(reply: Reply) -> Reply:
    if not reply.ok:
        raise ApiError(500, reply.message or "The query engine failed.", status="error")
    return reply


def _day(name: str, text: str | None) -> str:
    if text is None:
        raise ApiError(
            400, f"The parameter {name} is missing; give a date as YYYY-MM-DD.", status="bad request"
        )
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise ApiError(
            400, f"{name} is {text[:64]!r}; it must be a date as YYYY-MM-DD.", status="bad request"
        ) from None
