"""Telling a whole columnar file from a damaged one."""

from __future__ import annotations

import hashlib
from pathlib import Path

_MAGIC = b"PAR1"


class VerifiedFiles:
    """Checks day files against the manifest. A file is read for it once per process, and again only if it was written to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[tuple[str, int, int], str] = {}

    def whole(self, path: str, size: int, sha256: str) -> bool:
        """Whether the file is there with this size in bytes and this digest; ``path`` is relative to the folder."""
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
    """Whether a file is there and was written to its end."""
    try:
        with path.open("rb") as file:
            file.seek(-len(_MAGIC), 2)
            return file.read() == _MAGIC
    except OSError:
        return False
