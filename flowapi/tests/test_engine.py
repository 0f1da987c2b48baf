"""Check the engine's connection with late, reordered, broken and lost replies.

The engine is a real server process. A relay stands for the network: it passes on every request, and each
reply when the test says so, optionally after noise.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zmq

from flowapi.engine import ATTEMPTS, AWAY_SECONDS, EngineAway, EngineClient, EngineSilent
from flowmachine.testing import KEY, Processes, wait_for
from flowsettings import channel

pytestmark = pytest.mark.anyio

#: Seconds for three attempts.
TIMEOUT = 4.5


@dataclass(frozen=True)
class Engine:
    """Hold a running server."""

    process: subprocess.Popen[bytes]
    port: int


@pytest.fixture(scope="module")
def engine(
    country: Any, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Engine]:
    with ExitStack() as stack:
        processes = Processes(country, tmp_path_factory.mktemp("engine"), stack, free_port())
        process = processes.start("server")
        processes.client()
        yield Engine(process, processes.port)


@dataclass(frozen=True)
class Exchange:
    """Hold a forwarded request and the engine's undelivered reply."""

    request: dict[str, Any]
    sender: bytes
    reply: bytes


class Relay:
    """Stand for the network between a client and the engine."""

    def __init__(self, front: zmq.Socket[bytes], back: zmq.Socket[bytes], port: int) -> None:
        self.port = port
        self._front, self._back = front, back

    async def carry(self) -> Exchange:
        """Forward the next request and await the engine's reply."""
        sender, _, request = await asyncio.to_thread(self._front.recv_multipart)
        self._back.send_multipart([b"", request])
        _, reply = await asyncio.to_thread(self._back.recv_multipart)
        return Exchange(json.loads(request), sender, reply)

    def deliver(self, exchange: Exchange, noise: bytes | None = None) -> None:
        """Deliver the reply, after an unrelated message if given."""
        for message in (noise, exchange.reply):
            if message is not None:
                self._front.send_multipart([exchange.sender, b"", message])


@pytest.fixture
def relay(engine: Engine) -> Iterator[Relay]:
    with (
        zmq.Context() as context,
        context.socket(zmq.ROUTER) as front,
        context.socket(zmq.DEALER) as back,
    ):
        for socket in (front, back):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RCVTIMEO, 10_000)
        channel.connect(back, KEY)
        channel.serve(front, KEY)
        back.connect(f"tcp://127.0.0.1:{engine.port}")
        yield Relay(front, back, front.bind_to_random_port("tcp://127.0.0.1"))


@pytest.fixture
async def client(relay: Relay) -> AsyncIterator[EngineClient]:
    client = EngineClient("127.0.0.1", relay.port, KEY, timeout=TIMEOUT, run_timeout=0.3)
    await client.open()
    yield client
    await client.close()


async def test_the_envelope(client: EngineClient, relay: Relay) -> None:
    asked = asyncio.create_task(client.conversation("id-1").ask("poll_query", {"query_id": "a"}))
    exchange = await relay.carry()
    assert exchange.request == {"action": "poll_query", "request_id": "id-1", "params": {"query_id": "a"}}
    relay.deliver(exchange)
    reply = await asked
    assert (reply.ok, reply.message, reply.state) == (False, "Unknown query id: 'a'", "awol")


async def test_actions_without_params_send_none(client: EngineClient, relay: Relay) -> None:
    asked = asyncio.create_task(client.conversation("id-1").ask("ping"))
    exchange = await relay.carry()
    assert exchange.request == {"action": "ping", "request_id": "id-1"}
    relay.deliver(exchange)
    assert (await asked).ok


async def test_replies_find_their_requests_in_any_order(client: EngineClient, relay: Relay) -> None:
    asked = [
        asyncio.create_task(client.conversation(f"id-{number}").ask("poll_query", {"query_id": str(number)}))
        for number in range(5)
    ]
    exchanges = [await relay.carry() for _ in asked]
    for exchange in reversed(exchanges):
        relay.deliver(exchange)
    assert [(await reply).payload["query_id"] for reply in asked] == ["0", "1", "2", "3", "4"]


async def test_reading_is_repeated_and_a_late_reply_is_not_taken_for_the_next(
    client: EngineClient, relay: Relay
) -> None:
    conversation = client.conversation("id-1")
    asked = asyncio.create_task(conversation.ask("get_query_params", {"query_id": "a"}))
    first = await relay.carry()
    second = await relay.carry()
    assert first.request["request_id"] != second.request["request_id"]
    relay.deliver(second)
    assert (await asked).message == "Unknown query id: 'a'"
    asked = asyncio.create_task(conversation.ask("get_query_kind", {"query_id": "b"}))
    third = await relay.carry()
    relay.deliver(first)
    relay.deliver(third)
    assert (await asked).message == "Unknown query id: 'b'"


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("run_query", {"query_kind": "flows"}),
        ("explain_query", {"query_kind": "flows"}),
        ("authorise", {"spec": {"query_kind": "flows"}}),
    ],
)
async def test_what_may_be_under_way_is_never_repeated(
    client: EngineClient, relay: Relay, action: str, params: dict[str, Any]
) -> None:
    asked = asyncio.create_task(client.conversation("id-1").ask(action, params, timeout=0.3))
    assert (await relay.carry()).request["action"] == action
    with pytest.raises(EngineSilent, match=action):
        await asked
    marker = asyncio.create_task(client.conversation("id-2").ask("ping"))
    exchange = await relay.carry()
    assert exchange.request["action"] == "ping"
    relay.deliver(exchange)
    await marker


async def test_a_stopped_engine_is_given_up_and_its_late_replies_are_nobodys(
    engine: Engine, country: Any
) -> None:
    client = EngineClient("127.0.0.1", engine.port, KEY, timeout=0.6)
    await client.open()
    conversation = client.conversation("stopped-1")
    try:
        assert (await conversation.ask("ping", timeout=30)).ok
        engine.process.send_signal(signal.SIGSTOP)
        started = asyncio.get_running_loop().time()
        with pytest.raises(EngineSilent, match="get_query_schemas"):
            await conversation.ask("get_query_schemas")
        assert asyncio.get_running_loop().time() - started < 5
        engine.process.send_signal(signal.SIGCONT)
        reply = await conversation.ask("get_query_kind", {"query_id": "a"}, timeout=30)
        assert reply.message == "Unknown query id: 'a'"
        await asyncio.to_thread(wait_for, lambda: _asked(country, "get_query_schemas") == ATTEMPTS)
        assert (await conversation.ask("ping", timeout=30)).message == "pong"
    finally:
        engine.process.send_signal(signal.SIGCONT)
        await client.close()


async def test_an_engine_that_leaves_is_told_at_once_and_found_again(
    country: Any, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with ExitStack() as stack:
        processes = Processes(country, tmp_path, stack, free_port())
        process = processes.start("server")
        client = EngineClient("127.0.0.1", processes.port, KEY)
        await client.open()
        try:
            # The first request waits for the engine, which is just starting.
            await client.until_connected(60)
            conversation = client.conversation("id-1")
            assert (await conversation.ask("ping")).ok
            process.send_signal(signal.SIGSTOP)
            asked = asyncio.create_task(conversation.ask("run_query", {"query_kind": "flows"}))
            reading = asyncio.create_task(client.conversation("id-2").ask("ping", timeout=90))
            await asyncio.sleep(0)
            process.kill()
            started = asyncio.get_running_loop().time()
            with pytest.raises(EngineAway):
                await asked
            with pytest.raises(EngineAway):
                await client.conversation("id-3").ask("run_query", {"query_kind": "flows"})
            with pytest.raises(EngineAway):
                await reading
            assert asyncio.get_running_loop().time() - started < 2.5 * AWAY_SECONDS
            processes.start("server")
            await client.until_connected(60)
            assert (await client.conversation("id-4").ask("ping")).ok
        finally:
            await client.close()


async def test_an_engine_that_falls_silent_is_away_within_five_seconds(
    country: Any, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Freeze an engine, which looks like a network that breaks."""
    with ExitStack() as stack:
        processes = Processes(country, tmp_path, stack, free_port())
        process = processes.start("server")
        client = EngineClient("127.0.0.1", processes.port, KEY)
        await client.open()
        try:
            await client.until_connected(60)
            process.send_signal(signal.SIGSTOP)
            started = asyncio.get_running_loop().time()
            with pytest.raises(EngineAway):
                await client.conversation("id-1").ask("ping")
            assert asyncio.get_running_loop().time() - started < 5
        finally:
            await client.close()


def _asked(country: Any, action: str) -> int:
    """Count the distinct messages that the engine has answered with this action."""
    with closing(country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT request_id) FROM audit.engine_requests"
            " WHERE request_id LIKE 'stopped-1%%' AND action = %s",
            (action,),
        )
        return int(cursor.fetchone()[0])  # type: ignore[index]


@pytest.mark.parametrize(
    "noise",
    [
        b"not json",
        b"[]",
        b"7",
        b"{}",
        b'{"request_id": "id-1"}',
        b'{"request_id": "nobody", "status": "success"}',
    ],
)
async def test_noise_does_not_stop_the_connection(client: EngineClient, relay: Relay, noise: bytes) -> None:
    asked = asyncio.create_task(client.conversation("id-1").ask("ping"))
    relay.deliver(await relay.carry(), noise)
    reply = await asked
    assert (reply.ok, reply.message) == (True, "pong")


async def test_a_given_up_request_leaves_nothing_behind(client: EngineClient, relay: Relay) -> None:
    asked = asyncio.create_task(client.conversation("id-1").ask("ping"))
    exchange = await relay.carry()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    relay.deliver(exchange)
    assert client._waiting == {}


async def test_an_engine_that_leaves_before_it_takes_a_message_ends_the_wait(
    free_port: Callable[[], int],
) -> None:
    client = EngineClient("127.0.0.1", free_port(), KEY)
    await client.open()
    try:
        # Nobody listens, so that the message stays where it is.
        asked = asyncio.create_task(client.exchange({"request_id": "a", "action": "ping"}, 60))
        await asyncio.wait({asked}, timeout=0)
        client._tell_waiting()
        async with asyncio.timeout(10):
            with pytest.raises(EngineAway):
                await asked
    finally:
        await client.close()
