"""Record each request from its first byte to its closing log line.

The recorder wraps the whole application outside the framework. Only there is it known how many bytes were
sent and whether the reply was complete: a stream may fail long after its status was sent.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from flowapi.logs import Logs
from flowapi.metrics import Metrics
from flowapi.record import RequestRecord, begin, end
from flowsettings.values import Network

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Routes whose good answers have no line in the log.
HEALTH_ROUTES = frozenset({"/", "/api/0/health/live", "/api/0/health/ready"})

_PLAIN_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")

STALLED_READER_SECONDS = 120.0

#: Seconds for which an idle connection is kept. Clients are told fewer, so that no request meets a closing connection.
IDLE_SECONDS = 75
_TOLD_SECONDS = 60
_KEEP_ALIVE = (b"keep-alive", b"timeout=%d" % _TOLD_SECONDS)

SECURITY_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}


def source_address(scope: Scope, trusted_proxies: tuple[Network, ...]) -> str:
    """Return the caller's address: the peer's, or a trusted proxy's report.

    The header is read from its end and trusted only as far as the chain of trusted proxies reaches, because
    the caller wrote everything before that.
    """
    peer = (scope.get("client") or ("unknown", 0))[0]
    forwarded = [
        part.strip()
        for name, value in scope["headers"]
        if name.lower() == b"x-forwarded-for"
        for part in value.decode("latin-1").split(",")
    ]
    address = peer
    while forwarded and _is_trusted(address, trusted_proxies):
        address = forwarded.pop()
    return address if _parse_address(address) else peer


def request_id(scope: Scope) -> str:
    """Return a new id of a request, which begins with a plain id of the caller.

    It ends in random digits in every case. The engine's replies are told apart by it, so a caller must not be able
    to choose the id of another's request.
    """
    unique = str(uuid.uuid4())
    given = [value for name, value in scope["headers"] if name.lower() == b"x-request-id"]
    if len(given) == 1 and _PLAIN_ID.fullmatch(given[0]):
        return f"{given[0].decode()}.{unique.replace('-', '')}"
    return unique


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_trusted(text: str, trusted_proxies: tuple[Network, ...]) -> bool:
    address = _parse_address(text)
    return address is not None and any(address in network for network in trusted_proxies)


class RequestRecorder:
    """Wrap the ASGI app: request ids, security headers, log lines and metrics."""

    def __init__(
        self,
        application: Application,
        logs: Logs,
        metrics: Metrics,
        *,
        trusted_proxies: tuple[Network, ...],
        tls: bool,
    ) -> None:
        self._application = application
        self._logs = logs
        self._metrics = metrics
        self._trusted_proxies = trusted_proxies
        self._headers = dict(SECURITY_HEADERS)
        if tls:
            self._headers[b"strict-transport-security"] = b"max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        record = RequestRecord(
            method=scope["method"],
            path=scope["path"],
            src_ip=source_address(scope, self._trusted_proxies),
            request_id=request_id(scope),
        )
        token = begin(record)
        started = time.perf_counter()

        async def recorded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = self._add_headers(message.get("headers", []), record)
                if scope["http_version"].startswith("1"):
                    headers.append(_KEEP_ALIVE)
                message = {**message, "headers": headers}
            # A stalled reader would otherwise hold a database connection for ever.
            async with asyncio.timeout(STALLED_READER_SECONDS):
                await send(message)
            if message["type"] == "http.response.body":
                record.bytes += len(message.get("body", b""))
                record.complete = not message.get("more_body", False)

        try:
            await self._application(scope, receive, recorded_send)
        finally:
            for action in record.at_end:
                action()
            self._close(record, time.perf_counter() - started)
            end(token)

    def _add_headers(self, headers: Any, record: RequestRecord) -> list[tuple[bytes, bytes]]:
        present = [(bytes(name), bytes(value)) for name, value in headers]
        names = {name.lower() for name, _ in present}
        added = [(name, value) for name, value in self._headers.items() if name not in names]
        return [*present, *added, (b"x-request-id", record.request_id.encode())]

    def _close(self, record: RequestRecord, duration: float) -> None:
        self._metrics.observe(record, duration)
        if record.route in HEALTH_ROUTES and record.status == 200:
            return  # Containers ask every few seconds, and their lines would bury all others.
        self._logs.access.info(
            "request finished" if record.complete else "request cut off",
            method=record.method,
            route=record.route,
            status=record.status,
            rows=record.rows,
            bytes=record.bytes,
            duration=round(duration, 6),
            engine_seconds=round(record.engine_seconds, 6),
            complete=record.complete,
        )
