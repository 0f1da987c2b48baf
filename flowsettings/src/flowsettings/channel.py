"""Close the engine's port to programs that do not know its secret, by CurveZMQ.

Both ends derive their keys from the one secret, so that a deployment has one file to keep. The server accepts
the client's key only. Messages are encrypted, also between hosts. Needs pyzmq, which the engine and the API have.
"""

from __future__ import annotations

import hmac
from typing import Any

import zmq
from zmq.auth.asyncio import AsyncioAuthenticator
from zmq.utils import z85


def serve(socket: zmq.Socket[Any], secret: str) -> None:
    """Let a socket that has not been bound answer only clients with the secret.

    The context needs an ``authenticator`` with the same secret.
    """
    socket.curve_server = True
    socket.curve_publickey, socket.curve_secretkey = keys(secret, "server")


def connect(socket: zmq.Socket[Any], secret: str) -> None:
    """Let a socket that has not been connected prove that it knows the secret."""
    socket.curve_publickey, socket.curve_secretkey = keys(secret, "client")
    socket.curve_serverkey = keys(secret, "server")[0]


def authenticator(context: zmq.Context[Any], secret: str) -> AsyncioAuthenticator:
    """Return what admits clients to the context's sockets; start it in a running loop."""
    found = AsyncioAuthenticator(context)
    found.configure_curve_callback("*", _OnlyClient(z85.decode(keys(secret, "client")[0])))
    return found


class _OnlyClient:
    """Accept one client's key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def callback(self, _domain: str, key: bytes) -> bool:
        return hmac.compare_digest(z85.decode(key), self._key)


def keys(secret: str, end: str) -> tuple[bytes, bytes]:
    """Return the public and the private key of an end."""
    private = z85.encode(hmac.digest(secret.encode(), f"flowmachine {end}".encode(), "sha256"))
    return zmq.curve_public(private), private
