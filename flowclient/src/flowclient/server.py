"""One FlowKit server under one token, as the operations see it."""

from __future__ import annotations

import logging
import math
import re
import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flowclient import replies
from flowclient.caller import warn_caller
from flowclient.errors import FlowclientConnectionError
from flowclient.exchange import Operation, Pause, Result, Send
from flowclient.tokens import TokenClaims, read_token
from flowclient.transport import Reply, RequestsTransport, Timeout, Transport, TransportError, origin
from flowclient.values import writable

# By the name of the module that users know, for it is what they switch on and off.
logger = logging.getLogger("flowclient.connection")

#: Statuses that pass by themselves, after which a request may be repeated.
_TRANSIENT_STATUSES = frozenset({429, 502, 503, 504})
#: After 504 the work that a POST asked for may still be under way, and would be done twice.
_REFUSING_STATUSES = _TRANSIENT_STATUSES - {504}
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0


class Server(ABC):
    """Hold a connection's address, token and requests.

    Its subclasses add how to perform operations.

    Parameters are those of :class:`~flowclient.connection.Connection`.
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
        """Use another token from the next request on, also during a wait.

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
        """Return whether the token has expired by this machine's clock."""
        return self.token_expires is not None and self.token_expires <= datetime.now(tz=timezone.utc)

    @property
    def permissions(self) -> dict[str, list[str]]:
        """The token's roles and their scopes, for reading only: the server decides."""
        return {role: list(scopes) for role, scopes in self._claims.permissions.items()}

    @property
    def session(self) -> Any:
        """Return the HTTP client for your own requests.

        It is blocking, also on an asynchronous connection.

        By default a :class:`requests.Session` that sends the token, to this server only. Addresses such as
        ``poll/<id>`` are relative to ``<url>/api/<version>/``.
        """
        return getattr(self._transport, "session", self._transport)

    def __repr__(self) -> str:
        return f"{self.user}@{self.url} v{self.api_version}"

    # -- operations --------------------------------------------------------------------------------------------

    @abstractmethod
    def perform(self, operation: Operation[Result]) -> Result:
        """Carry out an operation of :mod:`flowclient.operations`."""

    def get(self, route: str, data: Any = None, params: dict[str, str] | None = None) -> Operation[Reply]:
        """GET a route; repeated after errors that pass by themselves."""
        url = self.route_url(route)
        reply = yield from self._send("GET", url, data, params, attempts=1 + self.retries)
        if reply.status_code in (200, 202, 303):
            return reply
        if reply.status_code == 404:
            raise replies.not_found(reply, url, route)
        if reply.status_code in (401, 403):
            raise self._access_error(reply, url)
        raise replies.unexpected_get(reply, url)

    def post(
        self, route: str, data: Any, expected: int = 202, *, idempotent: bool = False
    ) -> Operation[Reply]:
        """POST JSON to a route, once; if ``idempotent``, repeated as a GET is."""
        url = self.route_url(route)
        reply = yield from self._send(
            "POST", url, data, None, attempts=1 + self.retries * idempotent, transient=_REFUSING_STATUSES
        )
        if reply.status_code == expected:
            return reply
        if reply.status_code == 404:
            raise replies.not_found(reply, url, route)
        if reply.status_code in (401, 403):
            raise self._access_error(reply, url)
        raise replies.unexpected_post(reply, url, route, sent=data)

    @contextmanager
    def holding(self, seconds: float) -> Iterator[float]:
        """Provide the seconds for which the server may hold a reply.

        They are at most the seconds asked for.
        """
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
        self,
        method: str,
        url: str,
        data: Any,
        params: dict[str, str] | None,
        attempts: int,
        transient: frozenset[int] = _TRANSIENT_STATUSES,
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
                if not (left and reply.status_code in transient):
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
    """Return the seconds that the server asks for.

    Its rare date form is answered with our own pause.
    """
    try:
        return max(0.0, float(reply.headers.get("Retry-After", "")))
    except ValueError:
        return otherwise
