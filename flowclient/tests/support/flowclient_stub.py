"""A server that replies what a test tells it to, and the two shells that ask it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest

import flowclient
import flowclient.async_client
import flowclient.client

SIGNING_KEY = "a key that is only good for tests, and long enough for them"


@dataclass
class Answer:
    """One reply: a body that is not text is sent as JSON."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass
class Request:
    method: str
    path: str
    body: Any
    authorization: str | None
    wait: str | None = None


Scripted = Answer | Callable[[Request], Answer]


class StubServer:
    """Reply from scripts, one per method and path.

    The last answer of a script is repeated.

    An answer may be a function of the request.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._scripts: dict[tuple[str, str], list[Scripted]] = {}
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _reply(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                # Only how long to hold a poll is ever taken out of the address; other parameters are a part of the script.
                path, _, wait = self.path.partition("?wait=")
                request = Request(
                    self.command,
                    path,
                    json.loads(text) if text else None,
                    self.headers.get("Authorization"),
                    wait or None,
                )
                stub.requests.append(request)
                script = stub._scripts.get((self.command, path), [Answer(418, {"msg": "no script"})])
                answer = script.pop(0) if len(script) > 1 else script[0]
                if not isinstance(answer, Answer):
                    answer = answer(request)
                body = answer.encoded()
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _reply

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A client that hangs up, or refuses the certificate, is part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        scheme = "http"
        if context is not None:
            scheme = "https"
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def script(self, method: str, route: str, *answers: Scripted) -> None:
        self._scripts[(method, f"/api/0/{route}")] = list(answers)

    def asked(self, method: str, route: str) -> int:
        return sum((r.method, r.path) == (method, f"/api/0/{route}") for r in self.requests)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def make_token(roles: dict[str, list[str]] | None = None, lifetime: float = 3600, **claims: Any) -> str:
    packed = base64.encodebytes(gzip.compress(json.dumps(roles or {}).encode())).decode()
    contents = {"sub": "ada", "exp": int(time.time() + lifetime), "user_claims": packed, **claims}
    return jwt.encode({k: v for k, v in contents.items() if v is not None}, SIGNING_KEY, algorithm="HS256")


class Shell:
    """Calls the client one way or the other, with the same words."""

    def __init__(self, asynchronous: bool) -> None:
        self.asynchronous = asynchronous
        self.module: Any = flowclient.async_client if asynchronous else flowclient.client
        self._connections: list[Any] = []
        self._loop = asyncio.new_event_loop() if asynchronous else None

    def finish(self, outcome: Any) -> Any:
        """Return what a call gave, awaited where it must be."""
        return self._loop.run_until_complete(outcome) if self._loop is not None else outcome

    def connect(self, url: str, token: str, **options: Any) -> Any:
        connect = self.module.connect_async if self.asynchronous else self.module.connect
        expected: Any = contextlib.nullcontext()
        if not url.lower().startswith("https://"):
            expected = pytest.warns(UserWarning, match="NOT SECURE")
        with expected:
            connection = self.finish(connect(url=url, token=token, **{"retries": 0, **options}))
        self._connections.append(connection)
        return connection

    def call(self, name: str, **arguments: Any) -> Any:
        return self.finish(getattr(self.module, name)(**arguments))

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


def polls(*eligible: int) -> Sequence[Answer]:
    """Replies to polls: so many parts still to run, and then ready."""
    waiting = [
        Answer(
            202, {"status": "executing", "msg": "", "progress": {"eligible": n, "queued": 0, "running": 1}}
        )
        for n in eligible
    ]
    return [*waiting, Answer(303, {"status": "completed"}, {"Location": "/api/0/get/abc"})]


RUN = Answer(202, {"query_id": "abc"}, {"Location": "/api/0/poll/abc"})
RECORDS = [{"pcod": "NPL.1", "value": 20}, {"pcod": "NPL.2", "value": 31}]
RESULT = Answer(200, {"query_id": "abc", "query_result": RECORDS})
SPEC = {
    "query_kind": "spatial_aggregate",
    "locations": {"query_kind": "daily_location", "date": "2016-01-01", "aggregation_unit": "admin3"},
}
GONE = Answer(404, {"status": "awol", "msg": "Unknown."})
FAILED = Answer(500, {"status": "errored", "msg": "Out of disk."})
GEOGRAPHY = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": place,
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[place, 0], [place + 1, 0], [place + 1, 1], [place, 1], [place, 0]]],
            },
            "properties": {"pcod": f"NPL.{place}", "centroid": {"type": "Point", "coordinates": [0, 0]}},
        }
        for place in (1, 2, 3)
    ],
}
