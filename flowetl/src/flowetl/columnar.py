"""Name the columnar files of a day and write them atomically."""

import datetime as dt
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from flowetl.events import CdrType
from flowetl.tally import write_tally
from flowsettings.owner import give_to_owner, make_folder


@dataclass(frozen=True)
class ColumnarFile:
    """Describe a file: path in the columnar folder, size in bytes and SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DayFiles:
    """Describe the file of a day's events, and that of their tally."""

    events: ColumnarFile
    tally: ColumnarFile


def day_path(cdr_type: CdrType, date: dt.date, load_id: UUID) -> str:
    """Return the relative path of a day file."""
    return f"events/type={cdr_type}/date={date.isoformat()}/{load_id}.parquet"


def tally_path(cdr_type: CdrType, date: dt.date, load_id: UUID) -> str:
    """Return the relative path of a day's tally by cell and hour."""
    return f"tallies/type={cdr_type}/date={date.isoformat()}/{load_id}.parquet"


def day_folders(cdr_type: str, date: str) -> tuple[str, str]:
    """Return the relative folders of a day's files; ``*`` stands for any type or date."""
    return f"events/type={cdr_type}/date={date}", f"tallies/type={cdr_type}/date={date}"


def dictionary_path(load_id: UUID) -> str:
    """Return the relative path of a load's new subscriber keys and pseudonyms."""
    return f"subscribers/{load_id}.parquet"


def publish_day(
    folder: Path, cdr_type: CdrType, date: dt.date, load_id: UUID, write: Callable[[Path], None]
) -> DayFiles:
    """Write a day's events and their tally, both as ``publish_file`` does."""

    def write_both(partial: Sequence[Path]) -> None:
        events, tally = partial
        write(events)
        write_tally(events, tally)

    paths = day_path(cdr_type, date, load_id), tally_path(cdr_type, date, load_id)
    events, tally = _publish(folder, paths, write_both)
    return DayFiles(events, tally)


def publish_tally(folder: Path, cdr_type: CdrType, date: dt.date, load_id: UUID, events: str) -> ColumnarFile:
    """Count a day's events again, from the file at this relative path."""
    relative = tally_path(cdr_type, date, load_id)
    return publish_file(folder, relative, lambda path: write_tally(folder / events, path))


def publish_file(folder: Path, relative: str, write: Callable[[Path], None]) -> ColumnarFile:
    """Write a file aside, flush it and rename it, so that readers see whole files.

    Only its owner may read the file.
    """
    (file,) = _publish(folder, [relative], lambda partial: write(*partial))
    return file


def _publish(
    folder: Path, relatives: Sequence[str], write: Callable[[list[Path]], None]
) -> list[ColumnarFile]:
    finals = [folder / relative for relative in relatives]
    # Loader and engine are one user; other users of the machine must not read subscribers' rows.
    for final in finals:
        make_folder(final.parent)
    partial = [final.with_name(f".{final.name}.partial") for final in finals]
    try:
        write(partial)
        files = [_synced(path, relative) for path, relative in zip(partial, relatives, strict=True)]
        for path, final in zip(partial, finals, strict=True):
            path.rename(final)
    except BaseException:
        for path in partial:
            path.unlink(missing_ok=True)
        raise
    for final in finals:
        _sync_folder(final.parent)
    return files


def _synced(path: Path, relative: str) -> ColumnarFile:
    """Flush a written file; return its description under another name."""
    path.chmod(0o600)
    give_to_owner(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    return ColumnarFile(relative, path.stat().st_size, digest)


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
