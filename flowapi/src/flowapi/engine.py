"""Talk to the engine over ZeroMQ.

All requests share one DEALER socket. A reply finds its request by the echoed request id. A lost or late reply
therefore delays no other request, and the socket never gets stuck as a REQ socket would.
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
from zmq.utils.monitor import parse_monitor_message

from flowapi.record import current_record_or_none
from flowsettings import channel

ATTEMPTS = 3
#: Actions that change something, or that the engine may still be busy with when no reply has come.
UNREPEATED_ACTIONS = frozenset({"run_query", "cancel_query", "explain_query"})
#: Seconds for which requests wait for an engine that is away, or has not answered before it left.
AWAY_SECONDS = 4.0
#: Seconds for which a request waits for an engine's return in any case.
_RETURN_SECONDS = 1.0
_HEARTBEAT_MILLISECONDS = 1_000


class NoAnswer(Exception):
    """Report that the engine gave no answer."""


class EngineAway(NoAnswer):
    """Report that no engine is connected, or that it left before it answered."""

    def __init__(self) -> None:
        super().__init__("The query engine is away.")


class EngineSilent(NoAnswer):
    """Report that the engine did not answer ``action`` within ``seconds``."""

    def __init__(self, action: str, seconds: float) -> None:
        super().__init__(f"The query engine did not answer {action} within {seconds:g} s.")
        self.action = action


class EngineWithoutDatabase(Exception):
    """Report the engine's answer that its database does not answer."""


@dataclass(frozen=True)
class Reply:
    """Hold the engine's answer to one action."""

    ok: bool
    message: str
    payload: Mapping[str, Any]

    @property
    def state(self) -> str | None:
        """Return the state of the answer's query, if there is one."""
        return self.payload.get("query_state")

    @property
    def is_fault(self) -> bool:
        """Return whether the engine itself failed.

        An error about the request always has something in its payload.
        """
        return not self.ok and not self.payload

    @property
    def code(self) -> str | None:
        """Return the machine-readable code of some of the engine's refusals."""
        return None if self.ok else self.payload.get("code")


class EngineClient:
    """Hold the engine's connection, shared by all requests of this process.

    Parameters
    ----------
    host, port
        Where the engine's server listens.
    key
        The secret of its port.
    timeout
        Seconds within which any action but ``run_query`` must be answered, repeats included.
    run_timeout
        Seconds for ``run_query``.
    """

    def __init__(
        self, host: str, port: int, key: str, *, timeout: float = 30.0, run_timeout: float = 120.0
    ) -> None:
        self._address = f"tcp://{host}:{port}"
        self._key = key
        self.timeout = timeout
        self.run_timeout = run_timeout
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._context: zmq.asyncio.Context | None = None
        self._socket: zmq.asyncio.Socket | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._connected = asyncio.Event()

    async def open(self) -> None:
        """Connect; ZeroMQ retries in the background until the engine has started."""
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        # A request must not lie in wait for an engine that comes back when its caller has gone.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        # Without heartbeats, a peer that vanished without closing its connection is never noticed.
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MILLISECONDS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 2 * _HEARTBEAT_MILLISECONDS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1_000)
        channel.connect(self._socket, self._key)
        changes = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._socket.connect(self._address)
        self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._watch(changes))]

    async def close(self) -> None:
        """Disconnect; waiting requests are told that the engine is silent."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for reply in self._waiting.values():
            reply.cancel()
        if self._socket is not None:
            changes = self._socket.get_monitor_socket()
            self._socket.disable_monitor()
            # The context does not end before all of its sockets are closed.
            changes.close()
            self._socket.close()
        if self._context is not None:
            self._context.term()

    def conversation(self, request_id: str) -> Conversation:
        """Return the exchange of messages for one HTTP request."""
        return Conversation(self, request_id)

    async def until_connected(self, seconds: float) -> None:
        """Wait for the engine, at most ``seconds``; raises EngineAway."""
        try:
            await asyncio.wait_for(self._connected.wait(), seconds)
        except TimeoutError:
            raise EngineAway from None

    async def exchange(self, message: dict[str, Any], timeout: float) -> Reply:
        """Send one message and await its reply.

        Raises
        ------
        TimeoutError
            No reply within ``timeout`` seconds.
        EngineAway
            The engine left before it replied.
        """
        if self._socket is None:
            raise RuntimeError("The connection to the engine is not open.")
        request_id = message["request_id"]
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = reply
        frames = [b"", json.dumps(message, allow_nan=False).encode()]
        sending: asyncio.Future[Any] = asyncio.ensure_future(self._socket.send_multipart(frames))
        either: set[asyncio.Future[Any]] = {sending, reply}
        try:
            async with asyncio.timeout(timeout):
                # An engine that leaves before it takes the message ends the wait, too.
                sent, _ = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if sending in sent:
                    await sending
                return await reply
        finally:
            self._waiting.pop(request_id, None)
            sending.cancel()
            if reply.done() and not reply.cancelled():
                # Nobody asks for it after a timeout at the same moment, and asyncio would report it as lost.
                reply.exception()

    async def _watch(self, changes: zmq.asyncio.Socket) -> None:
        """Follow whether the engine is connected; tell waiting requests if it leaves."""
        while True:
            change = parse_monitor_message(await changes.recv_multipart())
            if change["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._connected.set()
                continue
            self._connected.clear()
            self._tell_waiting()

    def _tell_waiting(self) -> None:
        """Tell waiting requests that the engine has left."""
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(EngineAway())

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
                # Drop a message without request id: it belongs to no request, so the requester will time out.
                continue
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)


class Conversation:
    """Exchange the messages of one HTTP request, in order, under its request id."""

    def __init__(self, client: EngineClient, request_id: str) -> None:
        self._client = client
        self._request_id = request_id
        self._lost = 0

    async def ask(
        self, action: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> Reply:
        """Ask the engine to do ``action``; repeat quick reading without a reply.

        Raises
        ------
        EngineAway
            No engine within ``AWAY_SECONDS``, heartbeats without an answer included.
        EngineSilent
            No reply in time.
        EngineWithoutDatabase
            The engine cannot do it for now.
        """
        limit = timeout or (self._client.run_timeout if action == "run_query" else self._client.timeout)
        # The engine may still be reading a specification whose reply does not come.
        once = action in UNREPEATED_ACTIONS or "spec" in (params or ())
        attempts = 1 if once else ATTEMPTS
        started = time.perf_counter()
        record = current_record_or_none()
        patience = AWAY_SECONDS
        try:
            for left in reversed(range(attempts)):
                await self._client.until_connected(min(patience, limit))
                message: dict[str, Any] = {"action": action, "request_id": self._wire_id()}
                if params is not None:
                    message["params"] = dict(params)
                if record is not None and record.user is not None:
                    message["user"] = record.user
                sent = time.perf_counter()
                try:
                    reply = await self._client.exchange(message, limit / attempts)
                except TimeoutError:
                    self._lost += 1
                    continue
                except EngineAway:
                    self._lost += 1
                    # The engine may have been away since it was asked: a network that breaks tells nobody.
                    patience = max(AWAY_SECONDS - (time.perf_counter() - sent), _RETURN_SECONDS)
                    if left:
                        continue
                    raise
                if reply.code == "database_unavailable":
                    raise EngineWithoutDatabase(reply.message)
                return reply
            raise EngineSilent(action, limit)
        finally:
            if record is not None:
                record.engine_seconds += time.perf_counter() - started

    def _wire_id(self) -> str:
        """Return the request id, suffixed after a loss.

        Without the suffix a late reply could pass for the next message's reply.
        """
        return f"{self._request_id}.{self._lost}" if self._lost else self._request_id
