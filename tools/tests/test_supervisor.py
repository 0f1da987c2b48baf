"""Check that the supervisor starts, restarts and stops what its plan names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SUPERVISOR = Path(__file__).parents[1] / "supervisor.py"
DEADLINE = 20.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            if value := condition():
                return value
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.02)
    pytest.fail(f"waited {DEADLINE} s for {what}")


class Running:
    """Hold a supervisor and its plan."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = folder / "plan.json"
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, **services: str) -> None:
        """Write a plan; each service is a line of Python."""
        definitions = [
            {
                "name": name,
                "command": [sys.executable, "-c", code],
                "environment": {"FOLDER": str(self.folder)},
                "log": str(self.folder / f"{name}.log"),
            }
            for name, code in services.items()
        ]
        self.plan.write_text(json.dumps({"services": definitions}))

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, str(SUPERVISOR), str(self.plan)])

    def report(self, name: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.folder / "status.json").read_text())["services"][name]
        return report

    def pid(self, name: str) -> int:
        return int(wait_for(lambda: self.report(name)["pid"], f"{name} to run"))

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(DEADLINE)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    supervisor = Running(tmp_path)
    yield supervisor
    supervisor.stop()


SLEEPER = "import time; time.sleep(600)"


def alive(process: int) -> bool:
    # A killed child of a killed parent may linger as a zombie until init reaps it.
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_killed_service_comes_back_and_the_others_stay(running: Running) -> None:
    running.write(one=SLEEPER, two=SLEEPER)
    running.start()
    first, other = running.pid("one"), running.pid("two")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: running.report("one")["restarts"] == 1, "the death to be noticed")
    again = wait_for(lambda: running.report("one")["pid"], "the restart")
    assert again != first
    assert running.report("one")["last_exit"] == -signal.SIGKILL
    assert running.pid("two") == other
    assert running.report("two")["restarts"] == 0


def test_children_of_a_dead_service_do_not_hold_its_place(running: Running) -> None:
    code = (
        "import os, subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        " open(os.environ['FOLDER'] + '/child', 'w').write(str(child.pid)); time.sleep(600)"
    )
    running.write(one=code)
    running.start()
    parent = running.pid("one")
    child = int(wait_for(lambda: (running.folder / "child").read_text(), "the child"))
    os.kill(parent, signal.SIGKILL)
    wait_for(lambda: not alive(child), "the child to end")


def test_a_changed_plan_starts_stops_and_keeps(running: Running) -> None:
    running.write(kept=SLEEPER, dropped=SLEEPER)
    running.start()
    kept, dropped = running.pid("kept"), running.pid("dropped")
    running.write(kept=SLEEPER, added=SLEEPER)
    assert running.process is not None
    running.process.send_signal(signal.SIGHUP)
    running.pid("added")
    assert running.pid("kept") == kept
    wait_for(lambda: not alive(dropped), "the dropped service to end")


def test_stopping_ends_all_last_started_first(running: Running) -> None:
    code = (
        "import os, signal, sys, time\n"
        "def end(*_):\n"
        "    with open(os.environ['FOLDER'] + '/order', 'a') as file: file.write('{name} ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "open(os.environ['FOLDER'] + '/{name}.ready', 'w').close()\n"
        "time.sleep(600)"
    )
    running.write(**{name: code.replace("{name}", name) for name in ("first", "second")})
    running.start()
    for name in ("first", "second"):
        wait_for((running.folder / f"{name}.ready").exists, name)
    running.stop()
    assert (running.folder / "order").read_text().split() == ["second", "first"]
    assert not (running.folder / "status.json").exists()


def test_a_killed_supervisor_takes_its_services_along(running: Running) -> None:
    running.write(one=SLEEPER)
    running.start()
    service = running.pid("one")
    assert running.process is not None
    running.process.kill()
    running.process.wait(DEADLINE)
    wait_for(lambda: not alive(service), "the service to end")


def test_a_service_that_keeps_dying_is_tried_at_growing_intervals(running: Running) -> None:
    running.write(one="raise SystemExit('no configuration')")
    running.start()
    begin = time.monotonic()
    wait_for(lambda: running.report("one")["restarts"] >= 3, "three deaths")
    # Pauses of 0.5 and 1 s lie between the first and the third death.
    assert time.monotonic() - begin >= 1.5
    assert running.report("one")["last_exit"] == 1
    assert "no configuration" in (running.folder / "one.log").read_text()


def test_a_second_supervisor_of_the_same_plan_refuses(running: Running) -> None:
    running.write(one=SLEEPER)
    running.start()
    running.pid("one")
    second = subprocess.run(
        [sys.executable, str(SUPERVISOR), str(running.plan)], capture_output=True, text=True
    )
    assert second.returncode != 0
    assert "Another supervisor" in second.stderr
