"""Keep notes for the auth app in files: a key, a moment and words a line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flowapi.logs import Logs

WRITE_EVERY_SECONDS = 60.0
#: Drop lines that no auth app has read by then.
FORGOTTEN_AFTER = timedelta(days=366)


def now() -> datetime:
    """Return the present second in UTC."""
    return datetime.now(UTC).replace(microsecond=0)


class NoteFile:
    """Record notes in memory and write them to ``path``; None disables this.

    Existing lines, also of other processes, are kept; beyond ``most`` lines the oldest are dropped. A later
    note replaces an earlier one of the same key.
    """

    def __init__(
        self, path: Path | None, logs: Logs, what: str, most: int, clock: Callable[[], datetime] = now
    ) -> None:
        self._path = path
        self._logs = logs
        self._what = what
        self._most = most
        self._clock = clock
        self._noted: dict[str, str] = {}
        self._writer: asyncio.Task[None] | None = None

    def put(self, key: str, words: Iterable[str] = ()) -> None:
        """Note the words at this moment; neither the key nor a word may hold white space."""
        if self._path is not None:
            self._noted[key] = " ".join((self._clock().strftime("%Y-%m-%dT%H:%M:%SZ"), *words))

    async def open(self) -> None:
        """Start writing notes once a minute."""
        if self._path is not None:
            self._writer = asyncio.create_task(self._keep_writing())

    async def close(self) -> None:
        """Write the last notes."""
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
            await asyncio.to_thread(self.write)

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            await asyncio.to_thread(self.write)

    def write(self) -> None:
        """Replace the file atomically; readers see the old or the new lines."""
        noted, self._noted = self._noted, {}
        if self._path is None or not noted:
            return
        try:
            self._replace(self._path, noted)
        except OSError as error:
            self._noted = {**noted, **self._noted}
            self._logs.debug.error(f"{self._what} not written", error=type(error).__name__)

    def _replace(self, path: Path, noted: dict[str, str]) -> None:
        stored = {}
        with contextlib.suppress(FileNotFoundError):
            lines = (line.split(maxsplit=1) for line in path.read_text().splitlines())
            stored = {words[0]: words[1] for words in lines if len(words) == 2}
        oldest = (self._clock() - FORGOTTEN_AFTER).strftime("%Y-%m-%dT%H:%M:%SZ")
        kept = [(key, rest) for key, rest in {**stored, **noted}.items() if rest >= oldest]
        # The rest of a line begins with its moment.
        kept = sorted(sorted(kept, key=lambda one: one[1][:20], reverse=True)[: self._most])
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.writelines(f"{key} {rest}\n" for key, rest in kept)
                # Such ids open nothing, and the auth app may run as another user.
                os.fchmod(descriptor, 0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
