"""Peak memory of groups of processes, measured the same way for every engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

PERIOD = 0.05


def anonymous_bytes(process: int) -> int:
    """Return a process's private anonymous bytes; 0 once it is gone."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def descendants(process: int) -> set[int]:
    """A process and all below it."""
    found = {process}
    try:
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                found |= descendants(int(child))
    except OSError:
        pass
    return found


class PeakMemory:
    """Sample memory over process groups during a ``with`` block.

    ``megabytes`` is the highest sum.
    """

    def __init__(self, processes: Callable[[], Iterable[int]]) -> None:
        self._processes = processes
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.megabytes = 0.0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(PERIOD):
            found = {below for process in self._processes() for below in descendants(process)}
            self.megabytes = max(self.megabytes, sum(map(anonymous_bytes, found)) / 2**20)
