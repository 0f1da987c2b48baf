"""Read the list of revoked tokens: one id (``jti``) a line, reread on change."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path


class RevokedTokens:
    """Hold the ids in ``path``; None is an empty list.

    Blank lines and text after ``#`` are ignored. If the list becomes unreadable, its last version stays in
    force.

    Raises
    ------
    OSError
        The file cannot be read at the start.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._token_ids: frozenset[str] = frozenset()
        self._version: tuple[int, int] | None = None
        if path is not None:
            self._read(path)

    def __contains__(self, token_id: object) -> bool:
        if self._path is not None:
            try:
                self._read(self._path)
            except OSError:
                return token_id in self._token_ids
        return token_id in self._token_ids

    def _read(self, path: Path) -> None:
        status = path.stat()
        version = (status.st_mtime_ns, status.st_size)
        if version != self._version:
            lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
            self._token_ids = frozenset(line for line in lines if line)
            self._version = version


@dataclass(frozen=True)
class AnyOf:
    """Hold the ids of several lists."""

    lists: tuple[Container[str], ...]

    def __contains__(self, token_id: object) -> bool:
        return any(token_id in one for one in self.lists)
