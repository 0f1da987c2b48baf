"""A connection to one FlowKit server under one token."""

from __future__ import annotations

import logging
import math
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from flowclient import display, replies
from flowclient.caller import warn_caller
from flowclient.errors import FlowclientConnectionError
from flowclient.exchange import Operation, Pause, Result, Send, perform
from flowclient.tokens import TokenClaims, read_token
from flowclient.transport import Reply, RequestsTransport, Timeout, Transport, TransportError, origin
from flowclient.units import units_allowed
from flowclient.values import writable

if TYPE_CHECKING:
    from flowclient.api_query import APIQuery

logger = logging.getLogger(__name__)

#: Statuses that pass by themselves; a GET may be repeated after them.
_TRANSIENT_STATUSES = frozenset({429, 502, 503, 504})
_INTERNAL = {"client_logger", "get", "holding", "patience", "perform", "post", "route_of", "route_url"}
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0


class Connection:
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
        How often a GET is repeated after a lost connection or a status of 429, 502, 503 or 504.
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

    #: What is said about queries comes from the module whose functions ask about them.
    client_logger = logging.getLogger("flowclient.client")

    def __init__(
        self,
        *,
        url: str,
        token: str,
        api_version: int = 0,
        ssl_certificate: str | bool | ssl.SSLContext | None = True,
        timeout: Timeout = (30.0, 60.0),
        retries: int = 3,
        transport: Transport | None = None,
    ) -> None:
        self.url = _server_address(url, api_version)
        self.api_version = api_version
        self.timeout = timeout
        self.retries = retries
        if not self.url.lower().startswith("https://"):
            warn_caller("Communications with this server are NOT SECURE.")
        base = self.route_url("")
        self._transport = transport if transport is not None else RequestsTransport(ssl_certificate, base)
        self.update_token(token)

    # -- who ---------------------------------------------------------------------------------------------------

    def update_token(self, token: str) -> None:
        """Use another token from the next request on, also while a query is being waited for.

        Raises
        ------
        FlowclientConnectionError
            If the token cannot be read or names no user; the connection then keeps the old one.
        """
        # A token read from a file often ends in a newline, which would be refused, and quoted, as a header.
        token = "".join(token.split()) if isinstance(token, str) else token
        self._claims: TokenClaims = read_token(token)
        self.token = token
        if isinstance(self._transport, RequestsTransport):
            self._transport.session.headers.update(self._headers())
        if self.token_expired:
            warn_caller(f"This token expired at {self.token_expires}. Give a new one to update_token.")

    @property
    def user(self) -> str:
        """Name of the user the token was given to."""
        return self._claims.user

    @property
    def token_expires(self) -> datetime | None:
        """When the token ends, in UTC; None if it does not say."""
        return self._claims.expires

    @property
    def token_expired(self) -> bool:
        """Whether the token has ended by this machine's clock."""
        return self.token_expires is not None and self.token_expires <= datetime.now(tz=timezone.utc)

    @property
    def permissions(self) -> dict[str, list[str]]:
        """The token's roles and their scopes, for reading only: the server decides."""
        return {role: list(scopes) for role, scopes in self._claims.permissions.items()}

    @property
    def session(self) -> Any:
        """The HTTP client underneath, for requests of one's own; blocking, also on an asynchronous connection.

        By default a :class:`requests.Session` that sends the token, to this server only. Addresses such as
        ``poll/<id>`` are relative to ``<url>/api/<version>/``.
        """
        return getattr(self._transport, "session", self._transport)

    def __repr__(self) -> str:
        return f"{self.user}@{self.url} v{self.api_version}"

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

    # -- how ---------------------------------------------------------------------------------------------------

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
        from flowclient.api_query import APIQuery

        return APIQuery(connection=self, parameters=parameters)

    def close(self) -> None:
        """Release the network connections."""
        self._transport.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- operations --------------------------------------------------------------------------------------------

    def perform(self, operation: Operation[Result]) -> Result:
        """Carry out an operation of :mod:`flowclient.operations`, blocking."""
        return perform(operation, self._transport)

    def get(self, route: str, data: Any = None, params: dict[str, str] | None = None) -> Operation[Reply]:
        """Operation behind :meth:`get_url`."""
        url = self.route_url(route)
        reply = yield from self._send("GET", url, data, params, attempts=1 + self.retries)
        if reply.status_code in (200, 202, 303):
            return reply
        if reply.status_code == 404:
            raise replies.not_found(reply, url, route)
        if reply.status_code in (401, 403):
            raise self._access_error(reply, url)
        raise replies.unexpected_get(reply, url)

    def post(self, route: str, data: Any, expected: int = 202) -> Operation[Reply]:
        """Operation behind :meth:`post_json`."""
        url = self.route_url(route)
        reply = yield from self._send("POST", url, data, None, attempts=1)
        if reply.status_code == expected:
            return reply
        if reply.status_code == 404:
            raise replies.not_found(reply, url, route)
        if reply.status_code in (401, 403):
            raise self._access_error(reply, url)
        raise replies.unexpected_post(reply, url, route, sent=data)

    @contextmanager
    def holding(self, seconds: float) -> Iterator[float]:
        """Give the seconds for which the server may hold a reply, at most those asked for, while it does."""
        yield seconds

    @property
    def patience(self) -> float:
        """Seconds that a reply may take to come."""
        read = self.timeout[1] if isinstance(self.timeout, tuple) else self.timeout
        return math.inf if read is None else read

    def route_url(self, route: str) -> str:
        """Return the whole address of a route."""
        return f"{self.url}/api/{self.api_version}/{route}"

    def route_of(self, location: str) -> str:
        """Return the route within this API that a ``Location`` header names.

        Raises
        ------
        FlowclientConnectionError
            If it is an address on another server.
        """
        parts = urlsplit(location)
        # The token must never be sent to wherever a reply points.
        if (parts.scheme or parts.netloc) and origin(location) != origin(self.url):
            raise FlowclientConnectionError(
                f"The server says that the result is at {location!r}, which is not on {self.url}.",
                url=self.url,
            )
        path = urlunsplit(("", "", parts.path, parts.query, ""))
        return re.sub(rf"^/api/{self.api_version}/", "", path)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def _send(
        self, method: str, url: str, data: Any, params: dict[str, str] | None, attempts: int
    ) -> Operation[Reply]:
        data = writable(data)
        pause = _FIRST_PAUSE
        for left in range(attempts - 1, -1, -1):
            wanted = pause
            try:
                reply: Reply = yield Send(method, url, self._headers, params, data, self.timeout)
            except TransportError as error:
                if not (left and error.transient):
                    cause = str(error).replace(self.token, "<token>")
                    logger.info("No reply from %s: %s", self.url, cause)
                    raise FlowclientConnectionError(
                        f"Unable to connect to FlowKit API at {self.url}: {cause}", url=url
                    ) from None
            else:
                if not (left and reply.status_code in _TRANSIENT_STATUSES):
                    return reply
                wanted = _retry_after(reply, otherwise=pause)
            yield Pause(min(wanted, _LONGEST_PAUSE))
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def _access_error(self, reply: Reply, url: str) -> FlowclientConnectionError:
        error = replies.access_error(reply, url)
        if reply.status_code == 401 and self.token_expired:
            error.args = (
                f"{error}\nThe token expired at {self.token_expires}. Give a new one to update_token.",
            )
        return error


def _server_address(url: str, api_version: int) -> str:
    """Return scheme, host, port and what leads to the API, without the API's own path."""
    address = url.strip().rstrip("/")
    parts = urlsplit(address)
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        raise ValueError(
            f"url = {url!r}: must be scheme, host and port, such as 'https://{address.rpartition('//')[2] or 'flowapi.example.org'}'."
        )
    ending = re.search(r"/api/(\d+)$", address)
    if ending is None:
        return address
    if int(ending[1]) != api_version:
        raise ValueError(
            f"url = {url!r}: ends in version {ending[1]} of the API, but api_version = {api_version}."
        )
    return address[: ending.start()].rstrip("/")


def _retry_after(reply: Reply, otherwise: float) -> float:
    """Return the seconds the server asks for; its date form is rare enough to be met with our own pause."""
    try:
        return max(0.0, float(reply.headers.get("Retry-After", "")))
    except ValueError:
        return otherwise
