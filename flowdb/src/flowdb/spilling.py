"""Folders for what does not fit into memory, which no killed process leaves behind for ever."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

#: Seconds that a folder may be there before it is held: between the two it looks abandoned.
GRACE = 60.0


def hold(folder: Path | str) -> int:
    """Hold a folder of this process's own until the descriptor that is returned is closed.

    The kernel lets go of it when the process ends, however it ends. A process number could be another's.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def remove_abandoned(parent: Path, pattern: str = "*") -> list[str]:
    """Remove those of our user's folders that nobody holds any more; returns their names."""
    removed = []
    for folder in sorted(parent.glob(pattern)):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            status = os.fstat(descriptor)
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < GRACE:
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
    return removed
