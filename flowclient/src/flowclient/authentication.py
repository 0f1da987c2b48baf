"""Tokens for scripts, from the authentication app's own API."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
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
    through = transport if transport is not None else RequestsTransport(ssl_certificate)
    app = _App(flowauth_url, through, timeout)
    try:
        with app.told():
            if credential is None:
                credential = app.sign_in(username, password, two_factor_code)
            return str(app.mint(credential, server, roles, nickname, lifetime)["token"])
    finally:
        if transport is None:
            through.close()


@contextlib.contextmanager
def temporary_token(
    *,
    flowauth_url: str,
    username: str,
    password: str,
    server: str,
    role: str,
    nickname: str,
    lifetime: int,
    ssl_certificate: str | bool | ssl.SSLContext | None = True,
    timeout: Timeout = (30.0, 60.0),
    transport: Transport | None = None,
) -> Iterator[str]:
    """Provide a token of one role, and revoke it at the end.

    Arguments as of :func:`get_token`, which also says what is raised. A token that cannot be revoked ends by
    itself after ``lifetime`` minutes.
    """
    through = transport if transport is not None else RequestsTransport(ssl_certificate)
    app = _App(flowauth_url, through, timeout)
    try:
        with app.told():
            session = app.sign_in(username, password, None)
            made = app.mint(session, server, [role], nickname, lifetime)
            token, identity = str(made["token"]), int(made["id"])
        try:
            yield token
        finally:
            with contextlib.suppress(FlowclientConnectionError), app.told():
                # The first session may be over.
                app.revoke(app.sign_in(username, password, None), identity)
    finally:
        if transport is None:
            through.close()


class _App:
    """Ask the authentication app."""

    def __init__(self, url: str, transport: Transport, timeout: Timeout) -> None:
        self._url, self._transport, self._timeout = url, transport, timeout
        self._base = f"{url.rstrip('/')}/api/v1"
        if not self._base.lower().startswith("https://"):
            warn_caller("Communications with this server are NOT SECURE.")

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Name the app in what is raised."""
        try:
            yield
        except TransportError as error:
            raise FlowclientConnectionError(
                f"Unable to connect to FlowAuth at {self._url}: {error}"
            ) from None
        except KeyError as error:
            raise FlowclientConnectionError(f"The reply of FlowAuth has no {error}.") from None

    def sign_in(self, username: str | None, password: str | None, two_factor_code: str | None) -> str:
        login = {"username": username, "password": password}
        if two_factor_code is not None:
            login["two_factor_code"] = two_factor_code
        return str(self._post("session", None, login)["access_token"])

    def mint(
        self, session: str, server: str, roles: list[str], name: str, lifetime: int | None
    ) -> dict[str, Any]:
        wanted: dict[str, Any] = {"name": name, "roles": roles}
        if lifetime is not None:
            wanted["lifetime_minutes"] = lifetime
        return self._post(f"servers/{quote(server, safe='')}/tokens", session, wanted)

    def revoke(self, session: str, identity: int) -> None:
        self._post(f"tokens/{identity}/revoke", session, {})

    def _post(self, path: str, session: str | None, body: dict[str, Any]) -> dict[str, Any]:
        url = f"{self._base}/{path}"
        headers = {} if session is None else {"Authorization": f"Bearer {session}"}
        reply: Reply = self._transport.request("POST", url, headers, None, body, self._timeout)
        if reply.status_code in (401, 403):
            raise replies.access_error(reply, url)
        if not 200 <= reply.status_code < 300:
            raise replies.unexpected_get(reply, url)
        return replies.json_object(reply)
