"""Check that nobody keeps others out by connections that ask for nothing."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from urllib.parse import urlsplit

import requests

from flowauth.testing import SCOPES, served

#: More than the server library allows by default.
HELD = 300


def test_connections_that_never_ask_keep_nobody_out(tmp_path: Path) -> None:
    with served(tmp_path, SCOPES) as deployment, contextlib.ExitStack() as held:
        address = urlsplit(deployment.address)
        for _ in range(HELD):
            connection = socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=10)
            held.enter_context(connection)
            connection.sendall(b"GET /sign-in HTTP/1.1\r\nHost: ")
        assert requests.get(f"{deployment.address}/sign-in", timeout=30).status_code == 200
