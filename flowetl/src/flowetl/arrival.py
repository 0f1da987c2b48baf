"""Tell whether a day's records are there and completely written."""

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flowetl.errors import Changed, NotReady
from flowetl.limits import Stability
from flowetl.source import Source


@dataclass(frozen=True)
class State:
    """Identify one version of a file or table.

    ``size`` in bytes or rows; ``modified``, the time of a file, in ns.
    """

    size: int
    modified: int | None = None


class Item(Protocol):
    """Name something that is read: a file, or the day of a table."""

    @property
    def name(self) -> str: ...


Delivery = Mapping[Item, State]
"""What may hold records of a day, as it is at one moment."""


class Place(Protocol):
    """Say where the records of one day of a source arrive.

    ``name`` is that of what arrives and ``missing`` what is said when nothing is there.
    """

    @property
    def name(self) -> str: ...

    @property
    def missing(self) -> str: ...

    def look(self) -> Delivery:
        """Return what is there; NotReady if nothing of the day is."""
        ...

    def at_rest(self, found: Delivery, pause: float) -> bool:
        """Return whether nobody can have written for ``pause`` seconds."""
        ...

    def there(self) -> str | None:
        """Return the name of something that has arrived; None if nothing has."""
        ...

    def uri(self, item: Item) -> str:
        """Return how records of loads name an item."""
        ...

    def has_more_than(self, read: Mapping[str, int]) -> bool:
        """Return whether there is more than a load has read: sizes by uri."""
        ...


@dataclass(frozen=True)
class Folder:
    """Where the files of one day of a source arrive."""

    source: Source
    landing: Path
    date: dt.date

    def look(self) -> dict[Item, State]:
        """The files that are there.

        Raises
        ------
        NotReady
            When there is none of the day.
        """
        found: dict[Item, State] = {}
        for path in self.source.files(self.landing, self.date):
            try:
                status = path.stat()
            except FileNotFoundError:
                # The file was moved meanwhile; the next look decides.
                continue
            found[path] = State(status.st_size, status.st_mtime_ns)
        if not found:
            raise NotReady(self.missing)
        return found

    @property
    def name(self) -> str:
        return self._path.name

    @property
    def missing(self) -> str:
        folder = self._path.parent
        inside = "" if folder == self.landing else f"{folder.name}/ of "
        return f"{self._path.name} is not in {inside}the landing folder"

    @property
    def _path(self) -> Path:
        return self.source.file(self.landing, self.date)

    def at_rest(self, found: Delivery, pause: float) -> bool:
        newest = max(state.modified or 0 for state in found.values())
        return time.time() - newest / 1e9 >= pause

    def there(self) -> str | None:
        return next((path.name for path in self.source.files(self.landing, self.date)), None)

    def uri(self, item: Item) -> str:
        assert isinstance(item, Path)
        return str(item.relative_to(self.landing))

    def has_more_than(self, read: Mapping[str, int]) -> bool:
        return bool({self.uri(path) for path in self.source.files(self.landing, self.date)} - read.keys())


def wait_for_data(place: Place, timeout: float, poll: float) -> Delivery:
    """Look for a day's records every ``poll`` seconds until ``timeout``; 0 looks once.

    Raises
    ------
    NotReady
        When none has come by then.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return place.look()
        except NotReady:
            if time.monotonic() + poll > deadline:
                raise
        time.sleep(poll)


def wait_until_stable(place: Place, stability: Stability) -> Delivery:
    """Return once nothing has come or changed for ``pause`` seconds.

    What was written longer ago than that, as when many past days are loaded, needs no pause.

    Raises
    ------
    NotReady
        When they are still being written at the timeout, or vanish.
    """
    deadline = time.monotonic() + stability.timeout
    found = place.look()
    if place.at_rest(found, stability.pause):
        return found
    while True:
        time.sleep(stability.pause)
        later = place.look()
        if later == found:
            return found
        if time.monotonic() > deadline:
            raise NotReady(_change(found, later) or "more of it is still coming")
        found = later


def _change(before: Delivery, after: Delivery) -> str:
    for item, state in after.items():
        was = before.get(item)
        if was is not None and was != state:
            unit = "rows" if state.modified is None else "bytes"
            return f"{item.name} is still being written: {was.size} {unit} became {state.size}"
    return ""


def require_unchanged(place: Place, before: Delivery) -> None:
    """Check that nothing was touched, and nothing came, while a day was read.

    Raises
    ------
    Changed
        When it was.
    """
    try:
        after = place.look()
    except NotReady:
        after = {}
    if after != before:
        touched = sorted(item.name for item in {*before, *after} if before.get(item) != after.get(item))
        raise Changed(f"{touched[0]} changed while it was read")
