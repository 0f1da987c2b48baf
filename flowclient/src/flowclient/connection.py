"""Connect to one FlowKit server with one token."""

from __future__ import annotations

from typing import Any

from flowclient import display
from flowclient.api_query import APIQuery
from flowclient.exchange import Operation, Result, perform
from flowclient.server import Server
from flowclient.transport import Reply
from flowclient.units import units_allowed

_INTERNAL = {"client_logger", "get", "holding", "patience", "perform", "post", "route_of", "route_url"}


class Connection(Server):
    """A FlowKit server as one user sees it. Nothing is sent when it is made.

    Parameters
    ----------
    url : str
        Scheme, host and port, such as ``https://flowapi.example.org:9090``.
    token : str
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

    Raises
    ------
    FlowclientConnectionError
        If the token cannot be read or names no user.
    TypeError, OSError
        If ``ssl_certificate`` is none of these, such as 0; if its path leads to no certificates.
    ValueError
        If ``url`` does not begin with ``http://`` or ``https://``. An ending such as ``/api/0`` is dropped.

    Warns
    -----
    UserWarning
        If the connection is not encrypted, not checked, or the token has expired.
    """

    def _repr_html_(self) -> str:
        return display.connection_card(
            url=self.url,
            user=self.user,
            api_version=self.api_version,
            expires=self.token_expires,
            expired=self.token_expired,
            kinds=len(units_allowed(self.permissions)),
        )

    def __dir__(self) -> list[str]:
        """What there is for scripts; the parts that operations are made of are left out."""
        return sorted(set(super().__dir__()) - _INTERNAL)

    def get_url(self, *, route: str, data: Any = None, params: dict[str, str] | None = None) -> Reply:
        """GET a route below ``<url>/api/<version>/``; redirects are not followed.

        Returns
        -------
        Reply
            The response, its status 200, 202 or 303.

        Raises
        ------
        FileNotFoundError
            If the server answers 404.
        FlowclientConnectionError
            On any other status, or no reply.
        """
        return self.perform(self.get(route, data=data, params=params))

    def post_json(self, *, route: str, data: Any) -> Reply:
        """POST JSON to a route below ``<url>/api/<version>/``.

        Returns
        -------
        Reply
            The response, its status 202.

        Raises
        ------
        FileNotFoundError
            If the server answers 404.
        FlowclientConnectionError
            On any other status, or no reply.
        """
        return self.perform(self.post(route, data))

    def make_api_query(self, parameters: dict[str, Any]) -> APIQuery:
        """Return the query that ``parameters`` describe; nothing is sent."""
        return APIQuery(connection=self, parameters=parameters)

    def perform(self, operation: Operation[Result]) -> Result:
        """Carry out an operation of :mod:`flowclient.operations`, blocking."""
        return perform(operation, self._transport)

    def close(self) -> None:
        """Release the network connections."""
        self._transport.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
