"""What can go wrong between a script and a FlowKit server.

Everything derives from :class:`FlowclientConnectionError`, so one ``except`` line catches all of it.
"""

from __future__ import annotations

from typing import Any


class FlowclientConnectionError(Exception):
    """Report an unreachable server, a refused request or an unexpected answer.

    Attributes
    ----------
    status_code : int or None
        HTTP status of the reply, None if there was none.
    msg : str or None
        The server's own words.
    payload : dict or None
        Details of a refusal.
    request_id : str or None
        Identifies the request in the server's logs.
    url : str or None
        What was asked for.
    query_id : str or None
        The query concerned, where there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        msg: str | None = None,
        payload: Any = None,
        request_id: str | None = None,
        url: str | None = None,
        query_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.msg = msg
        self.payload = payload
        self.request_id = request_id
        self.url = url
        self.query_id = query_id


class AuthenticationError(FlowclientConnectionError):
    """The server did not accept the token (401)."""


class PermissionDeniedError(FlowclientConnectionError):
    """The token does not cover the request (403)."""


class QueryValidationError(FlowclientConnectionError):
    """Report that the server refused a query's specification (400).

    The text has one line per problem, then the whole reply.
    """


class QueryFailedError(FlowclientConnectionError):
    """The query ended in an error on the server; the text carries the cause."""


class QueryCancelledError(FlowclientConnectionError):
    """The query was cancelled on the server."""


class QueryTimeoutError(FlowclientConnectionError):
    """Report that the time to wait has passed.

    The query keeps running; its id is in ``query_id``.
    """


class QueryNotFoundError(FlowclientConnectionError, FileNotFoundError):
    """The server knows no such query, or it was never run."""
