"""Talking to the engine over ZeroMQ.

All requests share one DEALER socket. A reply finds its request by the echoed request id, so a lost or late
reply delays nobody else, and the socket is never stuck the way a REQ socket is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import zmq
import zmq.asyncio

from flowapi.record import current_record_or_none

ATTEMPTS = 3
CHANGING_ACTIONS = frozenset({"run_query", "cancel_query"})
_HEARTBEAT_MILLISECONDS = 5_000


class EngineSilent(Exception):
    """The engine did not answer ``action`` within ``seconds``."""

    def __init__(self, action: str, seconds: float) -> None:
        super().__init__(f"The query engine did not answer {action} within {seconds:g} s.")
        self.action = action


class EngineWithoutDatabase(Exception):
    """The engine answered that its database does not."""


@dataclass(frozen=True)
class Reply:
    """The engine's answer to one action."""

    ok: bool
    message: str
    payload: Mapping[str, Any]

    @property
    def state(self) -> str | None:
        """The state of the query that the answer is about, if it names one."""
        return self.payload.get("query_state")

    @property
    def is_fault(self) -> bool:
        """Whether the engine failed itself: an error about the request always has something in its payload."""
        return not self.ok and not self.payload

    @property
    def code(self) -> str | None:
        """The word for programs that the engine gives with some of its refusals."""
        return None if self.ok else self.payload.get("code")


class EngineClient:
    """One connection to the engine, shared by all requests of this process.

    Parameters
    ----------
    host, port
        Where the engine's server listens.
    timeout
        Seconds within which any action but ``run_query`` must be answered, repeats included.
    run_timeout
        Seconds for ``run_query``.
    """

    def __init__(self, host: str, port: int, *, timeout: float = 30.0, run_timeout: float = 120.0) -> None:
        self._address = f"tcp://{host}:{port}"
        self.timeout = timeout
        self.run_timeout = run_timeout
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._context: zmq.asyncio.Context | None = None
        self._socket: zmq.asyncio.Socket | None = None
        self._receiver: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect; ZeroMQ keeps trying in the background, so an engine that starts later is found."""
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        # Without heartbeats a peer that vanished without closing its connection is never noticed.
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MILLISECONDS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * _HEARTBEAT_MILLISECONDS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1_000)
        self._socket.connect(self._address)
        self._receiver = asyncio.create_task(self._receive())

    async def close(self) -> None:
        """Disconnect; whoever still waits is told that the engine is silent."""
        if self._receiver is not None:
            self._receiver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._receiver
        for reply in self._waiting.values():
            reply.cancel()
        if self._socket is not None:
            self._socket.close()
        if self._context is not None:
            self._context.term()

    def conversation(self, request_id: str) -> Conversation:
        """The exchange of messages on behalf of one HTTP request."""
        return Conversation(self, request_id)

    async def exchange(self, message: dict[str, Any], timeout: float) -> Reply:
        """Send one message and await its reply.

        Raises
        ------
        TimeoutError
            No reply within ``timeout`` seconds.
        """
        if self._socket is None:
            raise RuntimeError("The connection to the engine is not open.")
        request_id = message["request_id"]
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = reply
        try:
            async with asyncio.timeout(timeout):
                await self._socket.send_multipart([b"", json.dumps(message, allow_nan=False).encode()])
                return await reply
        finally:
            self._waiting.pop(request_id, None)

    async def _receive(self) -> None:
        assert self._socket is not None
        while True:
            frames = await self._socket.recv_multipart()
            try:
                message = json.loads(frames[-1])
                waiting = self._waiting.get(message["request_id"])
                reply = Reply(
                    ok=message["status"] == "success",
                    message=message.get("msg") or "",
                    payload=message.get("payload") or {},
                )
            except (ValueError, KeyError, TypeError):
                # Nobody can be told: a message without request id belongs to no request. The sender
                # of whatever it answers will run into its timeout.
                continue
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)


class Conversation:
    """The messages of one HTTP request, in order, all under its request id."""

    def __init__(self, client: EngineClient, request_id: str) -> None:
        self._client = client
        self._request_id = request_id
        self._lost = 0

    async def ask(
        self, action: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> Reply:
        """Ask the engine to do ``action``; actions that only read are repeated if no reply comes.

        Raises
        ------
        EngineSilent
            No reply in time.
        EngineWithoutDatabase
            The engine cannot do it for now.
        """
        changing = action in CHANGING_ACTIONS
        limit = timeout or (self._client.run_timeout if action == "run_query" else self._client.timeout)
        attempts = 1 if changing else ATTEMPTS
        started = time.perf_counter()
        record = current_record_or_none()
        try:
            for _ in range(attempts):
                message: dict[str, Any] = {"action": action, "request_id": self._wire_id()}
                if params is not None:
                    message["params"] = dict(params)
                if record is not None and record.user is not None:
                    message["user"] = record.user
                try:
                    reply = await self._client.exchange(message, limit / attempts)
                except TimeoutError:
                    self._lost += 1
                    continue
                if reply.code == "database_unavailable":
                    raise EngineWithoutDatabase(reply.message)
                return reply
            raise EngineSilent(action, limit)
        finally:
            if record is not None:
                record.engine_seconds += time.perf_counter() - started

    def _wire_id(self) -> str:
        """The request id; with a suffix after a loss, lest a late reply pass for that of the next message."""
        return f"{self._request_id}.{self._lost}" if self._lost else self._request_id
