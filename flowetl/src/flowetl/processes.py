"""Manage processes of scheduled runs: none outlives its server or hangs for ever."""

import ctypes
import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import structlog

from flowetl.errors import ConfigurationError

_log = structlog.get_logger(__name__)

PARENT = "SERVED_BY_PROCESS"
"""The variable that tells a run the process that serves it."""
_RUN = b"PREFECT__FLOW_RUN_ID="
_SET_DEATH_SIGNAL = 1
_LOOK_SECONDS = 10.0


@contextmanager
def only_server(folder: Path) -> Iterator[None]:
    """Ensure that one process serves a deployment's sources.

    The lock ends with the process, however it ends.

    Raises
    ------
    ConfigurationError
        When another one serves them: each would take the other's runs for abandoned.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".serve.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another process serves the sources already (it holds {lock.name}): stop it first"
            ) from None
        os.environ[PARENT] = str(os.getpid())
        yield


def end_with_server() -> None:
    """Let the system kill this process when its server is gone; no-op without server.

    A run that outlives its server would load on while its successor takes it for dead.
    """
    server = os.environ.get(PARENT)
    if server is None:
        return
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if str(os.getppid()) != server:
        # The server ended before this process could watch it.
        os.kill(os.getpid(), signal.SIGKILL)


class Run(NamedTuple):
    """The process of a run that this process serves."""

    process: int
    run_id: str
    seconds: float


def runs_at_work() -> list[Run]:
    """Return the unfinished runs that this process started, with their age."""
    ticks = os.sysconf("SC_CLK_TCK")
    own = str(os.getpid())
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name of the program, in brackets, may hold blanks.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[1] != own or fields[0] == "Z":
                continue
            variables = (folder / "environ").read_bytes().split(b"\0")
            up = float(Path("/proc/uptime").read_text().split()[0])
        except (OSError, IndexError):
            continue
        for variable in variables:
            if variable.startswith(_RUN):
                run_id = variable.removeprefix(_RUN).decode(errors="replace")
                found.append(Run(int(folder.name), run_id, up - int(fields[19]) / ticks))
    return found


def end_runs(longest: float = 0.0) -> list[Run]:
    """Kill this process's runs that take longer than ``longest`` seconds; return them."""
    overdue = [run for run in runs_at_work() if run.seconds > longest]
    for run in overdue:
        _log.warning("run ended", run_id=run.run_id, seconds=round(run.seconds), longest=longest)
        try:
            os.kill(run.process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return overdue


def end_hung_runs(longest: float, stopping: threading.Event, look_seconds: float = _LOOK_SECONDS) -> None:
    """Kill every run that takes too long, until told to stop.

    A hung run would otherwise keep its place for ever.
    """
    while not stopping.wait(look_seconds):
        end_runs(longest)


def wait_until_gone(runs: list[Run], timeout: float = 30.0) -> None:
    """Wait until killed runs are gone, so that their locks are free."""
    deadline = time.monotonic() + timeout
    gone = {run.process for run in runs}
    while gone & {run.process for run in runs_at_work()} and time.monotonic() < deadline:
        time.sleep(0.1)
