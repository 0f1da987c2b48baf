"""Ask for the outcomes of quality checks, as generators of requests and pauses."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flowclient.exchange import Operation
from flowclient.frames import numbers_by_check, table
from flowclient.operations import fetch, parsed
from flowclient.server import Server
from flowclient.values import iso_date, qa_route

if TYPE_CHECKING:
    import pandas


def get_available_qa_checks(
    connection: Server, event_types: list[str] | None = None
) -> Operation[list[dict[str, str]]]:
    reply = yield from fetch(connection, "qa/", "Could not get qa checks")
    checks = parsed(connection, "qa/", reply)
    return [check for check in checks if event_types is None or check["cdr_type"] in event_types]


def get_available_qa_checks_df(
    connection: Server, event_types: list[str] | None = None
) -> Operation[pandas.DataFrame]:
    checks = yield from get_available_qa_checks(connection, event_types)
    return table(checks, columns=["cdr_type", "type_of_query_or_check"])


def get_qa_check_outcome(
    connection: Server, event_type: str, check_type: str, event_date: str | datetime.date
) -> Operation[str]:
    route = f"{qa_route(event_type, check_type)}/{quote(iso_date(event_date, 'event_date'), safe='')}"
    try:
        reply = yield from fetch(connection, route, "Could not get qa check outcome")
    except FileNotFoundError as error:
        raise _no_outcome(error, event_type, check_type, f"on {event_date}") from None
    return reply.text


def _no_outcome(error: FileNotFoundError, event_type: str, check_type: str, when: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"No outcome of the check '{check_type}' of {event_type} {when}. get_available_qa_checks lists the "
        f"checks, get_available_dates the days.\n{error}"
    )


def get_qa_check_outcomes(
    connection: Server,
    event_type: str,
    check_type: str,
    start_date: str | datetime.date,
    end_date: str | datetime.date,
) -> Operation[list[dict[str, Any]]]:
    route = qa_route(event_type, check_type)
    params = {
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
    }
    try:
        reply = yield from fetch(connection, route, "Could not get qa check outcome", params)
    except FileNotFoundError as error:
        span = f"from {params['start_date']} to {params['end_date']}"
        raise _no_outcome(error, event_type, check_type, span) from None
    return parsed(connection, route, reply)


def get_qa_check_outcomes_df(
    connection: Server,
    event_type: str | None,
    check_type: str | None,
    start_date: str | datetime.date,
    end_date: str | datetime.date,
) -> Operation[pandas.DataFrame]:
    columns = ["cdr_date", "type_of_query_or_check", "outcome"]
    if event_type is None or check_type is None:
        columns.insert(0, "cdr_type")
        outcomes = yield from _outcomes_of_all(connection, event_type, check_type, start_date, end_date)
    else:
        outcomes = yield from get_qa_check_outcomes(connection, event_type, check_type, start_date, end_date)
    rows = numbers_by_check(outcomes)
    return table([{name: row.get(name) for name in columns} for row in rows], columns=columns)


def _outcomes_of_all(
    connection: Server,
    event_type: str | None,
    check_type: str | None,
    start_date: str | datetime.date,
    end_date: str | datetime.date,
) -> Operation[list[dict[str, Any]]]:
    """Return the outcomes of all checks of a type or name that have any."""
    checks = yield from get_available_qa_checks(connection, None if event_type is None else [event_type])
    found: list[dict[str, Any]] = []
    for check in checks:
        cdr_type, name = check["cdr_type"], check["type_of_query_or_check"]
        if check_type not in (None, name):
            continue
        try:
            outcomes = yield from get_qa_check_outcomes(connection, cdr_type, name, start_date, end_date)
        except FileNotFoundError:
            continue
        found += [{"cdr_type": cdr_type, **outcome} for outcome in outcomes]
    return found
