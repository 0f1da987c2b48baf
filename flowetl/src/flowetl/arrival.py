"""Tell whether a day's files are there and completely written."""

import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path

from flowetl.errors import Changed, NotReady
from flowetl.limits import Stability
from flowetl.source import Source


@dataclass(frozen=True)
class FileState:
    """Identify one version of a file: size in bytes and modification time in ns."""

    size: int
    modified: int


Delivery = dict[Path, FileState]
"""The files that may hold records of a day, as they are at one moment."""


@dataclass(frozen=True)
class Folder:
    """Where the files of one day of a source arrive."""

    source: Source
    landing: Path
    date: dt.date

    def look(self) -> Delivery:
        """The files that are there.

        Raises
        ------
        NotReady
            When there is none of the day.
        """
        found = {}
        for path in self.source.files(self.landing, self.date):
            try:
                status = path.stat()
            except FileNotFoundError:
                # The file was moved meanwhile; the next look decides.
                continue
            found[path] = FileState(status.st_size, status.st_mtime_ns)
        if not found:
            raise NotReady(self.missing)
        return found

    @property
    def missing(self) -> str:
        """What is said when nothing is there."""
        path = self.source.file(self.landing, self.date)
        return f"{path.name} is not in {path.parent.name}/ of the landing folder"


def wait_for_files(folder: Folder, timeout: float, poll: float) -> Delivery:
    """Look for files every ``poll`` seconds until ``timeout``; 0 looks once.

    Raises
    ------
    NotReady
        When none has come by then.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return folder.look()
        except NotReady:
            if time.monotonic() + poll > deadline:
                raise
        time.sleep(poll)


def wait_until_stable(folder: Folder, stability: Stability) -> Delivery:
    """Return once no file has come or changed for ``pause`` seconds.

    Files that were last modified longer ago than that, as when many past days are loaded, need no pause.

    Raises
    ------
    NotReady
        When they are still being written at the timeout, or vanish.
    """
    deadline = time.monotonic() + stability.timeout
    found = folder.look()
    newest = max(state.modified for state in found.values())
    if time.time() - newest / 1e9 >= stability.pause:
        return found
    while True:
        time.sleep(stability.pause)
        later = folder.look()
        if later == found:
            return found
        if time.monotonic() > deadline:
            raise NotReady(_change(found, later) or "its files are still coming")
        found = later


def _change(before: Delivery, after: Delivery) -> str:
    for path, state in after.items():
        was = before.get(path)
        if was is not None and was != state:
            return f"{path.name} is still being written: {was.size} bytes became {state.size}"
    return ""


def require_unchanged(folder: Folder, before: Delivery) -> None:
    """Check that no file was touched, and none came, while they were read.

    Raises
    ------
    Changed
        When it was.
    """
    try:
        after = folder.look()
    except NotReady:
        after = {}
    if after != before:
        touched = sorted(
            path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        )
        raise Changed(f"{touched[0]} changed while it was read")
