"""Provide blocking functions over a connection.

:mod:`flowclient.async_client` has each of them as a coroutine.

All raise :class:`~flowclient.errors.FlowclientConnectionError` if the server cannot be reached or refuses, and
:class:`FileNotFoundError` where it knows nothing of what was asked.
"""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowclient import device, operations, quality
from flowclient.connection import Connection
from flowclient.errors import FlowclientConnectionError
from flowclient.transport import Reply, Timeout, Transport

if TYPE_CHECKING:
    import pandas

__all__ = [
    "FlowclientConnectionError",
    "connect",
    "get_aggregation_units",
    "get_available_dates",
    "get_available_dates_df",
    "get_available_qa_checks",
    "get_available_qa_checks_df",
    "get_available_queries",
    "get_geography",
    "get_geojson_result",
    "get_geojson_result_by_query_id",
    "get_json_dataframe",
    "get_loads",
    "get_qa_check_outcome",
    "get_qa_check_outcomes",
    "get_qa_check_outcomes_df",
    "get_queries",
    "get_result",
    "get_result_by_query_id",
    "get_result_location_from_id_when_ready",
    "get_status",
    "query_is_ready",
    "run_query",
    "wait_for_query_to_be_ready",
]


def connect(
    *,
    url: str,
    token: str | None = None,
    api_version: int = 0,
    ssl_certificate: str | bool | ssl.SSLContext | None = True,
    timeout: Timeout = (30.0, 60.0),
    retries: int = 3,
    transport: Transport | None = None,
    flowauth_url: str | None = None,
) -> Connection:
    """Return a connection to a FlowKit server.

    With a token, nothing is sent yet. Without one, an address and a short code are printed; open the address,
    sign in to the authentication app and approve the code. The function waits for that.

    Parameters
    ----------
    url : str
        Scheme, host and port, such as ``https://flowapi.example.org:9090``.
    token : str, optional
        JSON Web Token from the server's authentication app.
    api_version : int
        Version of the HTTP API.
    ssl_certificate : str, bool, ssl.SSLContext or None
        Path of a CA file; True or None checks against the system's roots, or those that the
        environment variables ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name; False checks nothing and warns.
    timeout : float, (float, float) or None
        Seconds to connect and to wait for bytes. None waits for ever.
    retries : int
        How often reading, running, explaining and cancelling are repeated after a lost connection, or a status of
        429, 502 or 503; reading also after 504.
    transport : Transport, optional
        What sends the requests; by default HTTP as described above.
    flowauth_url : str, optional
        Scheme, host and port of the authentication app, if there is no token and the server does not name the
        app.

    Raises
    ------
    FlowclientConnectionError
        If the token cannot be read or names no user; if the user refuses or the code ends.
    TypeError, OSError
        If ``ssl_certificate`` is none of these, such as 0; if its path leads to no certificates.
    """
    if token is None:
        token = device.get_token(
            url=url,
            flowauth_url=flowauth_url,
            ssl_certificate=ssl_certificate,
            timeout=timeout,
            transport=transport,
        )
    return Connection(
        url=url,
        token=token,
        api_version=api_version,
        ssl_certificate=ssl_certificate,
        timeout=timeout,
        retries=retries,
        transport=transport,
    )


def run_query(*, connection: Connection, query_spec: Mapping[str, Any]) -> str:
    """Ask the server to run a query and return its id. Running it again costs nothing."""
    return connection.perform(operations.run_query(connection, query_spec))


def query_is_ready(*, connection: Connection, query_id: str) -> tuple[bool, Reply]:
    """Return whether a query's result is there, and the reply that says so."""
    return connection.perform(operations.poll(connection, query_id))


def get_status(*, connection: Connection, query_id: str) -> str:
    """Return ``not_running``, ``queued``, ``executing`` or ``completed``.

    A query that failed raises.
    """
    return connection.perform(operations.get_status(connection, query_id))


def wait_for_query_to_be_ready(
    *,
    connection: Connection,
    query_id: str,
    poll_interval: float | None = 1,
    disable_progress: bool | None = None,
) -> Reply:
    """Wait until a query's result is there and return the last reply.

    Parameters
    ----------
    connection : Connection
        The server.
    query_id : str
        The query.
    poll_interval : float or None
        Seconds between two looks; None starts with short ones and grows them.
    disable_progress : bool or None
        True shows no progress bar, False always one, None one on a terminal or in a notebook.

    Raises
    ------
    QueryFailedError, QueryCancelledError
        If the query ends without a result.
    """
    return connection.perform(
        operations.wait_until_ready(connection, query_id, poll_interval, disable_progress)
    )


def get_result_location_from_id_when_ready(
    *,
    connection: Connection,
    query_id: str,
    poll_interval: float | None = 1,
    disable_progress: bool | None = None,
) -> str:
    """Wait until a query's result is available and return its route.

    See :func:`wait_for_query_to_be_ready`.
    """
    return connection.perform(
        operations.result_location(connection, query_id, poll_interval, disable_progress)
    )


def get_json_dataframe(*, connection: Connection, location: str) -> pandas.DataFrame:
    """Return the result at a route as a table, one row per record."""
    return connection.perform(operations.get_json_dataframe(connection, location))


def get_result_by_query_id(
    *,
    connection: Connection,
    query_id: str,
    poll_interval: float | None = 1,
    disable_progress: bool | None = None,
) -> pandas.DataFrame:
    """Wait for a query that was run and return its result.

    See :func:`wait_for_query_to_be_ready`.
    """
    return connection.perform(
        operations.get_result_by_query_id(connection, query_id, poll_interval, disable_progress)
    )


def get_geojson_result_by_query_id(
    *,
    connection: Connection,
    query_id: str,
    poll_interval: float | None = 1,
    disable_progress: bool | None = None,
) -> dict[str, Any]:
    """Wait for a query that was run and return a GeoJSON FeatureCollection."""
    return connection.perform(
        operations.get_geojson_result_by_query_id(connection, query_id, poll_interval, disable_progress)
    )


def get_result(
    *,
    connection: Connection,
    query_spec: Mapping[str, Any],
    disable_progress: bool | None = None,
    poll_interval: float | None = 1,
) -> pandas.DataFrame:
    """Run a query, wait for it and return its result as a table."""
    return connection.perform(operations.get_result(connection, query_spec, disable_progress, poll_interval))


def get_geojson_result(
    *,
    connection: Connection,
    query_spec: Mapping[str, Any],
    disable_progress: bool | None = None,
    poll_interval: float | None = 1,
) -> dict[str, Any]:
    """Run a query, wait for it and return its result as a GeoJSON FeatureCollection."""
    return connection.perform(
        operations.get_geojson_result(connection, query_spec, disable_progress, poll_interval)
    )


def get_geography(*, connection: Connection, aggregation_unit: str, format: str = "geojson") -> Any:
    """Return the areas of an aggregation unit, in WGS 84.

    Parameters
    ----------
    connection : Connection
        The server.
    aggregation_unit : str
        ``admin0`` to ``admin3`` or ``lon-lat``.
    format : str
        ``geojson`` for a FeatureCollection, ``geopandas`` for a GeoDataFrame.

    Returns
    -------
    dict or geopandas.GeoDataFrame
        For each area its ``pcod``, ``name``, ``parent`` (the code of the area that it lies in) and ``parent_name``;
        for each point its ``lon`` and ``lat``.
    """
    return connection.perform(operations.get_geography(connection, aggregation_unit, format))


def get_available_dates(
    *, connection: Connection, event_types: list[str] | None = None
) -> dict[str, list[str]]:
    """Return the days that have data, as ISO text by event type; None means all types."""
    return connection.perform(operations.get_available_dates(connection, event_types))


def get_available_dates_df(
    *, connection: Connection, event_types: list[str] | None = None
) -> pandas.DataFrame:
    """Return the days with data as a table of booleans.

    There is a row per date and a column per event type.
    """
    return connection.perform(operations.get_available_dates_df(connection, event_types))


def get_loads(*, connection: Connection) -> dict[str, Any]:
    """Return when each day with data was loaded.

    Returns
    -------
    dict
        ``loads``, a list of dictionaries with ``event_type``, ``date``, ``load_id``, ``loaded_at``, ``first_loaded_at`` and
        ``times_loaded``, by event type and date; a day that is loaded again has another ``load_id``. ``cells_version``, a number that grows with each
        change of the cells.
    """
    return connection.perform(operations.get_loads(connection))


def get_available_qa_checks(
    *, connection: Connection, event_types: list[str] | None = None
) -> list[dict[str, str]]:
    """Return the quality checks that have outcomes.

    Each is ``cdr_type`` and ``type_of_query_or_check``.
    """
    return connection.perform(quality.get_available_qa_checks(connection, event_types))


def get_available_qa_checks_df(
    *, connection: Connection, event_types: list[str] | None = None
) -> pandas.DataFrame:
    """Return the quality checks that have outcomes as a table."""
    return connection.perform(quality.get_available_qa_checks_df(connection, event_types))


def get_qa_check_outcome(
    *, connection: Connection, event_type: str, check_type: str, event_date: str | datetime.date
) -> str:
    """Return the outcome of one quality check on one day, as text."""
    return connection.perform(quality.get_qa_check_outcome(connection, event_type, check_type, event_date))


def get_qa_check_outcomes(
    *,
    connection: Connection,
    event_type: str,
    check_type: str,
    start_date: str | datetime.date,
    end_date: str | datetime.date,
) -> list[dict[str, str]]:
    """Return the outcomes of a quality check from start to end, both days included."""
    return connection.perform(
        quality.get_qa_check_outcomes(connection, event_type, check_type, start_date, end_date)
    )


def get_qa_check_outcomes_df(
    *,
    connection: Connection,
    event_type: str | None,
    check_type: str | None,
    start_date: str | datetime.date,
    end_date: str | datetime.date,
) -> pandas.DataFrame:
    """Return the outcomes of quality checks as a table.

    Dates are dates, and numeric outcomes are numbers.

    Parameters
    ----------
    connection : Connection
        The server.
    event_type, check_type : str or None
        One check. None stands for all types, or all checks; the table then has a column ``cdr_type``, and checks
        without an outcome have no rows.
    start_date, end_date : str or datetime.date
        The first and the last day.
    """
    return connection.perform(
        quality.get_qa_check_outcomes_df(connection, event_type, check_type, start_date, end_date)
    )


def get_aggregation_units(*, connection: Connection) -> list[str]:
    """Return the aggregation units that the server offers."""
    return connection.perform(operations.get_aggregation_units(connection))


def get_available_queries(*, connection: Connection) -> dict[str, list[str]]:
    """Return the kinds of query that this token may run, with their units."""
    return connection.perform(operations.get_available_queries(connection))


def get_queries(*, connection: Connection) -> list[dict[str, Any]]:
    """Return the queries that this user has run, with their states."""
    return connection.perform(operations.get_queries(connection))
