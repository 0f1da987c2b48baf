"""Detect damaged columnar files."""

from __future__ import annotations

import hashlib
from pathlib import Path

_MAGIC = b"PAR1"


class VerifiedFiles:
    """Check day files against the manifest.

    A file is read once per process, and again only after a modification.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[tuple[str, int, int], str] = {}

    def whole(self, path: str, size: int, sha256: str) -> bool:
        """Return whether the file has this size in bytes and this digest.

        ``path`` is relative to the folder.
        """
        try:
            found = (self._folder / path).stat()
            if found.st_size != size:
                return False
            version = (path, found.st_ino, found.st_mtime_ns)
            if version not in self._digests:
                with (self._folder / path).open("rb") as file:
                    self._digests[version] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return False
        return self._digests[version] == sha256


def ends_like_parquet(path: Path) -> bool:
    """Return whether a file exists and was written completely."""
    try:
        with path.open("rb") as file:
            file.seek(-len(_MAGIC), 2)
            return file.read() == _MAGIC
    except OSError:
        return False
