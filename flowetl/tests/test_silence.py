"""Tell a server that is slow from one that is gone."""

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flowetl.silence import GONE_SECONDS, SLOW_SECONDS, Look, Silence, look_at_server

SERVER = (
    "import http.server, sys; "
    "server = http.server.HTTPServer(('127.0.0.1', 0), http.server.BaseHTTPRequestHandler); "
    "print(server.server_port, flush=True); server.serve_forever()"
)


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Serve every path with one status; yield the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "look"), [(200, "answers"), (401, "answers"), (500, "slow"), (503, "slow")]
)
def test_what_answers_is_there(status: int, look: Look) -> None:
    with answering(status) as url:
        assert look_at_server(url, 30) == look


def test_a_stopped_server_is_slow_and_a_dead_one_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/api"
            os.kill(server.pid, signal.SIGSTOP)
            assert look_at_server(url, 0.5) == "slow"
        finally:
            server.kill()
    assert look_at_server(url, 30) == "gone"
    assert look_at_server("http://no-such-host.invalid:4200/api", 30) == "gone"


def test_a_server_whose_queue_is_full_is_slow() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        assert look_at_server(f"http://127.0.0.1:{server.getsockname()[1]}/api", 0.5) == "slow"
        for one in waiting:
            one.close()


@pytest.mark.parametrize(
    ("looks", "outage"),
    [
        ([(0, "answers"), (2, "answers")], False),
        ([(0, "slow"), (GONE_SECONDS + 40, "answers")], False),
        ([(0, "slow"), (SLOW_SECONDS + 1, "answers")], True),
        ([(0, "gone"), (GONE_SECONDS, "answers")], False),
        ([(0, "gone"), (GONE_SECONDS + 1, "answers")], True),
        # A server that starts again accepts connections before it answers.
        ([(0, "gone"), (5, "slow"), (GONE_SECONDS + 1, "answers")], True),
        ([(0, "slow"), (15, "gone"), (GONE_SECONDS + 1, "answers")], True),
        ([(0, "gone"), (5, "answers"), (10, "gone"), (25, "answers")], False),
    ],
)
def test_how_long_a_silence_may_last(looks: list[tuple[float, Look]], outage: bool) -> None:
    silence = Silence()
    for at, look in looks:
        assert not silence.was_outage
        silence.note(look, at)
    assert silence.was_outage is outage
    silence.note("answers", looks[-1][0] + 2)
    assert not silence.was_outage
