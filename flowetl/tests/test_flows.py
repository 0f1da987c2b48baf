"""Schedules, against a real Prefect server."""

import asyncio
import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
import requests

from flowetl.errors import Busy, Changed, DataFault, NotReady, UnexpectedFault, Unreachable

DEADLINE_SECONDS = 150


def wait_for(condition: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in time:\n{log.read_text()[-4000:]}"
        time.sleep(0.5)


@dataclass
class Server:
    """A Prefect server of a test's own, not started yet."""

    url: str
    start: Callable[[], None]


@pytest.fixture
def prefect(operator, tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    operator.environment |= {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "DO_NOT_TRACK": "1",
    }
    log = tmp_path / "server.log"
    command = [Path(sys.executable).with_name("prefect"), "server", "start", "--host", "127.0.0.1"]
    with ExitStack() as stack:

        def start() -> None:
            output = stack.enter_context(log.open("w"))
            server = subprocess.Popen(
                [*command, "--port", str(port)],
                env=operator.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(server.wait, 30)
            stack.callback(os.killpg, server.pid, signal.SIGTERM)
            wait_for(lambda: _healthy(url), "a healthy Prefect server", log)

        yield Server(url, start)


def _healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.mark.timeout(400)
def test_a_schedule_fires_and_loads_what_is_missing(operator, prefect, tmp_path):
    """Three days are due: one is there already, one has its file, yesterday's is waited for."""
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    before = yesterday - dt.timedelta(days=1)
    for path in operator.deployment.sources_folder.glob("*.yml"):
        if path.stem != "calls":
            path.unlink()
    config = operator.deployment.sources_folder / "calls.yml"
    text = config.read_text().replace('"0 2 * * *"', '"* * * * * */5"')
    config.write_text(text.replace("start: 2016-01-01", f"start: {before - dt.timedelta(days=5)}"))
    for day in (before, yesterday):
        operator.write("calls", [operator.call("a", "10:00:00", operator.alice, operator.bob, day=day)], day)

    log = tmp_path / "serve.log"
    with log.open("w") as output:
        served = subprocess.Popen(
            [sys.executable, "-m", "flowetl", "serve"],
            env=operator.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            # Both are started at once, and the server takes longer.
            wait_for(lambda: "waiting for the Prefect server" in log.read_text(), "a loader that waits", log)
            prefect.start()
            wait_for(
                lambda: operator.value("SELECT count(*) FROM etl.available_dates") == 2,
                "the scheduled load",
                log,
            )
            flows = requests.post(f"{prefect.url}/flows/filter", json={}, timeout=10).json()
            assert [flow["name"] for flow in flows] == ["load-calls"]
            tasks = requests.post(f"{prefect.url}/task_runs/filter", json={}, timeout=10).json()
            names = {task["name"].rsplit("-", 1)[0] for task in tasks}
            assert {"wait_for_data", "check_not_in_flux", "extract", "columnar", "quality", "attach"} <= names
            served.send_signal(signal.SIGTERM)
            assert served.wait(60) == 0
        finally:
            served.kill()
            served.wait()
    assert operator.alice.msisdn not in log.read_text()


@pytest.mark.parametrize(
    ("error", "tried_again"),
    [
        (NotReady("has not come for as long as the source waits"), False),
        (DataFault("is malformed"), False),
        (Changed("changed while it was read"), True),
        (Busy("is being loaded"), True),
        (Unreachable(psycopg2.OperationalError("refused")), True),
        (UnexpectedFault(psycopg2.InterfaceError("connection already closed")), True),
        (UnexpectedFault(ValueError()), False),
    ],
)
def test_what_is_tried_again(error: Exception, tried_again: bool) -> None:
    from prefect.states import Failed

    from flowetl.flows import _may_pass, load_one_day

    assert asyncio.run(_may_pass(load_one_day, None, Failed(data=error))) is tried_again
