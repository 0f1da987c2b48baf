"""Implement each client operation once as a generator of requests and pauses.

See :mod:`flowclient.exchange`.

:mod:`flowclient.client` performs them blocking, :mod:`flowclient.async_client` on an event loop; both document them.
"""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flowclient import checks, replies
from flowclient.errors import (
    FlowclientConnectionError,
    PermissionDeniedError,
    QueryTimeoutError,
    QueryValidationError,
)
from flowclient.exchange import Operation, Pause
from flowclient.frames import table, with_metadata
from flowclient.kinds import INSIDE, RESULT_COLUMNS
from flowclient.progress import PartsBar
from flowclient.server import Server
from flowclient.transport import Reply
from flowclient.units import nearest_unit, units_allowed

if TYPE_CHECKING:
    import pandas

_FIRST_ADAPTIVE_INTERVAL = 0.2
_LONGEST_ADAPTIVE_INTERVAL = 5.0
#: Seconds that a server holds a poll at most.
_LONGEST_WAIT = 30.0

# -- running and waiting -----------------------------------------------------------------------------------------


def run_query(connection: Server, query_spec: Mapping[str, Any]) -> Operation[str]:
    try:
        reply = yield from connection.post("run", dict(query_spec), idempotent=True)
    except (PermissionDeniedError, QueryValidationError) as error:
        _say_what_to_do(error, connection, query_spec)
        raise
    except FlowclientConnectionError as error:
        if error.status_code is not None and 200 <= error.status_code < 300:
            raise FlowclientConnectionError(
                f"Error running the query: {error.msg or 'Unknown error'}. Status code: {error.status_code}.",
                status_code=error.status_code,
                url=error.url,
            ) from None
        raise
    location = reply.headers.get("Location", "")
    query_id = location.rpartition("/")[2]
    if not query_id:
        raise replies.malformed(
            reply, connection.route_url("run"), "The reply to the query does not say where it is."
        )
    return query_id


def _say_what_to_do(
    error: FlowclientConnectionError, connection: Server, query_spec: Mapping[str, Any]
) -> None:
    """Prefix a refusal with help: the kind's use, its name or the allowed units."""
    kind = str(query_spec.get("query_kind"))
    if kind in INSIDE:
        said = f"A '{kind}' is computed only inside another query: give it to {INSIDE[kind]}."
        error.args = (f"{said}\n{error}",)
        return
    if kind not in RESULT_COLUMNS:
        alike = difflib.get_close_matches(kind, [*RESULT_COLUMNS, *INSIDE], n=1)
        if alike:
            error.args = (f"query_kind = '{kind}': did you mean '{alike[0]}'?\n{error}",)
        return
    allowed = units_allowed(connection.permissions).get(kind, [])
    nearest = nearest_unit(query_spec, allowed)
    if nearest is not None and isinstance(error, PermissionDeniedError):
        error.args = (f"{error}\nThis token allows '{kind}' at aggregation unit '{nearest}'.",)


def poll(connection: Server, query_id: str, wait: float = 0) -> Operation[tuple[bool, Reply]]:
    """Ask whether a query is ready.

    A server that can holds the reply for ``wait`` seconds or until the state changes.
    """
    route = f"poll/{quote(query_id, safe='')}"
    # Held for longer than the connection waits for a reply, it would be taken to be lost.
    held = min(wait, _LONGEST_WAIT, connection.patience / 2)
    reply = yield from connection.get(route, params={"wait": f"{held:g}"} if held > 0 else None)
    if reply.status_code == 303:
        return True, reply
    if reply.status_code != 202:
        raise replies.unexpected_get(reply, connection.route_url(route))
    progress = progress_in(reply)
    connection.client_logger.info(
        "Query %s is not ready: %s parts to run, %s queued, %s running.",
        query_id,
        progress["eligible"],
        progress["queued"],
        progress["running"],
    )
    return False, reply


def progress_in(reply: Reply) -> dict[str, int]:
    """Return the three counts of parts in a poll's reply; a count that is absent is 0."""
    progress = replies.json_object(reply).get("progress")
    counts = progress if isinstance(progress, dict) else {}
    return {name: int(counts.get(name) or 0) for name in ("eligible", "queued", "running")}


def get_status(connection: Server, query_id: str) -> Operation[str]:
    try:
        reply = yield from connection.get(f"poll/{quote(query_id, safe='')}")
    except FileNotFoundError:
        return "not_running"
    if reply.status_code == 303:
        return "completed"
    try:
        return str(replies.json_object(reply)["status"])
    except KeyError:
        raise replies.malformed(
            reply, connection.route_url(f"poll/{query_id}"), "No status reported."
        ) from None


def wait_until_ready(
    connection: Server,
    query_id: str,
    poll_interval: float | None = 1,
    disable_progress: bool | None = None,
    timeout: float | None = None,
    bar: PartsBar | None = None,
) -> Operation[Reply]:
    deadline = None if timeout is None else time.monotonic() + timeout
    intervals = _intervals(poll_interval)
    # A bar that was passed in is shared with other queries and closed by its creator.
    with PartsBar(disable_progress) if bar is None else nullcontext(bar) as shown, _a_way_back(query_id):
        pause, status = 0.0, None
        while True:
            asked = time.monotonic()
            with connection.holding(pause) as held:
                ready, reply = yield from poll(connection, query_id, wait=held)
            if ready:
                shown.finish(query_id)
                return reply
            shown.report(query_id, progress_in(reply))
            # A server that does not know how to wait has answered at once, and with the same as before.
            early = pause - (time.monotonic() - asked)
            former, status = status, replies.json_object(reply).get("status")
            if early > 0 and status == former:
                yield Pause(early)
            pause = next(intervals)
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise QueryTimeoutError(
                        f"Query {query_id} was not ready after {timeout} seconds. It keeps running.",
                        query_id=query_id,
                    )
                pause = min(pause, left)


def _intervals(poll_interval: float | None) -> Iterator[float]:
    interval = _FIRST_ADAPTIVE_INTERVAL if poll_interval is None else poll_interval
    while True:
        yield interval
        if poll_interval is None:
            interval = min(interval * 1.5, _LONGEST_ADAPTIVE_INTERVAL)


@contextmanager
def _a_way_back(query_id: str) -> Iterator[None]:
    """Make an interrupt say how to return to the query, which goes on."""
    try:
        yield
    # An interrupt of an event loop arrives as a cancellation; the same exception goes on, for the loop knows it.
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        way_back = (
            f"Query {query_id} keeps running on the server. Get its result later by running the same query again or with "
            f"get_result_by_query_id(connection=..., query_id={query_id!r}), or stop it with cancel()."
        )
        error.args = ("\n".join([*map(str, error.args), way_back]),)
        raise


def result_location(
    connection: Server,
    query_id: str,
    poll_interval: float | None = 1,
    disable_progress: bool | None = None,
    timeout: float | None = None,
    bar: PartsBar | None = None,
) -> Operation[str]:
    reply = yield from wait_until_ready(
        connection, query_id, poll_interval, disable_progress, timeout=timeout, bar=bar
    )
    location = reply.headers.get("Location")
    if not location:
        raise replies.malformed(
            reply, connection.route_url(f"poll/{query_id}"), "The reply does not say where the result is."
        )
    return connection.route_of(location)


def cancel(connection: Server, query_id: str) -> Operation[dict[str, Any]]:
    reply = yield from connection.post(f"cancel/{quote(query_id, safe='')}", {}, 200, idempotent=True)
    return replies.json_object(reply)


def explain(connection: Server, query_spec: Mapping[str, Any]) -> Operation[dict[str, Any]]:
    try:
        reply = yield from connection.post("explain", dict(query_spec), 200, idempotent=True)
    except (PermissionDeniedError, QueryValidationError) as error:
        _say_what_to_do(error, connection, query_spec)
        raise
    return replies.json_object(reply)


def check(connection: Server, query_spec: Mapping[str, Any]) -> Operation[list[str]]:
    description = yield from get_service_description(connection)
    schemas = description.get("components", {}).get("schemas", {})
    found = checks.specification_problems(query_spec, schemas)
    found += [
        f"The token lacks {scope}."
        for scope in checks.missing_scopes(query_spec, connection.permissions, schemas)
    ]
    try:
        available = yield from get_available_dates(connection)
    except PermissionDeniedError:
        return found
    return found + [f"No data for {day}." for day in checks.missing_days(query_spec, available)]


# -- results -----------------------------------------------------------------------------------------------------


def fetch(connection: Server, route: str, what: str, params: Any = None) -> Operation[Reply]:
    """GET what must be there whole: 200 or an error that begins with ``what``."""
    reply = yield from connection.get(route, params=params)
    if reply.status_code != 200:
        raise replies.unfinished(reply, connection.route_url(route), what)
    return reply


def parsed(connection: Server, route: str, reply: Reply) -> Any:
    try:
        return reply.json()
    except ValueError:
        raise replies.malformed(
            reply, connection.route_url(route), f"The reply to '{route}' is not valid JSON."
        ) from None


def _member(connection: Server, route: str, reply: Reply, name: str) -> Any:
    body = parsed(connection, route, reply)
    if not isinstance(body, dict) or name not in body:
        raise replies.malformed(
            reply, connection.route_url(route), f"The reply to '{route}' has no '{name}'."
        )
    return body[name]


def get_records(connection: Server, location: str) -> Operation[tuple[list[dict[str, Any]], Any]]:
    """Return the rows of a result, and the metadata beside them, if any."""
    reply = yield from fetch(connection, location, "Could not get result")
    return _member(connection, location, reply, "query_result"), reply.json().get("metadata")


def get_json_dataframe(connection: Server, location: str) -> Operation[pandas.DataFrame]:
    records, metadata = yield from get_records(connection, location)
    return with_metadata(table(records), metadata)


def get_geojson(connection: Server, location: str) -> Operation[dict[str, Any]]:
    route = f"{location}.geojson"
    reply = yield from fetch(connection, route, "Could not get result")
    return parsed(connection, route, reply)


def get_file(connection: Server, location: str, ending: str) -> Operation[bytes]:
    reply = yield from fetch(connection, f"{location}.{ending}", "Could not get result")
    return reply.content


def get_result_by_query_id(
    connection: Server, query_id: str, poll_interval: float | None, disable_progress: bool | None
) -> Operation[pandas.DataFrame]:
    location = yield from result_location(connection, query_id, poll_interval, disable_progress)
    return (yield from get_json_dataframe(connection, location))


def get_geojson_result_by_query_id(
    connection: Server, query_id: str, poll_interval: float | None, disable_progress: bool | None
) -> Operation[dict[str, Any]]:
    location = yield from result_location(connection, query_id, poll_interval, disable_progress)
    return (yield from get_geojson(connection, location))


def get_result(
    connection: Server,
    query_spec: Mapping[str, Any],
    disable_progress: bool | None,
    poll_interval: float | None,
) -> Operation[pandas.DataFrame]:
    query_id = yield from run_query(connection, query_spec)
    return (yield from get_result_by_query_id(connection, query_id, poll_interval, disable_progress))


def get_geojson_result(
    connection: Server,
    query_spec: Mapping[str, Any],
    disable_progress: bool | None,
    poll_interval: float | None,
) -> Operation[dict[str, Any]]:
    query_id = yield from run_query(connection, query_spec)
    return (yield from get_geojson_result_by_query_id(connection, query_id, poll_interval, disable_progress))


def get_geography(connection: Server, aggregation_unit: str, format: str = "geojson") -> Operation[Any]:
    if format not in ("geojson", "geopandas"):
        raise ValueError(f"Invalid format: '{format}'. Expected one of {{'geojson', 'geopandas'}}.")
    route = f"geography/{quote(aggregation_unit, safe='')}"
    try:
        reply = yield from fetch(connection, route, "Could not get result")
    except PermissionDeniedError as error:
        units = yield from _units_or_none(connection)
        if units and aggregation_unit not in units:
            allowed = ", ".join(units)
            error.args = (f"aggregation_unit = '{aggregation_unit}': must be one of {allowed}.\n{error}",)
        raise
    collection = parsed(connection, route, reply)
    if format == "geopandas":
        from flowclient.maps import geodataframe

        return geodataframe(collection)
    return collection


def _units_or_none(connection: Server) -> Operation[list[str]]:
    try:
        return (yield from get_aggregation_units(connection))
    except (FlowclientConnectionError, FileNotFoundError):
        return []


# -- what there is to ask ----------------------------------------------------------------------------------------


def get_available_dates(
    connection: Server, event_types: list[str] | None = None
) -> Operation[dict[str, list[str]]]:
    reply = yield from fetch(connection, "available_dates", "Could not get available dates")
    dates = _member(connection, "available_dates", reply, "available_dates")
    return {name: days for name, days in dates.items() if event_types is None or name in event_types}


def get_available_dates_df(
    connection: Server, event_types: list[str] | None = None
) -> Operation[pandas.DataFrame]:
    import pandas

    dates = yield from get_available_dates(connection, event_types)
    days = sorted({day for of_type in dates.values() for day in of_type})
    index = pandas.DatetimeIndex(days, name="date").as_unit("us")
    return pandas.DataFrame(
        {name: index.isin(pandas.DatetimeIndex(of_type)) for name, of_type in dates.items()}, index=index
    )


def get_loads(connection: Server) -> Operation[dict[str, Any]]:
    reply = yield from fetch(connection, "loads", "Could not get the loads")
    return {name: _member(connection, "loads", reply, name) for name in ("loads", "cells_version")}


def get_service_description(connection: Server) -> Operation[dict[str, Any]]:
    reply = yield from fetch(connection, "spec/openapi.json", "Could not get service description")
    return parsed(connection, "spec/openapi.json", reply)


def _offered_scopes(connection: Server) -> Operation[list[str]]:
    description = yield from get_service_description(connection)
    schemes = description.get("components", {}).get("securitySchemes", {})
    return list(schemes.get("token", {}).get("x-security-scopes", []))


def get_aggregation_units(connection: Server) -> Operation[list[str]]:
    scopes = yield from _offered_scopes(connection)
    units = {scope.partition(":")[0] for scope in scopes if scope.count(":") == 2}
    return sorted(units - {"nonspatial"})


def get_available_queries(connection: Server) -> Operation[dict[str, list[str]]]:
    offered = yield from _offered_scopes(connection)
    on_offer = units_allowed({"server": ["run", *offered]})
    allowed = units_allowed(connection.permissions)
    both = {
        kind: [unit for unit in units if unit in on_offer.get(kind, [])] for kind, units in allowed.items()
    }
    return {kind: units for kind, units in sorted(both.items()) if units}


def get_queries(connection: Server) -> Operation[list[dict[str, Any]]]:
    reply = yield from fetch(connection, "queries", "Could not get queries")
    return _member(connection, "queries", reply, "queries")
