"""Provide private folders for data that does not fit into memory."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowdb import spilling

PREFIX = "flowetl-"


@contextmanager
def spill_folder() -> Iterator[str]:
    """Provide an empty private folder and remove it at the end.

    Folders of killed processes are removed at the start.
    """
    remove_abandoned()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        descriptor = spilling.hold(folder)
        try:
            yield folder
        finally:
            os.close(descriptor)


def remove_abandoned() -> None:
    """Remove our user's folders that no process holds."""
    spilling.remove_abandoned(Path(tempfile.gettempdir()), f"{PREFIX}*")
