"""Private folders for what does not fit into memory."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowdb import spilling

PREFIX = "flowetl-"


@contextmanager
def spill_folder() -> Iterator[str]:
    """An empty folder of the process's own, removed at the end; those of killed processes are removed now."""
    remove_abandoned()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        descriptor = spilling.hold(folder)
        try:
            yield folder
        finally:
            os.close(descriptor)


def remove_abandoned() -> None:
    """Remove our user's folders that nobody holds any more."""
    spilling.remove_abandoned(Path(tempfile.gettempdir()), f"{PREFIX}*")
