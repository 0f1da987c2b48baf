"""Check that a day's file has arrived and is complete."""

import time
from dataclasses import dataclass
from pathlib import Path

from flowetl.errors import Changed, NotReady
from flowetl.source import Stability


@dataclass(frozen=True)
class FileState:
    """Identify one version of a file: size in bytes and modification time in ns."""

    size: int
    modified: int


def state_of(path: Path) -> FileState:
    """Return the present state of a file.

    Raises
    ------
    NotReady
        When it is not there.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise NotReady(f"{path.name} is not in {path.parent.name}/ of the landing folder") from None
    return FileState(status.st_size, status.st_mtime_ns)


def wait_for_file(path: Path, timeout: float, poll: float) -> FileState:
    """Look for a file every ``poll`` seconds, for ``timeout`` seconds; 0 looks once.

    Raises
    ------
    NotReady
        When it has not come by then.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return state_of(path)
        except NotReady:
            if time.monotonic() + poll > deadline:
                raise
        time.sleep(poll)


def wait_until_stable(path: Path, stability: Stability) -> FileState:
    """Return once the file has not changed for ``pause`` seconds.

    A file that was last modified longer ago than that, as when many past days are loaded, needs no pause.

    Raises
    ------
    NotReady
        When it is still being written at the timeout, or vanishes.
    """
    deadline = time.monotonic() + stability.timeout
    state = state_of(path)
    quiet_for = time.time() - state.modified / 1e9
    if quiet_for >= stability.pause:
        return state
    while True:
        time.sleep(stability.pause)
        later = state_of(path)
        if later == state:
            return state
        if time.monotonic() > deadline:
            raise NotReady(f"{path.name} is still being written: {state.size} bytes became {later.size}")
        state = later


def require_unchanged(path: Path, before: FileState) -> None:
    """Check that a file did not change while it was read.

    Raises
    ------
    Changed
        When it was.
    """
    if state_of(path) != before:
        raise Changed(f"{path.name} changed while it was read")
