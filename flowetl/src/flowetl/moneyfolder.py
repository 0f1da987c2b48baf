"""The four files of mobile money, and whether those of a day are there."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowetl.arrival import Delivery, Item, State
from flowetl.errors import NotReady

FILES: dict[str, tuple[str, ...]] = {
    "transaction_types": ("id", "description", "user_type_a", "user_type_b"),
    "subscribers": ("id", "msisdn"),
    "transactions": ("id", "time", "type", "amount", "discount", "fee", "commission"),
    "parties": ("transaction", "subscriber", "cell", "outgoing"),
}
"""The columns of each file, in any order."""
_SUFFIXES = (".csv", ".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zst", ".csv.zip")


def delivered_file(folder: Path, name: str) -> Path | None:
    """Return the file of this name, compressed or not; None if there is none."""
    for suffix in _SUFFIXES:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    return None


@dataclass(frozen=True)
class MoneyFolder:
    """Where the four files of one day arrive."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def missing(self) -> str:
        absent = [f"{name}.csv" for name in FILES if delivered_file(self.folder, name) is None]
        if len(absent) == len(FILES):
            return f"the folder {self.name} with {', '.join(absent)} is not in the landing folder"
        return f"{', '.join(absent)} of {self.name} in the landing folder are not there"

    def look(self) -> dict[Item, State]:
        """Return the four files; NotReady if one is absent."""
        paths = [delivered_file(self.folder, name) for name in FILES]
        try:
            return {path: _state(path) for path in paths if path is not None} if all(paths) else self._raise()
        except FileNotFoundError:
            return self._raise()

    def _raise(self) -> dict[Item, State]:
        raise NotReady(self.missing)

    def at_rest(self, found: Delivery, pause: float) -> bool:
        """Return whether nobody can have written for ``pause`` seconds."""
        return time.time() - max(state.modified or 0 for state in found.values()) / 1e9 >= pause

    def there(self) -> str | None:
        """Return the name of the folder if it holds all four files."""
        return self.name if all(delivered_file(self.folder, name) for name in FILES) else None

    def uri(self, item: Item) -> str:
        """Return how records name a file."""
        return f"{self.name}/{item.name}"

    def has_more_than(self, read: Mapping[str, int]) -> bool:
        """Return False: a day has four files, and no more."""
        return False


def _state(path: Path) -> State:
    status = path.stat()
    return State(status.st_size, status.st_mtime_ns)
