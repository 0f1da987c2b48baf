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
    username: str | None = None,
    password: str | None = None,
    server: str,
    roles: list[str],
    nickname: str,
    lifetime: int | None = None,
    two_factor_code: str | None = None,
    credential: str | None = None,
    ssl_certificate: str | bool | ssl.SSLContext | None = True,
    timeout: Timeout = (30.0, 60.0),
    transport: Transport | None = None,
) -> str:
    """Log in to the authentication app and return a new token.

    Parameters
    ----------
    flowauth_url : str
        Scheme, host and port of the authentication app.
    username, password : str, optional
        Of the app's user; not needed with a credential.
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
    credential : str, optional
        A personal credential with the right ``tokens``, from the app's page **My account**.
    ssl_certificate, timeout, transport
        As in :func:`flowclient.connect`.

    Raises
    ------
    FlowclientConnectionError
        If the app cannot be reached or refuses.
    ValueError
        If there is neither a credential nor a user name with its password.
    """
    if credential is None and (username is None or password is None):
        raise ValueError("Give either credential, or username and password.")
    base = f"{flowauth_url.rstrip('/')}/api/v1"
    if not base.lower().startswith("https://"):
        warn_caller("Communications with this server are NOT SECURE.")
    through = transport if transport is not None else RequestsTransport(ssl_certificate)
    login = {"username": username, "password": password}
    if two_factor_code is not None:
        login["two_factor_code"] = two_factor_code
    wanted: dict[str, Any] = {"name": nickname, "roles": roles}
    if lifetime is not None:
        wanted["lifetime_minutes"] = lifetime
    try:
        if credential is None:
            credential = str(_post(through, f"{base}/session", {}, login, timeout)["access_token"])
        authorization = {"Authorization": f"Bearer {credential}"}
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
