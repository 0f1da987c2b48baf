"""The connection to the engine when replies come late, out of order, broken or not at all.

A healthy engine does none of this on demand, so these tests hold the other end of the wire themselves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import zmq

from flowapi.engine import ATTEMPTS, EngineClient, EngineSilent

pytestmark = pytest.mark.anyio

Router = tuple["zmq.Socket[bytes]", int]


class Peer:
    """The engine's end of the wire."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._identity = b""

    async def receive(self) -> dict[str, Any]:
        identity, delimiter, body = await asyncio.to_thread(self._socket.recv_multipart)
        assert delimiter == b""
        self._identity = identity
        return json.loads(body)

    def send(self, message: dict[str, Any] | bytes) -> None:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._socket.send_multipart([self._identity, b"", body])

    def answer(self, request: dict[str, Any], **payload: Any) -> None:
        self.send({"status": "success", "msg": "", "payload": payload, "request_id": request["request_id"]})


@pytest.fixture
def peer(router: Router) -> Peer:
    return Peer(router[0])


@pytest.fixture
async def client(router: Router) -> AsyncIterator[EngineClient]:
    client = EngineClient("127.0.0.1", router[1], timeout=0.6, run_timeout=0.3)
    await client.open()
    yield client
    await client.close()


async def test_the_envelope(client: EngineClient, peer: Peer) -> None:
    asked = asyncio.create_task(client.conversation("id-1").ask("poll_query", {"query_id": "a"}))
    request = await peer.receive()
    assert request == {"action": "poll_query", "request_id": "id-1", "params": {"query_id": "a"}}
    peer.send({"status": "error", "msg": "no", "payload": {"query_state": "awol"}, "request_id": "id-1"})
    reply = await asked
    assert (reply.ok, reply.message, reply.state) == (False, "no", "awol")


async def test_actions_without_params_send_none(client: EngineClient, peer: Peer) -> None:
    asked = asyncio.create_task(client.conversation("id-1").ask("ping"))
    request = await peer.receive()
    assert request == {"action": "ping", "request_id": "id-1"}
    peer.answer(request)
    assert (await asked).ok


async def test_replies_find_their_requests_in_any_order(client: EngineClient, peer: Peer) -> None:
    asked = [
        asyncio.create_task(client.conversation(f"id-{number}").ask("poll_query", {"query_id": str(number)}))
        for number in range(5)
    ]
    requests = [await peer.receive() for _ in asked]
    for request in reversed(requests):
        peer.answer(request, echo=request["params"]["query_id"])
    assert [(await reply).payload["echo"] for reply in asked] == ["0", "1", "2", "3", "4"]


async def test_reading_is_repeated_and_a_late_reply_is_not_taken_for_the_next(
    client: EngineClient, peer: Peer
) -> None:
    conversation = client.conversation("id-1")
    asked = asyncio.create_task(conversation.ask("get_query_params", {"query_id": "a"}))
    first = await peer.receive()
    second = await peer.receive()
    assert first["request_id"] != second["request_id"]
    peer.answer(second, which="second")
    assert (await asked).payload == {"which": "second"}
    asked = asyncio.create_task(conversation.ask("get_aggregation_unit", {"query_kind": "flows"}))
    third = await peer.receive()
    peer.answer(first, which="first, late")
    peer.answer(third, which="third")
    assert (await asked).payload == {"which": "third"}


async def test_running_is_never_repeated(client: EngineClient, peer: Peer) -> None:
    asked = asyncio.create_task(client.conversation("id-1").ask("run_query", {"query_kind": "flows"}))
    assert (await peer.receive())["action"] == "run_query"
    with pytest.raises(EngineSilent, match="run_query"):
        await asked
    marker = asyncio.create_task(client.conversation("id-2").ask("ping"))
    request = await peer.receive()
    assert request["action"] == "ping"
    peer.answer(request)
    await marker


async def test_a_silent_engine_is_given_up_after_the_timeout(client: EngineClient, peer: Peer) -> None:
    started = asyncio.get_running_loop().time()
    with pytest.raises(EngineSilent, match="get_query_schemas"):
        await client.conversation("id-1").ask("get_query_schemas")
    assert asyncio.get_running_loop().time() - started < 5
    assert len({(await peer.receive())["request_id"] for _ in range(ATTEMPTS)}) == ATTEMPTS


@pytest.mark.parametrize(
    "garbage",
    [
        b"not json",
        b"[]",
        b"7",
        b"{}",
        b'{"request_id": "id-1"}',
        b'{"request_id": "nobody", "status": "success"}',
    ],
)
async def test_garbage_does_not_stop_the_connection(client: EngineClient, peer: Peer, garbage: bytes) -> None:
    asked = asyncio.create_task(client.conversation("id-1").ask("ping"))
    request = await peer.receive()
    peer.send(garbage)
    peer.answer(request, good=True)
    assert (await asked).payload == {"good": True}


async def test_a_given_up_request_leaves_nothing_behind(client: EngineClient, peer: Peer) -> None:
    asked = asyncio.create_task(client.conversation("id-1").ask("ping"))
    request = await peer.receive()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    peer.answer(request)
    assert client._waiting == {}
