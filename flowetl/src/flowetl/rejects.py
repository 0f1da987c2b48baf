"""Write a day's reject file: line numbers and reasons, never the records."""

import csv
import datetime as dt
import gzip
import io
from collections.abc import Sequence
from pathlib import Path

from flowsettings.owner import give_to_owner, make_folder

Reject = tuple[int, str, str, str]
"""Line number in the operator's file, reason, keyed hash of the line, and of several files the name."""


def reject_path(folder: Path, source: str, date: dt.date) -> Path:
    """Return the path of one day's rejects."""
    return folder / source / f"{date.isoformat()}.csv.gz"


def write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    """Replace a day's reject file; write none when nothing was refused.

    Only its owner may read the file.
    """
    if not rejects:
        path.unlink(missing_ok=True)
        return
    make_folder(path.parent)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    several = any(file for *_, file in rejects)
    writer.writerow(("line", "reason", "line_hash", "file")[: 3 + several])
    writer.writerows(reject[: 3 + several] for reject in sorted(rejects))
    partial = path.with_name(f".{path.name}.partial")
    partial.touch(mode=0o600)
    give_to_owner(partial)
    try:
        partial.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=6, mtime=0))
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
