"""The reader of a source's files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from flowetl.fixedwidth import FixedReader
from flowetl.lines import LineReader, RawBatch
from flowetl.source import Source


class Reader(Protocol):
    """Reads one file. Checksum and notes are complete once all batches were read."""

    sha256: str
    notes: list[str]

    def batches(self) -> Iterator[RawBatch]: ...


def reader_of(path: Path, source: Source) -> Reader:
    """Return the reader of one file of a source."""
    if source.format.kind == "parquet":
        # Imported here, because most sources need no reader of it.
        from flowetl.parquetfile import ParquetReader

        return ParquetReader(path, source)
    if source.format.kind == "fixed":
        return FixedReader(
            path, source.format, source.fields, source.places, only=source.only, skip=source.skip
        )
    return LineReader(
        path, source.format, source.fields, layouts=source.layouts, only=source.only, skip=source.skip
    )
