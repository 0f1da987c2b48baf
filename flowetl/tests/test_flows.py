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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests

from flowetl.errors import Busy, Changed, DataFault, NotReady, UnexpectedFault, Unreachable
from flowetl.records import is_held

DEADLINE_SECONDS = 150


def wait_for(condition: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in time:\n{log.read_text()[-4000:]}"
        time.sleep(0.5)


PASSWORD = "the password of prefect"


@dataclass
class Server:
    """A Prefect server of a test's own, not started yet."""

    url: str
    begin: Callable[[], None]
    log: Path
    kill: Callable[[], None]
    stop: Callable[[int], None]
    """Send all its processes a signal."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.begin()
        wait_for(lambda: _healthy(self.url), "a healthy Prefect server", self.log)

    def ask(self, route: str, body: Any) -> requests.Response:
        return requests.post(f"{self.url}/{route}", json=body, auth=("flowetl", PASSWORD), timeout=30)

    def post(self, route: str, **body: Any) -> Any:
        deadline = time.monotonic() + DEADLINE_SECONDS
        # While another writes to its database, the server asks for patience.
        while (answer := self.ask(route, body)).status_code == 503:
            assert time.monotonic() < deadline, f"{route} is not available"
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json()

    def runs_of(self, task: str) -> set[str]:
        """The flow runs in which a task is running."""
        running = {"name": {"any_": [task]}, "state": {"type": {"any_": ["RUNNING"]}}}
        return {run["flow_run_id"] for run in self.post("task_runs/filter", task_runs=running)}

    def states(self) -> list[str]:
        # One answer holds 200 runs, and many more may be scheduled.
        begun = {"state": {"type": {"not_any_": ["SCHEDULED"]}}}
        return [run["state_type"] for run in self.post("flow_runs/filter", flow_runs=begun)]


@pytest.fixture
def prefect(operator, tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    operator.environment |= {
        "FLOWETL_PREFECT_PASSWORD": PASSWORD,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "DO_NOT_TRACK": "1",
    }
    log = tmp_path / "server.log"
    command = [sys.executable, "-m", "flowetl", "prefect-server", "--host", "127.0.0.1"]
    servers: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        with log.open("a") as output:
            server = subprocess.Popen(
                [*command, "--port", str(port)],
                env=operator.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        servers.append(server)

    def kill() -> None:
        os.killpg(servers[-1].pid, signal.SIGKILL)
        servers.pop().wait(30)

    def stop(number: int) -> None:
        os.killpg(servers[-1].pid, number)

    yield Server(url, begin, log, kill, stop)
    for server in servers:
        os.killpg(server.pid, signal.SIGCONT)
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.ConnectionError:
        return False


def scheduled_every_five_seconds(operator, **changed: str) -> tuple[dt.date, dt.date]:
    """Leave recent calls unloaded; return the day before yesterday and yesterday."""
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    before = yesterday - dt.timedelta(days=1)
    for path in operator.deployment.sources_folder.glob("*.yml"):
        if path.stem != "calls":
            path.unlink()
    config = operator.deployment.sources_folder / "calls.yml"
    changes = {
        '"0 2 * * *"': '"* * * * * */5"',
        "start: 2016-01-01": f"start: {before - dt.timedelta(days=5)}",
    }
    text = config.read_text()
    for old, new in (changes | changed).items():
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)
    return before, yesterday


def write(operator, day: dt.date) -> None:
    operator.write("calls", [operator.call("a", "10:00:00", operator.alice, operator.bob, day=day)], day)


@pytest.mark.timeout(400)
def test_a_schedule_fires_and_loads_what_is_missing(operator, prefect, tmp_path):
    """Check three due days: one is loaded, one has its file, one is waited for."""
    before, yesterday = scheduled_every_five_seconds(operator)
    for day in (before, yesterday):
        write(operator, day)

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
            flows = prefect.post("flows/filter")
            assert [flow["name"] for flow in flows] == ["load-calls"]
            # The server learns of steps by events, which it may read later than the day is there.
            steps = {"wait_for_data", "check_not_in_flux", "extract", "columnar", "quality", "attach"}
            wait_for(
                lambda: (
                    steps <= {task["name"].rsplit("-", 1)[0] for task in prefect.post("task_runs/filter")}
                ),
                "the steps on the server",
                log,
            )
            shown = ("load-calls", "load-calls-quality")
            wait_for(
                lambda: {found["key"] for found in prefect.post("artifacts/filter")} >= set(shown),
                "what the pages of runs show",
                log,
            )
            tables = {found["key"]: found["data"] for found in prefect.post("artifacts/latest/filter")}
            assert f'"date": "{before}", "state": "loaded", "rows": "1"' in tables["load-calls"]
            assert '"check": "count_added_rows"' in tables["load-calls-quality"]
            report = operator.deployment.rejects / "loading.html"
            wait_for(report.exists, "the report", log)
            assert "<html" in report.read_text()
            served.send_signal(signal.SIGTERM)
            assert served.wait(60) == 0
        finally:
            served.kill()
            served.wait()
    for text in (log.read_text(), *map(str, tables.values())):
        assert operator.alice.msisdn not in text


def test_a_load_asks_for_a_look_at_reports(operator, prefect, tmp_path):
    """Ask where reports are served; elsewhere, or without an answer, go on."""
    prefect.start()
    command = [sys.executable, "-c", "from flowetl.reportsignal import wake; wake()"]
    # As the loader gives it to its flows.
    environment = operator.environment | {"PREFECT_API_AUTH_STRING": f"flowetl:{PASSWORD}"}

    def woken() -> int:
        subprocess.run(command, env=environment, check=True, timeout=DEADLINE_SECONDS)
        return sum(run["deployment_id"] is not None for run in prefect.post("flow_runs/filter"))

    assert woken() == 0
    flow = prefect.post("flows/", name="reports-due")
    prefect.post("deployments/", name="reports", flow_id=flow["id"])
    assert woken() == 1
    prefect.kill()
    subprocess.run(command, env=environment, check=True, timeout=DEADLINE_SECONDS)


def test_a_paused_schedule_is_told(operator, prefect):
    assert "paused" not in operator.command("status").stdout
    prefect.start()
    nightly = {"schedule": {"cron": "0 3 * * *"}, "active": True}
    for name, changed in (("calls", {"paused": True}), ("sms", {}), ("mds", {"active": False})):
        flow = prefect.post("flows/", name=f"load-{name}")
        schedules = [nightly | {key: value for key, value in changed.items() if key == "active"}]
        paused = changed.get("paused", False)
        prefect.post("deployments/", name=name, flow_id=flow["id"], paused=paused, schedules=schedules)
    told = operator.command("status").stdout
    assert {line.split(":")[0] for line in told.splitlines() if "schedule is paused" in line} == {
        "calls",
        "mds",
    }


def test_the_server_of_schedules_answers_nobody_without_its_password(prefect):
    """Check that no page in a browser, and no other user, can have it run anything."""
    prefect.start()
    page = {"Origin": "http://evil.example"}
    for account in (None, ("flowetl", ""), ("flowetl", PASSWORD + "x"), ("admin", PASSWORD)):
        for route in ("flows/filter", "deployments/filter", "block_documents/filter"):
            answer = requests.post(f"{prefect.url}/{route}", json={}, auth=account, headers=page, timeout=10)
            assert answer.status_code == 401
    asked = page | {"Access-Control-Request-Method": "POST"}
    answer = requests.options(f"{prefect.url}/flows/filter", headers=asked, timeout=10)
    assert "Access-Control-Allow-Origin" not in answer.headers
    # A stranger's name that leads to this machine makes the stranger's page the server's own.
    for host, expected in (("evil.example", 400), ("127.0.0.1.evil.example", 400), ("localhost:1", 200)):
        own = {"auth": ("flowetl", PASSWORD), "headers": {"Host": host}, "timeout": 10}
        assert requests.post(f"{prefect.url}/flows/filter", json={}, **own).status_code == expected
    assert prefect.post("flows/filter") == []


@pytest.mark.parametrize("command", ["serve", "prefect-server"])
@pytest.mark.parametrize(
    ("password", "told"), [("", "is not set"), ("short", "cannot be used: it must be 16 characters or more")]
)
def test_neither_end_of_prefect_starts_without_a_password(operator, command, password, told):
    environment = operator.environment | {"FLOWETL_PREFECT_PASSWORD": password}
    done = subprocess.run(
        [sys.executable, "-m", "flowetl", command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert f"FLOWETL_PREFECT_PASSWORD {told}" in done.stderr
    assert "Traceback" not in done.stderr


def is_waiting(operator, day: dt.date) -> bool:
    """Return whether a load that waits for its file holds the day."""
    with operator.deployment.connect() as connection, connection.cursor() as cursor:
        return is_held(cursor, "calls", day)


def process_of(run_id: str) -> int:
    """The process of a flow run."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"PREFECT__FLOW_RUN_ID={run_id}".encode() in path.read_bytes():
                return int(path.parent.name)
    raise AssertionError(f"no process of {run_id}")


def available(operator) -> set[dt.date]:
    return {date for (date,) in operator.rows("SELECT cdr_date FROM etl.available_dates")}


def limited_by_a_slot_of_the_dead(prefect: Server) -> None:
    """Provide an earlier version's deployment whose only slot a killed run holds."""
    flow = prefect.post("flows/", name="load-calls")
    options = {"collision_strategy": "CANCEL_NEW"}
    deployment = prefect.post(
        "deployments/", name="calls", flow_id=flow["id"], concurrency_limit=1, concurrency_options=options
    )
    run = prefect.post(f"deployments/{deployment['id']}/create_flow_run")
    for state in ("PENDING", "RUNNING"):
        prefect.post(f"flow_runs/{run['id']}/set_state", state={"type": state})
    assert prefect.states() == ["RUNNING"]


@pytest.mark.timeout(900)
def test_nothing_that_is_killed_or_hangs_ends_a_schedule(operator, prefect, tmp_path):
    """Let a run hang, then kill loader and Prefect twice: every day is loaded."""
    before, yesterday = scheduled_every_five_seconds(operator, **{"timeout: 5, poll": "timeout: 600, poll"})
    log = tmp_path / "serve.log"
    running: list[subprocess.Popen[bytes]] = []

    def serve() -> None:
        with log.open("a") as output:
            command = [sys.executable, "-m", "flowetl", "serve"]
            running.append(
                subprocess.Popen(command, env=operator.environment, stdout=output, stderr=subprocess.STDOUT)
            )

    def kill() -> None:
        running[-1].kill()
        running.pop().wait(30)

    try:
        prefect.start()
        limited_by_a_slot_of_the_dead(prefect)
        serve()
        wait_for(lambda: is_waiting(operator, yesterday), "a run that waits for yesterday's file", log)
        wait_for(lambda: bool(prefect.runs_of(f"calls {yesterday}")), "a task known to the server", log)
        os.kill(process_of(*prefect.runs_of(f"calls {yesterday}")), signal.SIGSTOP)
        write(operator, before)
        wait_for(lambda: before in available(operator), "the next run beside one that hangs", log)

        for _ in range(2):
            kill()
            prefect.kill()
            wait_for(lambda: not is_waiting(operator, yesterday), "the end of the killed loader's run", log)
            prefect.start()
            serve()
            wait_for(lambda: is_waiting(operator, yesterday), "a run after both were killed", log)

        prefect.kill()
        # Longer than parts of Prefect's runner bear.
        outage = time.monotonic() + 20
        wait_for(lambda: time.monotonic() > outage, "an outage", log)
        prefect.start()
        wait_for(lambda: "serving is begun again" in log.read_text(), "a loader that begins again", log)
        wait_for(lambda: is_waiting(operator, yesterday), "a run after the server was killed", log)
        write(operator, yesterday)
        wait_for(lambda: yesterday in available(operator), "yesterday", log)
        states = prefect.states()
        assert states.count("CRASHED") >= 3
        assert "CANCELLED" not in states
        # Whatever was killed, no day was loaded twice.
        finished = operator.rows(
            "SELECT cdr_date FROM etl.loads WHERE state IN ('ingested', 'superseded') ORDER BY 1"
        )
        assert finished == [(before,), (yesterday,)]
        running[-1].send_signal(signal.SIGTERM)
        assert running.pop().wait(60) == 0
    finally:
        while running:
            kill()


@pytest.mark.timeout(600)
def test_a_load_goes_on_while_the_server_of_schedules_is_silent(operator, prefect, tmp_path):
    """Load a day while Prefect's server is silent for longer than an outage may be."""
    before, yesterday = scheduled_every_five_seconds(operator, **{"timeout: 5, poll": "timeout: 600, poll"})
    log = tmp_path / "serve.log"
    prefect.start()
    with log.open("w") as output:
        command = [sys.executable, "-m", "flowetl", "serve"]
        served = subprocess.Popen(command, env=operator.environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(
            lambda: bool(prefect.runs_of(f"calls {yesterday}")), "a run that waits for yesterday's file", log
        )
        (run,) = prefect.runs_of(f"calls {yesterday}")
        process = process_of(run)
        silent = time.monotonic()
        prefect.stop(signal.SIGSTOP)
        write(operator, yesterday)
        wait_for(lambda: yesterday in available(operator), "yesterday, without the server", log)
        wait_for(lambda: time.monotonic() > silent + SILENCE_SECONDS, "a long silence", log)
        assert process == process_of(run)
        prefect.stop(signal.SIGCONT)
        wait_for(lambda: state_of(prefect, run) == "COMPLETED", "the end of the run", log)
        # The schedule goes on, too.
        write(operator, before)
        wait_for(lambda: before in available(operator), "the day before", log)
        assert "serving is begun again" not in log.read_text()
        assert "CRASHED" not in prefect.states()
        served.send_signal(signal.SIGTERM)
        assert served.wait(60) == 0
    finally:
        served.kill()
        served.wait(30)


SILENCE_SECONDS = 40


def state_of(prefect: Server, run: str) -> str:
    """Return the state of a flow run."""
    (state,) = [
        found["state_type"] for found in prefect.post("flow_runs/filter", flow_runs={"id": {"any_": [run]}})
    ]
    return state


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
