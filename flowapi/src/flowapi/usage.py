"""When each token was last used, for the auth app: a file with a token id (``jti``) and a moment a line."""

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
#: An auth app that has not read a line by then never will.
FORGOTTEN_AFTER = timedelta(days=366)
_LONGEST_ID = 36


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class TokenUse:
    """Notes in memory and writes to ``path``; None notes nothing.

    What the file has from earlier, or from another process, is kept. Only ids of verified tokens may be noted, so that
    no stranger makes it grow.
    """

    def __init__(self, path: Path | None, logs: Logs, clock: Callable[[], datetime] = _now) -> None:
        self._path = path
        self._logs = logs
        self._clock = clock
        self._noted: dict[str, str] = {}
        self._writer: asyncio.Task[None] | None = None

    def note(self, token_id: str | None) -> None:
        """The token is used now."""
        if self._path is None or not token_id or len(token_id) > _LONGEST_ID or not token_id.isascii():
            return
        if token_id.isprintable() and " " not in token_id:
            self._noted[token_id] = _text(self._clock())

    async def open(self) -> None:
        """Write from now on, once a minute, what was noted."""
        if self._path is not None:
            self._writer = asyncio.create_task(self._keep_writing())

    async def close(self) -> None:
        """Write what was noted last."""
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
        """Bring the file up to date; a reader sees the old one or the new one, never a part."""
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
                # Ids of tokens open nothing, and the auth app may run as somebody else.
                os.fchmod(descriptor, 0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
