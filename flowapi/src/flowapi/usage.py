"""Record tokens' last uses for the auth app: a ``jti`` and a moment a line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flowapi.logs import Logs

WRITE_EVERY_SECONDS = 60.0
#: Drop lines that no auth app has read by then.
FORGOTTEN_AFTER = timedelta(days=366)
_LONGEST_ID = 36


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class TokenUse:
    """Record uses in memory and write them to ``path``; None disables this.

    Existing lines, also of other processes, are kept. Only ids of verified tokens may be recorded, so that
    unknown callers cannot grow the file.
    """

    def __init__(self, path: Path | None, logs: Logs, clock: Callable[[], datetime] = _now) -> None:
        self._path = path
        self._logs = logs
        self._clock = clock
        self._noted: dict[str, str] = {}
        self._writer: asyncio.Task[None] | None = None

    def note(self, token_id: str | None) -> None:
        """Record that the token is used now."""
        if self._path is None or not token_id or len(token_id) > _LONGEST_ID or not token_id.isascii():
            return
        if token_id.isprintable() and " " not in token_id:
            self._noted[token_id] = _text(self._clock())

    async def open(self) -> None:
        """Start writing recorded uses once a minute."""
        if self._path is not None:
            self._writer = asyncio.create_task(self._keep_writing())

    async def close(self) -> None:
        """Write the last recorded uses."""
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
        """Replace the file atomically; readers see the old or the new list."""
        noted, self._noted = self._noted, {}
        if self._path is None or not noted:
            return
        try:
            self._replace(self._path, noted)
        except OSError as error:
            self._noted = {**noted, **self._noted}
            self._logs.debug.error("token use not written", error=type(error).__name__)

    def _replace(self, path: Path, noted: dict[str, str]) -> None:
        moments = {}
        with contextlib.suppress(FileNotFoundError):
            lines = (line.split() for line in path.read_text().splitlines())
            moments = {words[0]: words[1] for words in lines if len(words) == 2}
        oldest = _text(self._clock() - FORGOTTEN_AFTER)
        kept = {jti: moment for jti, moment in {**moments, **noted}.items() if moment >= oldest}
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.writelines(f"{jti} {moment}\n" for jti, moment in sorted(kept.items()))
                # Token ids open nothing, and the auth app may run as another user.
                os.fchmod(descriptor, 0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
