"""Run the server process: ZeroMQ in front, rows behind, no computing.

Frames are identity, empty, JSON. Other messages are logged and get no reply. A small pool of threads does the
database work, so that the socket is always served.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
import zmq
import zmq.asyncio
from structlog.contextvars import bound_contextvars

from flowmachine import metrics
from flowmachine.jobs.table import PENDING
from flowmachine.logs import audit_log, debug_log
from flowmachine.queries.catalogue import kinds
from flowmachine.queries.schema import query_schemas
from flowmachine.server.actions import Actions, Refused
from flowmachine.server.news import News
from flowmachine.server.requests import envelope_problems, longest_wait, problem_within
from flowmachine.settings import ServerSettings
from flowmachine.stopping import STOPPING_SECONDS, leave_soon
from flowmachine.tables import audit
from flowsettings import channel

#: Requests from this many bytes on are read by few threads, so that the others answer small requests meanwhile.
LARGE_MESSAGE = 256 * 2**10
_LARGE_AT_A_TIME = 2

#: Larger requests are not read; a spec of 5,000 parts has about 2 MB.
LARGEST_MESSAGE = 16 * 2**20

#: Polls are shorter; longer messages are parsed only in a thread.
_LONGEST_POLL = 2000

#: Actions without a row in the audit trail: they reveal only a state, and clients repeat them every second.
#: The log has them.
UNAUDITED = frozenset({"ping", "health", "poll_query"})

#: Seconds between re-checks of a held poll, because not every change sends a notice: while the server hears
#: notices, and while it hears none.
LOOK_AGAIN = 2.0
LOOK_AGAIN_UNHEARD = 0.5

#: Seconds between two questions of the server to itself, and within which the answer comes.
ASK_ITSELF_EVERY = 5.0

_DATABASE_UNAVAILABLE = ("The database is unavailable; try again.", {"code": "database_unavailable"})


class Server:
    """Answer requests until stopped."""

    def __init__(self, settings: ServerSettings, threads: int = 8) -> None:
        self._settings = settings
        # One connection for each thread, and a connection to listen on.
        self._engine = settings.engine("flowmachine-server", pool_size=threads + _LARGE_AT_A_TIME + 1)
        self._news = News(self._engine)
        self._stopping = asyncio.Event()
        self._actions = Actions(self._engine, settings.queue_limit, settings.choice, settings)
        self._address = f"tcp://{settings.bind}:{settings.port}"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="action")
        self._few_threads = ThreadPoolExecutor(_LARGE_AT_A_TIME, thread_name_prefix="large action")
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then finish requests in progress."""
        # Build kinds and schemas before the first request, which would otherwise wait for them.
        kinds()
        query_schemas()
        context = zmq.asyncio.Context()
        doorkeeper = channel.authenticator(context, self._settings.key)
        doorkeeper.start()
        socket = context.socket(zmq.ROUTER)
        channel.serve(socket, self._settings.key)
        socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        socket.setsockopt(zmq.LINGER, 1000)
        socket.bind(self._address)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        metrics.serve(self._settings.bind, self._settings.metrics_port, self._engine)
        debug_log().info("serving", submodule="server", address=self._address)
        receiver = asyncio.create_task(self._receive(socket))
        listener = asyncio.create_task(self._news.listen())
        caller = asyncio.create_task(self._ask_itself(context))
        await self._stopping.wait()
        # A thread that reads a long spec cannot be stopped.
        leave_soon(lambda: None)
        for task in (receiver, listener, caller):
            task.cancel()
        self._news.wake_all()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOPPING_SECONDS / 2)
        socket.close()
        doorkeeper.stop()
        context.term()
        for threads in (self._threads, self._few_threads):
            threads.shutdown(cancel_futures=True)
        self._engine.dispose()

    async def _receive(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            frames = await socket.recv_multipart()
            if len(frames) != 3 or frames[1] != b"":
                debug_log().error("malformed message", submodule="server", frames=len(frames))
                continue
            task = asyncio.create_task(self._answer(socket, frames[0], frames[2]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask_itself(self, context: zmq.asyncio.Context) -> None:
        """Ask this server by its own port every few seconds, and note each answer.

        So a health check need not know the protocol and the key.
        """
        while True:
            with context.socket(zmq.REQ) as socket, suppress(TimeoutError):
                socket.setsockopt(zmq.LINGER, 0)
                channel.connect(socket, self._settings.key)
                # The address of all interfaces is this machine, too.
                socket.connect(self._address)
                await socket.send_json({"request_id": "health", "action": "ping"})
                reply: Any = await asyncio.wait_for(socket.recv_json(), ASK_ITSELF_EVERY)
                if reply["status"] == "success":
                    metrics.alive()
            await asyncio.sleep(ASK_ITSELF_EVERY)

    async def _answer(self, socket: zmq.asyncio.Socket, identity: bytes, message: bytes) -> None:
        loop = asyncio.get_running_loop()
        if asked := _wait_asked_for(message):
            await self._until_news(*asked)
        threads = self._threads if len(message) < LARGE_MESSAGE else self._few_threads
        reply = await loop.run_in_executor(threads, self.reply, message)
        await socket.send_multipart([identity, b"", reply])

    async def _until_news(self, query_id: str, seconds: float) -> None:
        """Wait until a pending query changes its state, at most ``seconds``.

        No thread waits, because threads are few and waiting polls may be many.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        first = None
        with self._news.expecting(query_id) as news:
            while not self._stopping.is_set():
                news.clear()
                try:
                    state = await loop.run_in_executor(self._threads, self._actions.state, query_id)
                except sa.exc.SQLAlchemyError:
                    return  # The reply will report the error.
                first = first or state
                left = deadline - loop.time()
                if state not in PENDING or state != first or left <= 0:
                    return
                again = LOOK_AGAIN if self._news.heard else LOOK_AGAIN_UNHEARD
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), min(again, left))

    def reply(self, message: bytes) -> bytes:
        """Return the reply to one message; never raises."""
        try:
            return json.dumps(self._reply(message), allow_nan=False, default=str).encode()
        except Exception as error:
            debug_log().exception("no reply", submodule="server", error=type(error).__name__)
            return json.dumps(_error("Could not get reply for message")).encode()

    def _reply(self, message: bytes) -> dict[str, Any]:
        try:
            request = json.loads(message)
        except (ValueError, RecursionError) as error:
            return _error("Invalid JSON.", {"decode_error": str(error)[:300]})
        problems = envelope_problems(request)
        if problems:
            answer = _error("Invalid action request.", problems)
            # The caller waits for an answer with this id and would not recognise another.
            known = isinstance(request, dict) and isinstance(request.get("request_id"), str)
            return answer | {"request_id": request["request_id"]} if known else answer
        with bound_contextvars(request_id=request["request_id"], user=request.get("user")):
            return self._perform(request)

    def _perform(self, request: dict[str, Any]) -> dict[str, Any]:
        action, request_id, user = request["action"], request["request_id"], request.get("user")
        params = request.get("params") or {}
        started = time.monotonic()
        log = audit_log().bind(action_request={"request_id": request_id, "action": action})
        # Containers ask for their health every few seconds, and their lines would bury all others.
        quiet = action in ("ping", "health")
        if not quiet:
            log.info("received", params=_bounded(params))
        answer: dict[str, Any]
        asked: Any = _bounded(params)
        try:
            asked = self._actions.canonical(action, params)
            payload = self._actions.perform(action, params, user=user, request_id=request_id)
            answer = {"status": "success", "msg": "pong" if action == "ping" else "", "payload": payload}
        except Refused as refused:
            answer = _error(refused.message, refused.payload)
        except sa.exc.OperationalError as error:
            debug_log().error("database unavailable", submodule="server", error=type(error.orig).__name__)
            answer = _error(*_DATABASE_UNAVAILABLE)
        except Exception as error:
            debug_log().exception("action failed", submodule="server", error=type(error).__name__)
            answer = _error("Could not get reply for message")
        seconds = time.monotonic() - started
        if action not in UNAUDITED:
            answer = self._audited(answer, action, request_id, user, asked, seconds)
        if not quiet or answer["status"] == "error":
            log.info(
                "answered",
                reply_status=answer["status"],
                reply_msg=answer["msg"],
                query_id=answer["payload"].get("query_id"),
                seconds=round(seconds, 4),
            )
        metrics.answered(action, answer["status"], seconds)
        return answer | {"request_id": request_id}

    def _audited(
        self,
        answer: dict[str, Any],
        action: str,
        request_id: str,
        user: str | None,
        params: Any,
        seconds: float,
    ) -> dict[str, Any]:
        """Return the answer once the audit trail has recorded it.

        A spec is recorded whole in its canonical form; see ``_bounded`` for others.

        An answer that cannot be recorded is not sent.
        """
        query_id = answer["payload"].get("query_id")
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    sa.insert(audit).values(
                        request_id=request_id,
                        username=user,
                        action=action,
                        query_id=query_id if isinstance(query_id, str) else None,
                        params=params,
                        status=answer["status"],
                        message=answer["msg"],
                        seconds=seconds,
                    )
                )
        except sa.exc.DBAPIError as error:
            debug_log().error("audit failed", submodule="server", error=type(error.orig).__name__)
            return answer if answer["status"] == "error" else _error(*_DATABASE_UNAVAILABLE)
        return answer


def _wait_asked_for(message: bytes) -> tuple[str, float] | None:
    """Return the query and the seconds of a poll that waits.

    Returns None for any other message, including a malformed message.
    """
    if b'"wait"' not in message or len(message) > _LONGEST_POLL:
        return None
    try:
        request = json.loads(message)
        params = request["params"]
        query_id = params["query_id"]
        seconds = longest_wait(params["wait"])
    except (ma.ValidationError, ValueError, KeyError, TypeError, RecursionError):
        return None
    # A text that the database cannot hold is no query id; the ordinary path refuses it.
    if request.get("action") != "poll_query" or not isinstance(query_id, str) or problem_within(query_id):
        return None
    return query_id, seconds


def _error(message: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"status": "error", "msg": message, "payload": payload or {}}


def _bounded(params: dict[str, Any]) -> Any:
    """Return parameters as received, or their size if they are very large."""
    text = json.dumps(params)
    return params if len(text) <= 20_000 else {"query_kind": params.get("query_kind"), "bytes": len(text)}


def main(settings: ServerSettings) -> None:
    """Run the server."""
    asyncio.run(Server(settings).run())
