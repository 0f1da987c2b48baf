"""Get a token by a short code that the user approves (RFC 8628)."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flowclient import replies
from flowclient.caller import warn_caller
from flowclient.errors import FlowclientConnectionError
from flowclient.exchange import Operation, Pause, Send, perform, perform_async
from flowclient.transport import Reply, RequestsTransport, Timeout, Transport, TransportError

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
_CLIENT = "flowclient"
_DEFAULT_INTERVAL = 5.0
_SLOWER = 5.0

#: Shows the user the address to open and the code to compare or enter there.
Show = Callable[[str, str], None]


def show(address: str, code: str) -> None:
    """Write the address and the code to the notebook's cell or the terminal."""
    sys.stdout.write(f"To connect, open {address}\nand check that the page shows the code {code}.\n")
    sys.stdout.flush()


def get_token(
    *,
    url: str,
    flowauth_url: str | None,
    ssl_certificate: str | bool | ssl.SSLContext | None,
    timeout: Timeout,
    transport: Transport | None = None,
    tell: Show = show,
) -> str:
    """Return the token that the user approves for the FlowKit server at ``url``.

    Raises
    ------
    FlowclientConnectionError
        If a server cannot be reached, the server names no authentication app, the user refuses, or the code
        ends.
    """
    through = transport if transport is not None else RequestsTransport(ssl_certificate)
    try:
        return perform(_grant(url, flowauth_url, timeout, tell), through)
    finally:
        if transport is None:
            through.close()


async def get_token_async(
    *,
    url: str,
    flowauth_url: str | None,
    ssl_certificate: str | bool | ssl.SSLContext | None,
    timeout: Timeout,
    transport: Transport | None = None,
    tell: Show = show,
) -> str:
    """Do as :func:`get_token` without blocking the event loop."""
    through = transport if transport is not None else RequestsTransport(ssl_certificate)
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="flowclient") as executor:
            return await perform_async(_grant(url, flowauth_url, timeout, tell), through, executor)
    finally:
        if transport is None:
            through.close()


def _grant(url: str, flowauth_url: str | None, timeout: Timeout, tell: Show) -> Operation[str]:
    resource = yield from _ask(
        "GET", f"{url.rstrip('/')}/.well-known/oauth-protected-resource", None, timeout
    )
    app = flowauth_url or next(iter(resource.get("authorization_servers") or ()), None)
    if not isinstance(app, str):
        raise FlowclientConnectionError(
            f"The server at {url} does not say where its authentication app is: give flowauth_url, or a token.",
            url=url,
        )
    if not app.lower().startswith("https://"):
        warn_caller("Communications with the authentication app are NOT SECURE.")
    endpoints = yield from _ask(
        "GET", f"{app.rstrip('/')}/.well-known/oauth-authorization-server", None, timeout
    )
    codes = yield from _ask(
        "POST",
        _text(endpoints, "device_authorization_endpoint", app),
        {"client_id": _CLIENT, "audience": _text(resource, "audience", url)},
        timeout,
    )
    address = codes.get("verification_uri_complete") or _text(codes, "verification_uri", app)
    tell(str(address), _text(codes, "user_code", app))
    return (yield from _poll(_text(endpoints, "token_endpoint", app), codes, app, timeout))


def _poll(endpoint: str, codes: dict[str, Any], app: str, timeout: Timeout) -> Operation[str]:
    interval = float(codes.get("interval") or _DEFAULT_INTERVAL)
    until = time.monotonic() + float(codes.get("expires_in") or 0)
    body = {
        "grant_type": GRANT_TYPE,
        "client_id": _CLIENT,
        "device_code": _text(codes, "device_code", app),
    }
    while time.monotonic() < until:
        yield Pause(interval)
        try:
            reply: Reply = yield Send("POST", endpoint, dict, None, body, timeout)
        except TransportError as error:
            # The user may need minutes, and a network that fails meanwhile may come back.
            if not error.transient:
                raise _unreachable(endpoint, error) from None
            continue
        answer = replies.json_object(reply)
        if reply.status_code == 200:
            return _text(answer, "access_token", app)
        if answer.get("error") == "slow_down":
            interval += _SLOWER
        elif answer.get("error") != "authorization_pending" and reply.status_code not in (429, 502, 503, 504):
            raise replies.unexpected_get(reply, endpoint)
    raise FlowclientConnectionError("Nobody approved the code before it ended. Connect again.", url=endpoint)


def _ask(method: str, url: str, body: Any, timeout: Timeout) -> Operation[dict[str, Any]]:
    try:
        reply: Reply = yield Send(method, url, dict, None, body, timeout)
    except TransportError as error:
        raise _unreachable(url, error) from None
    if reply.status_code == 404 and body is None:
        raise FlowclientConnectionError(f"{url} is not there: this server is older. Give a token.", url=url)
    if reply.status_code != 200:
        raise replies.unexpected_get(reply, url)
    return replies.json_object(reply)


def _unreachable(url: str, error: TransportError) -> FlowclientConnectionError:
    return FlowclientConnectionError(f"Unable to connect to {url}: {error}", url=url)


def _text(answer: dict[str, Any], key: str, url: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or not value:
        raise FlowclientConnectionError(f"The reply of {url} has no {key}.", url=url)
    return value
