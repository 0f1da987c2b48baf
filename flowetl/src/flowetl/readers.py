"""Choose where the records of a source's day arrive and what reads them."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from flowetl.arrival import Folder, Item, Place
from flowetl.databases import TableDay, TableReader
from flowetl.deployment import Deployment
from flowetl.fixedwidth import FixedReader
from flowetl.lines import LineReader, RawBatch
from flowetl.moneyfolder import MoneyFolder
from flowetl.moneysource import MoneySource
from flowetl.source import Source


class Reader(Protocol):
    """Read one file or table.

    Checksum and notes are complete once all batches were read.
    """

    sha256: str
    notes: list[str]

    def batches(self) -> Iterator[RawBatch]: ...


def place_of(deployment: Deployment, source: Source | MoneySource, date: dt.date) -> Place:
    """Return where the records of one day of a source arrive."""
    if isinstance(source, MoneySource):
        return MoneyFolder(source.folder(deployment.landing, date))
    if source.table is not None:
        return TableDay(source, source.table, date, deployment.zone)
    return Folder(source, deployment.landing, date)


def reader_of(item: Item, source: Source) -> Reader:
    """Return the reader of what arrived for a source."""
    if isinstance(item, TableDay):
        return TableReader(item)
    assert isinstance(item, Path)
    if source.format.kind == "parquet":
        # Imported here, because most sources need no reader of it.
        from flowetl.parquetfile import ParquetReader

        return ParquetReader(item, source)
    if source.format.kind == "fixed":
        return FixedReader(
            item, source.format, source.fields, source.places, only=source.only, skip=source.skip
        )
    return LineReader(
        item, source.format, source.fields, layouts=source.layouts, only=source.only, skip=source.skip
    )
