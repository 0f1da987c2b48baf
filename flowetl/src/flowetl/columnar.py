"""Name columnar files and write them atomically."""

import datetime as dt
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from flowetl.events import CdrType


@dataclass(frozen=True)
class ColumnarFile:
    """Describe a file: path in the columnar folder, size in bytes and SHA-256."""

    path: str
    bytes: int
    sha256: str


def day_path(cdr_type: CdrType, date: dt.date, load_id: UUID) -> str:
    """Return the relative path of a day file."""
    return f"events/type={cdr_type}/date={date.isoformat()}/{load_id}.parquet"


def dictionary_path(load_id: UUID) -> str:
    """Return the relative path of a load's new subscriber keys and pseudonyms."""
    return f"subscribers/{load_id}.parquet"


def publish_file(folder: Path, relative: str, write: Callable[[Path], None]) -> ColumnarFile:
    """Write a file aside, flush it and rename it, so that readers see whole files.

    Only its owner may read the file.
    """
    final = folder / relative
    # Loader and engine are one user; other users of the machine must not read subscribers' rows.
    for parent in reversed(final.relative_to(folder).parents):
        (folder / parent).mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = final.with_name(f".{final.name}.partial")
    try:
        write(partial)
        partial.chmod(0o600)
        with partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        size = partial.stat().st_size
        partial.rename(final)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(final.parent)
    return ColumnarFile(relative, size, digest)


def fault_of(path: Path, size: int, sha256: str) -> str | None:
    """Return ``missing``, ``damaged`` or None for a file of this size and digest."""
    try:
        with path.open("rb") as file:
            whole = path.stat().st_size == size and hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "damaged"
    return None if whole else "damaged"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
