"""Manage spill folders; folders of killed processes are removed later."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

#: Grace period in seconds between creating a folder and locking it.
GRACE = 60.0


def hold(folder: Path | str) -> int:
    """Create and lock a folder until the returned descriptor is closed.

    The kernel releases the lock when the process ends for any reason. A process id could be reused.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def remove_abandoned(parent: Path, pattern: str = "*") -> list[str]:
    """Remove our user's unlocked folders; return their names."""
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
