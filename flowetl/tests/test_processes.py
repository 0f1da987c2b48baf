"""Check that scheduled runs are killed when they hang or lose their server."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowetl import processes
from flowetl.errors import ConfigurationError

SLEEPER = "import time; time.sleep(600)"


@pytest.fixture
def run() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started = []

    def start(**variables: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", SLEEPER], env={**os.environ, **variables}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(30)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_that_hangs_is_killed_and_nothing_else(run) -> None:
    hung, other = run(PREFECT__FLOW_RUN_ID="a"), run()
    wait_for(lambda: [found.run_id for found in processes.runs_at_work()] == ["a"])
    hung.send_signal(signal.SIGSTOP)
    assert processes.end_runs(longest=3600) == []
    stopping = threading.Event()
    watching = threading.Thread(target=processes.end_hung_runs, args=(0.2, stopping, 0.05))
    watching.start()
    assert hung.wait(30) == -signal.SIGKILL
    stopping.set()
    watching.join(30)
    assert other.poll() is None
    assert processes.runs_at_work() == []


def test_one_process_serves(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(processes.PARENT, "")
    with (
        processes.only_server(tmp_path / "rejects"),
        pytest.raises(ConfigurationError, match="another process serves the sources already"),
        processes.only_server(tmp_path / "rejects"),
    ):
        raise AssertionError
    with processes.only_server(tmp_path / "rejects"):
        assert os.environ[processes.PARENT] == str(os.getpid())


ENDS_WITH_SERVER = (
    "from flowetl.processes import end_with_server; end_with_server(); print('alive', flush=True); "
)
SERVER = f"""
import os, subprocess, sys, time
os.environ["SERVED_BY_PROCESS"] = str(os.getpid())
child = subprocess.Popen([sys.executable, "-c", {ENDS_WITH_SERVER + SLEEPER!r}])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_run_ends_with_its_server() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            told = {server.stdout.readline().strip(), server.stdout.readline().strip()}
            assert "alive" in told
            (child,) = told - {"alive"}
        finally:
            server.kill()
    wait_for(lambda: not _lives(int(child)))


def _lives(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_a_run_whose_server_is_gone_does_not_begin() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS_WITH_SERVER],
        env={**os.environ, processes.PARENT: "1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == b""
