"""Try to reach the engine's port without its secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing

import pytest
import zmq

from flowmachine.testing import KEY, Processes
from flowsettings import channel

OTHER = "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2"
PING = json.dumps({"action": "ping", "request_id": "1"}).encode()


def answer(processes: Processes, prepare: Callable[[zmq.Socket[bytes]], None]) -> bytes | None:
    """Return the reply to a ping through a socket prepared like this, or None."""
    with zmq.Context() as context, closing(context.socket(zmq.DEALER)) as socket:
        socket.linger = 0
        prepare(socket)
        socket.connect(f"tcp://127.0.0.1:{processes.port}")
        socket.send_multipart([b"", PING])
        return socket.recv_multipart()[1] if socket.poll(1_500) else None


def know_the_server_only(socket: zmq.Socket[bytes]) -> None:
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
    socket.curve_serverkey = channel.keys(KEY, "server")[0]


@pytest.mark.parametrize(
    "prepare",
    [lambda socket: None, lambda socket: channel.connect(socket, OTHER), know_the_server_only],
    ids=["in the clear", "another secret", "the server's public key and a key of its own"],
)
def test_a_program_without_the_secret_gets_no_answer(
    processes: Processes, prepare: Callable[[zmq.Socket[bytes]], None]
) -> None:
    server = processes.start("server")
    assert processes.client().ask("ping")["msg"] == "pong"
    assert answer(processes, prepare) is None
    assert answer(processes, lambda socket: channel.connect(socket, KEY)) is not None
    assert server.poll() is None


def test_the_server_does_not_start_without_a_secret(processes: Processes) -> None:
    for given, told in (("", "FLOWMACHINE_KEY"), ("0" * 64, "FLOWMACHINE_KEY cannot be used")):
        server = processes.start("server", FLOWMACHINE_KEY=given)
        assert server.wait(60) != 0
        assert told in processes.logs()


def test_a_worker_needs_no_secret_of_the_port(processes: Processes) -> None:
    processes.start("server")
    processes.start("worker", FLOWMACHINE_KEY="")
    client = processes.client()
    question = {
        "query_kind": "spatial_aggregate",
        "locations": {
            "query_kind": "daily_location",
            "date": "2016-01-01",
            "method": "last",
            "aggregation_unit": "admin3",
        },
    }
    query_id = client.ask("run_query", **question)["payload"]["query_id"]
    assert client.until_done(query_id) == "completed"
