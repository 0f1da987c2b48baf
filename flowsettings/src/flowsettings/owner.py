"""Write files that the services can use, also where root runs a command by hand.

The services of a native stack that root started run as a user of their own. What a command of root's writes into
their folders belongs to the owner of the folder, because the services would otherwise be kept out.
"""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(path: Path, mode: int = 0o700) -> None:
    """Make a folder and those above that are missing, by default for their owner."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=mode, exist_ok=True)
        give_to_owner(folder)


def give_to_owner(path: Path) -> None:
    """Give a file of root's to the owner of its folder; others keep what they wrote."""
    if os.geteuid() != 0:
        return
    folder = path.parent.stat()
    if folder.st_uid != 0:
        os.chown(path, folder.st_uid, folder.st_gid, follow_symlinks=False)
