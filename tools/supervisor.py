"""Run the native stack's services: start them, log them, restart them.

One process, standard library only. A plan file says what to run:

    {"services": [{"name", "command": [...], "environment": {...}, "log", "user": [uid, gid] | null,
                   "stop_signal"}], "status": path}

SIGHUP reads the plan again: new services start, removed services stop, changed services restart. SIGTERM stops
all services in reverse order. The status file holds each service's process id, restarts and last exit.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STOP_GRACE = 20.0
BACK_OFF = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# A service that ran this long has recovered: its next restart waits the shortest pause.
SETTLED = 30.0
LOG_LIMIT = 50 * 2**20


@dataclass
class Service:
    """One service of the plan and the process that runs it now, if any."""

    definition: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    since: float = 0.0
    restarts: int = 0
    failures: int = 0
    last_exit: int | None = None
    due: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        return str(self.definition["name"])

    def start(self) -> None:
        log = Path(self.definition["log"])
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        user, group = self.definition.get("user") or (None, None)
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                self.definition["command"],
                env=self.definition["environment"],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_supervisor,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )
        self.started = time.monotonic()
        self.since = time.time()

    def reap(self) -> bool:
        """Detect a death and schedule the restart; return whether there was a death."""
        if self.process is None or self.process.poll() is None:
            return False
        self.last_exit = self.process.returncode
        lasted = time.monotonic() - self.started
        self.failures = 0 if lasted > SETTLED else self.failures
        pause = BACK_OFF[min(self.failures, len(BACK_OFF) - 1)]
        self.failures += 1
        self.restarts += 1
        self.due = time.monotonic() + pause
        _say(f"{self.name} ended with {self.last_exit} after {lasted:.0f} s; restarting in {pause} s")
        # Children of the dead service would hold its ports.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process = None
        return True

    def stop(self) -> None:
        """Signal the service to stop and kill it after the grace period."""
        if self.process is None:
            return
        group = self.process.pid
        stop_signal = signal.Signals[self.definition.get("stop_signal", "SIGTERM")]
        with contextlib.suppress(ProcessLookupError):
            # PostgreSQL forwards the signal to its children and treats a second signal as more urgent.
            os.kill(group, stop_signal)
        try:
            self.process.wait(STOP_GRACE)
        except subprocess.TimeoutExpired:
            _say(f"{self.name} did not end within {STOP_GRACE:.0f} s and is killed")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def report(self) -> dict[str, Any]:
        return {
            "pid": self.process.pid if self.process else None,
            "since": self.since,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "log": self.definition["log"],
        }


class Supervisor:
    """Start, watch and stop all services in a loop."""

    def __init__(self, plan: Path) -> None:
        self.plan = plan
        self.services: dict[str, Service] = {}
        self.stopping = False
        self.reload = True
        self.status: Path = plan.with_name("status.json")

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        # A wake-up pipe makes signals, including a child's death, end the wait.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        wake, alarm = os.pipe()
        os.set_blocking(alarm, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        while not self.stopping:
            if self.reload:
                self.reload = False
                self._read_plan()
            changed = False
            for service in self.services.values():
                changed |= service.reap()
                if service.process is None and service.due <= time.monotonic():
                    service.start()
                    changed = True
            if changed:
                self._write_status()
            self._wait(wake)
        for service in reversed(list(self.services.values())):
            service.stop()
        self.status.unlink(missing_ok=True)

    def _wait(self, wake: int) -> None:
        pauses = [service.due - time.monotonic() for service in self.services.values() if not service.process]
        select.select([wake], [], [], max(0.01, min([5.0, *pauses])))
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)

    def _read_plan(self) -> None:
        plan = json.loads(self.plan.read_text())
        wanted = {definition["name"]: definition for definition in plan["services"]}
        for name in list(self.services):
            if wanted.get(name) != self.services[name].definition:
                self.services.pop(name).stop()
        # Services start in the plan's order.
        self.services = {
            name: self.services.get(name) or Service(definition) for name, definition in wanted.items()
        }
        self._write_status()

    def _write_status(self) -> None:
        report = {
            "supervisor": os.getpid(),
            "services": {service.name: service.report() for service in self.services.values()},
        }
        draft = self.status.with_suffix(".new")
        draft.write_text(json.dumps(report, indent=1))
        draft.replace(self.status)

    def _on_stop(self, *_: object) -> None:
        self.stopping = True

    def _on_reload(self, *_: object) -> None:
        self.reload = True


def _die_with_supervisor() -> None:
    """Make the child end with a killed supervisor, so that no process holds ports."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGINT)


def _say(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", flush=True)


def main() -> None:
    plan = Path(sys.argv[1])
    lock = plan.with_name("supervisor.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("Another supervisor runs this plan.")
    Supervisor(plan).run()


if __name__ == "__main__":
    main()
