"""Read operator files as numbered lines, so that bad records can be located.

One line is one record. Arrow's CSV reader splits a plain block, in which lines and records cannot differ, so
that the reader's row count gives the line numbers. Any other block is split here, because a CSV reader would
stop at the first malformed record or lose count of the lines.
"""

import codecs
import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from flowetl.errors import DataFault
from flowetl.source import CsvFormat

BLOCK_BYTES = 4 << 20


@dataclass
class Reject:
    """Hold a refused record: line number, reason and line.

    The line itself must never be written.
    """

    line: int
    reason: str
    content: str = field(repr=False)


@dataclass
class RawBatch:
    """Hold one block's records: nullable text columns and line numbers."""

    table: pa.Table
    lines: np.ndarray
    block: "Block" = field(repr=False)
    rejects: list[Reject] = field(repr=False)

    def content(self, row: int) -> str:
        """Return one record's line, which must never be written."""
        return self.block.line(int(self.lines[row]))

    def first(self, records: int) -> "RawBatch":
        """Return only the first records, and the refused records before the last of them."""
        lines = self.lines[:records]
        last = int(lines.max()) if len(lines) else 0
        rejects = [reject for reject in self.rejects if reject.line <= last]
        return RawBatch(self.table.slice(0, records), lines, self.block, rejects)


@dataclass
class Block:
    """Hold whole lines of a file; ``first`` is the number of the first line."""

    data: bytes = field(repr=False)
    first: int
    encoding: str

    @cached_property
    def _lines(self) -> list[bytes]:
        return self.data.removesuffix(b"\n").split(b"\n")

    @cached_property
    def _count(self) -> int:
        return self.data.count(b"\n") + (not self.data.endswith(b"\n") and bool(self.data))

    def line(self, number: int) -> str:
        """Return the text of a line in the file's encoding."""
        return self._lines[number - self.first].decode(self.encoding).rstrip("\r")

    def __len__(self) -> int:
        return self._count


class _Hashed:
    """Hash a file while it is read, so that the checksum costs no second read."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self.sha256.update(data)
        return data


class LineReader:
    """Read one delimited file, plain or gzip, in blocks.

    Parameters
    ----------
    path: the file; a name ending in ``.gz`` is decompressed.
    csv_format: delimiter, quote, encoding, header and null strings.
    fields: the names of the raw columns; with a header they may stand in any order.

    ``sha256`` (of the file as delivered) and ``records`` are known after ``batches`` is exhausted.
    """

    def __init__(self, path: Path, csv_format: CsvFormat, fields: tuple[str, ...]) -> None:
        self._path = path
        self._format = csv_format
        self._fields = fields
        self.sha256 = ""
        self.records = 0

    def batches(self) -> Iterator[RawBatch]:
        """Yield every record of the file, in order.

        Raises
        ------
        DataFault
            When the file is empty, truncated, not gzip though named so, or its header is not the expected one.
        """
        if self._path.stat().st_size == 0:
            raise DataFault(f"{self._path.name} is empty (0 bytes)")
        with self._path.open("rb") as raw:
            hashed = _Hashed(raw)
            line = 1
            for block in self._blocks(hashed):
                if line == 1:
                    block = block.removeprefix(codecs.BOM_UTF8)
                    if self._format.header:
                        header, _, block = block.partition(b"\n")
                        self._read_header(header)
                        line = 2
                batch = self._batch(Block(block, line, self._format.encoding))
                line += len(batch.block)
                self.records += len(batch.lines) + len(batch.rejects)
                yield batch
            self.sha256 = hashed.sha256.hexdigest()

    def _blocks(self, raw: _Hashed) -> Iterator[bytes]:
        """Yield blocks of whole lines."""
        stream = gzip.GzipFile(fileobj=cast(Any, raw)) if self._path.suffix == ".gz" else raw
        rest = b""
        try:
            while data := stream.read(BLOCK_BYTES):
                end = data.rfind(b"\n") + 1
                if end:
                    yield rest + data[:end]
                    rest = data[end:]
                else:
                    rest += data
        except EOFError as error:
            raise DataFault(f"{self._path.name} is truncated: its gzip stream ends early") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataFault(f"{self._path.name} is not a sound gzip file: {error}") from error
        if rest:
            yield rest

    def _read_header(self, line: bytes) -> None:
        try:
            text = line.decode(self._format.encoding).rstrip("\r")
        except UnicodeDecodeError as error:
            raise DataFault(f"{self._path.name}: the header is not {self._format.encoding}") from error
        found = tuple(name.strip() for name in self._parse(text) or ())
        if sorted(found) == sorted(self._fields):
            self._fields = found
            return
        missing = ", ".join(name for name in self._fields if name not in found) or "none"
        surplus = [name for name in found if name not in self._fields]
        # A file without header starts with a record, and a record must not be shown.
        unexpected = (
            ", ".join(surplus) if all(map(str.isidentifier, surplus)) else "values that are not names"
        )
        raise DataFault(
            f"{self._path.name}: wrong header: missing {missing}; unexpected {unexpected or 'none'}; "
            f"expected {self._format.delimiter.join(self._fields)}"
        )

    def _batch(self, block: Block) -> RawBatch:
        data = block.data.replace(b"\r\n", b"\n")
        plain = (
            data.isascii()
            and self._format.delimiter.isascii()
            and not any(mark in data for mark in (b"\0", b"\r", b"\n\n", self._format.quote.encode()))
        )
        if plain and data and not data.startswith(b"\n"):
            return self._read_plain(block, data)
        text, rejects = self._decode(block)
        return self._split(block, text, rejects)

    def _read_plain(self, block: Block, data: bytes) -> RawBatch:
        """Read a block of ASCII text without quotes, blank lines or carriage returns."""
        rejects: list[Reject] = []

        def refuse(row: pyarrow.csv.InvalidRow) -> str:
            rejects.append(Reject(block.first + row.number - 1, "wrong_number_of_fields", row.text))
            return "skip"

        table = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            # Rows are in order only when a single thread reads them.
            pyarrow.csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=self._fields),
            pyarrow.csv.ParseOptions(
                delimiter=self._format.delimiter, quote_char=False, invalid_row_handler=refuse
            ),
            pyarrow.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(self._fields, pa.string()),
                null_values=self._format.nulls,
                strings_can_be_null=True,
            ),
        )
        numbers = np.arange(block.first, block.first + len(block), dtype=np.int64)
        refused = [reject.line - block.first for reject in rejects]
        return RawBatch(table.combine_chunks(), np.delete(numbers, refused), block, rejects)

    def _decode(self, block: Block) -> tuple[pa.Array, list[Reject]]:
        """Decode lines, null where a line is not of the file's encoding.

        Such lines are refused.
        """
        data = block.data
        if data.isascii() and b"\0" not in data:
            ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
            if not len(ends) or ends[-1] != len(data):
                ends = np.append(ends, len(data)) if data else ends
            offsets = np.concatenate([[0], ends]).astype(np.int64)
            text = pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))
            return pc.ascii_rtrim(text, "\r\n"), []
        lines: list[str | None] = []
        rejects: list[Reject] = []
        for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), block.first):
            try:
                text = line.decode(self._format.encoding).rstrip("\r")
            except UnicodeDecodeError:
                text = None
            if text is None or "\0" in text:
                reason = "not_" + self._format.encoding if text is None else "null_character"
                rejects.append(Reject(number, reason, line.hex()))
                text = None
            lines.append(text)
        return pa.array(lines, pa.large_string()), rejects

    def _split(self, block: Block, lines: pa.Array, rejects: list[Reject]) -> RawBatch:
        """Split lines into records; skip blank lines."""
        width = len(self._fields)
        filled = pc.greater(pc.fill_null(pc.binary_length(lines), 0), 0)
        numbers = np.arange(block.first, block.first + len(lines), dtype=np.int64)[_mask(filled)]
        lines = lines.filter(filled)

        parts = pc.split_pattern(lines, self._format.delimiter)
        quoted = _mask(pc.match_substring(lines, self._format.quote))
        fits = _mask(pc.equal(pc.list_value_length(parts), width)) & ~quoted
        flat = pc.list_flatten(parts.filter(pa.array(fits)))
        rows = np.arange(len(flat) // width) * width
        columns = [flat.take(pa.array(rows + position)) for position in range(width)]
        at = np.flatnonzero(fits)

        by_hand: dict[int, list[str]] = {}
        for index in map(int, np.flatnonzero(~fits)):
            record = self._parse(lines[index].as_py())
            if record is not None and len(record) == width:
                by_hand[index] = record
            else:
                reason = "broken_quotes" if record is None else "wrong_number_of_fields"
                rejects.append(Reject(int(numbers[index]), reason, lines[index].as_py()))
        if by_hand:
            more = [pa.array(values, pa.large_string()) for values in zip(*by_hand.values(), strict=True)]
            columns = [pa.concat_arrays(pair) for pair in zip(columns, more, strict=True)]
            at = np.concatenate([at, np.fromiter(by_hand, np.int64)])

        nulls = pa.array(self._format.nulls, pa.large_string())
        columns = [pc.if_else(pc.is_in(column, nulls), None, column) for column in columns]
        return RawBatch(pa.table(columns, list(self._fields)), numbers[at], block, rejects)

    def _parse(self, line: str) -> list[str] | None:
        """Return the fields of one line, or None if its quoting is broken."""
        if self._format.quote not in line:
            return line.split(self._format.delimiter)
        reader = csv.reader(
            [line], delimiter=self._format.delimiter, quotechar=self._format.quote, strict=True
        )
        try:
            return next(reader)
        except csv.Error:
            return None


def _mask(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False)
