"""Operator files as batches of lines whose numbers are known, so that every bad record can be pointed at.

One line is one record. Splitting is done here rather than by a CSV reader because those either stop at the first
malformed record or lose count of the lines; splitting a whole block with Arrow costs less than either.
"""

import codecs
import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowetl.errors import DataFault
from flowetl.source import CsvFormat

BLOCK_BYTES = 4 << 20


@dataclass
class Reject:
    """One refused record: its line in the file, the reason, and the line itself, which must never be written."""

    line: int
    reason: str
    content: str = field(repr=False)


@dataclass
class RawBatch:
    """Records of one block: a table of text columns (null where the file says null) and their line numbers."""

    table: pa.Table
    lines: np.ndarray
    content: pa.Array = field(repr=False)
    rejects: list[Reject] = field(repr=False)

    def first(self, records: int) -> "RawBatch":
        """Only the first records, and what was refused before the last of them."""
        lines = self.lines[:records]
        last = int(lines.max()) if len(lines) else 0
        rejects = [reject for reject in self.rejects if reject.line <= last]
        return RawBatch(self.table.slice(0, records), lines, self.content.slice(0, records), rejects)


class _Hashed:
    """A readable file that hashes what passes through, so that the checksum costs no second read."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self.sha256.update(data)
        return data


class LineReader:
    """Reads one delimited file, plain or gzip, in blocks.

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
        """Every record of the file, in order.

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
                text, rejects = self._decode(block, line)
                batch = self._split(text, line, rejects)
                line += len(text)
                self.records += len(batch.lines) + len(batch.rejects)
                yield batch
            self.sha256 = hashed.sha256.hexdigest()

    def _blocks(self, raw: _Hashed) -> Iterator[bytes]:
        """Blocks of whole lines."""
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
        # A file without its header starts with a record, and a record must not be shown.
        unexpected = (
            ", ".join(surplus) if all(map(str.isidentifier, surplus)) else "values that are not names"
        )
        raise DataFault(
            f"{self._path.name}: wrong header: missing {missing}; unexpected {unexpected or 'none'}; "
            f"expected {self._format.delimiter.join(self._fields)}"
        )

    def _decode(self, block: bytes, first: int) -> tuple[pa.Array, list[Reject]]:
        """The lines as text, null where a line is not of the file's encoding (those are refused)."""
        if block.isascii() and b"\0" not in block:
            data = np.frombuffer(block, np.uint8)
            ends = np.flatnonzero(data == ord("\n")) + 1
            if not len(ends) or ends[-1] != len(block):
                ends = np.append(ends, len(block)) if block else ends
            offsets = np.concatenate([[0], ends]).astype(np.int64)
            text = pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(block))
            return pc.ascii_rtrim(text, "\r\n"), []
        lines: list[str | None] = []
        rejects: list[Reject] = []
        for number, line in enumerate(block.removesuffix(b"\n").split(b"\n"), first):
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

    def _split(self, lines: pa.Array, first: int, rejects: list[Reject]) -> RawBatch:
        """The records of the lines; blank lines are skipped."""
        width = len(self._fields)
        filled = pc.greater(pc.fill_null(pc.binary_length(lines), 0), 0)
        numbers = np.arange(first, first + len(lines), dtype=np.int64)[_mask(filled)]
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
        return RawBatch(pa.table(columns, list(self._fields)), numbers[at], lines.take(pa.array(at)), rejects)

    def _parse(self, line: str) -> list[str] | None:
        """The fields of one line, or None if its quoting is broken."""
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
