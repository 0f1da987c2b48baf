"""Tokens for scripts, from the authentication app's own API."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import quote

from flowclient import replies
from flowclient.caller import warn_caller
from flowclient.errors import FlowclientConnectionError
from flowclient.transport import Reply, RequestsTransport, Timeout, Transport, TransportError


def get_token(
    *,
    flowauth_url: str,
    username: str,
    password: str,
    server: str,
    roles: list[str],
    nickname: str,
    lifetime: int | None = None,
    two_factor_code: str | None = None,
    ssl_certificate: str | bool | ssl.SSLContext | None = True,
    timeout: Timeout = (30.0, 60.0),
    transport: Transport | None = None,
) -> str:
    """Log in to the authentication app and return a new token.

    Parameters
    ----------
    flowauth_url : str
        Scheme, host and port of the authentication app.
    username, password : str
        Of the app's user.
    server : str
        Name of the FlowKit server that the token is for.
    roles : list of str
        The user's roles on that server that the token should carry.
    nickname : str
        Name of the token in the app.
    lifetime : int, optional
        Minutes; by default the longest that the roles allow.
    two_factor_code : str, optional
        The current code, where the user has two-factor authentication.
    ssl_certificate, timeout, transport
        As in :func:`flowclient.connect`.

    Raises
    ------
    FlowclientConnectionError
        If the app cannot be reached or refuses.
    """
    base = f"{flowauth_url.rstrip('/')}/api/v1"
    if not base.lower().startswith("https://"):
        warn_caller("Communications with this server are NOT SECURE.")
    through = transport if transport is not None else RequestsTransport(ssl_certificate)
    login: dict[str, Any] = {"username": username, "password": password}
    if two_factor_code is not None:
        login["two_factor_code"] = two_factor_code
    wanted: dict[str, Any] = {"name": nickname, "roles": roles}
    if lifetime is not None:
        wanted["lifetime_minutes"] = lifetime
    try:
        session = _post(through, f"{base}/session", {}, login, timeout)
        authorization = {"Authorization": f"Bearer {session['access_token']}"}
        made = _post(
            through, f"{base}/servers/{quote(server, safe='')}/tokens", authorization, wanted, timeout
        )
        return str(made["token"])
    except TransportError as error:
        raise FlowclientConnectionError(f"Unable to connect to FlowAuth at {flowauth_url}: {error}") from None
    except KeyError as error:
        raise FlowclientConnectionError(f"The reply of FlowAuth has no {error}.") from None
    finally:
        if transport is None:
            through.close()


def _post(
    transport: Transport, url: str, headers: dict[str, str], body: dict[str, Any], timeout: Timeout
) -> dict[str, Any]:
    reply: Reply = transport.request("POST", url, headers, None, body, timeout)
    if reply.status_code in (401, 403):
        raise replies.access_error(reply, url)
    if not 200 <= reply.status_code < 300:
        raise replies.unexpected_get(reply, url)
    return replies.json_object(reply)
