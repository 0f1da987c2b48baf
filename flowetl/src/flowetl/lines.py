"""Read operator files as numbered lines, so that bad records can be located.

One line is one record. Arrow's CSV reader splits a plain block, in which lines and records cannot differ, so
that the reader's row count gives the line numbers. Any other block is split here, because a CSV reader would
stop at the first malformed record or lose count of the lines.
"""

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from flowetl.blocks import beyond, line_ends, without_last
from flowetl.errors import DataFault
from flowetl.formats import FileFormat, Layouts
from flowetl.streams import Stream

Words = Mapping[str, Sequence[str]]
"""Texts by field."""

_DELIMITERS = ",;|\t"
_TRAILING = " trailing"
"""The field behind a delimiter that ends each line. No field of a source is named so."""


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
    """Hold one block's records as text columns, with their line numbers.

    ``line``: the line of a number. ``passed``: how many records the source does not want.
    """

    table: pa.Table
    lines: np.ndarray
    line: Callable[[int], str] = field(repr=False)
    rejects: list[Reject] = field(repr=False)
    passed: int = 0

    def content(self, row: int) -> str:
        """The line of one record, which must never be written."""
        return self.line(int(self.lines[row]))

    def first(self, records: int) -> "RawBatch":
        """Return only the first records, and the refused records before the last of them."""
        lines = self.lines[:records]
        last = int(lines.max()) if len(lines) else 0
        rejects = [reject for reject in self.rejects if reject.line <= last]
        return RawBatch(self.table.slice(0, records), lines, self.line, rejects, self.passed)


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
        return line_ends(self.data) + (not self.data.endswith(b"\n") and bool(self.data))

    def line(self, number: int) -> str:
        """Return the text of a line in the file's encoding."""
        return self._lines[number - self.first].decode(self.encoding).rstrip("\r")

    def __len__(self) -> int:
        return self._count


def wanted(table: pa.Table, only: Words, skip: Words) -> tuple[pa.Array, int]:
    """Which records a source wants, and how many it does not."""
    kept = pa.array(np.ones(table.num_rows, bool))
    for words, wanted_ones in ((only, True), (skip, False)):
        for name, texts in words.items():
            among = pc.is_in(table.column(name), pa.array(texts, pa.string())).combine_chunks()
            kept = pc.and_(kept, among if wanted_ones else pc.invert(among))
    return kept, table.num_rows - (pc.sum(kept).as_py() or 0)


class LineReader:
    """Reads one delimited file, plain or compressed, in blocks.

    Parameters
    ----------
    path: the file.
    file_format: delimiter, quote, encoding, header, null strings and lines that are no records.
    fields: the names of the raw columns; with a header they may stand in any order.
    layouts: those of several kinds of record in one file.
    only, skip: the texts of fields that a record must, or must not, have. Others are passed over.

    ``sha256`` (of the file as delivered), ``records`` and ``notes`` are known after ``batches`` is exhausted.
    """

    def __init__(
        self,
        path: Path,
        file_format: FileFormat,
        fields: tuple[str, ...],
        *,
        layouts: Layouts | None = None,
        only: Words | None = None,
        skip: Words | None = None,
    ) -> None:
        self._path = path
        self._format = file_format
        self._fields = fields
        self._layouts = layouts
        self._only, self._skip = only or {}, skip or {}
        skipped = file_format.skip_lines
        self._no_record = re.compile(skipped.matching) if skipped.matching else None
        blanks = " \t".replace(file_format.delimiter, "")
        self._blanks = blanks if file_format.strip else ""
        self._marks = np.zeros(256, bool)
        self._marks[[*file_format.delimiter.encode()[:1], *b"\n\r"]] = True
        self.sha256 = ""
        self.records = 0
        self.notes: list[str] = []

    def batches(self) -> Iterator[RawBatch]:
        """Yield every record of the file, in order.

        Raises
        ------
        DataFault
            When the file is empty, truncated, not what its name says, or its header is not the expected one.
        """
        stream = Stream(self._path, self._format.encoding, self._format.sizes)
        encoding = self._format.line_encoding
        skipped = self._format.skip_lines
        line = 1
        for block in without_last(self._blocks(stream.chunks()), skipped.last):
            if line == 1:
                block = block.removeprefix(codecs.BOM_UTF8)
                self._require_line_ends(block)
                for _ in range(skipped.first):
                    _, _, block = block.partition(b"\n")
                    line += 1
                block, line = self._begin(block, line)
            whole = Block(block, line, encoding)
            batch = self._batch(whole)
            line += len(whole)
            self.records += len(batch.lines) + len(batch.rejects)
            yield batch
        self.sha256, self.notes = stream.sha256, stream.notes

    def _blocks(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Blocks of whole lines, none longer than the limit."""
        longest = self._format.sizes.line
        rest = b""
        lines = 0
        for data in chunks:
            block = rest + data
            end = block.rfind(b"\n") + 1
            if (start := beyond(block, longest)) is not None:
                if not lines:
                    self._require_line_ends(block)
                number = lines + 1 + block.count(b"\n", 0, start)
                raise DataFault(
                    f"{self._path.name}: line {number} is longer than {longest} bytes, so it is no record: look at the file; "
                    "if it is sound, raise format.sizes.line"
                )
            rest = block[end:]
            if end:
                lines += line_ends(memoryview(block)[:end])
                yield block[:end]
        if rest:
            yield rest

    def _require_line_ends(self, block: bytes) -> None:
        if b"\n" not in block and b"\r" in block.rstrip(b"\r"):
            raise DataFault(
                f"{self._path.name}: its lines end in a carriage return alone, as on old Macintoshes: convert "
                "it with tr '\\r' '\\n' before it comes to the landing folder"
            )

    def _begin(self, block: bytes, line: int) -> tuple[bytes, int]:
        """Read the header, if there is one, and whether each line ends in a delimiter."""
        if self._layouts is not None:
            return block, line
        first, _, rest = block.partition(b"\n")
        while self._format.header and rest and self._is_no_record(first):
            (first, _, rest), line = rest.partition(b"\n"), line + 1
        if self._format.header:
            self._read_header(first)
            return rest, line + 1
        text = first.decode(self._format.line_encoding, errors="replace").rstrip("\r")
        record = self._parse(text)
        if record is not None and len(record) == len(self._fields) + 1 and not record[-1].strip():
            self._fields = (*self._fields, _TRAILING)
        return block, line

    def _is_no_record(self, line: bytes) -> bool:
        text = line.decode(self._format.line_encoding, errors="replace").rstrip("\r")
        return not text.strip() or (self._no_record is not None and bool(self._no_record.search(text)))

    def _read_header(self, line: bytes) -> None:
        try:
            text = line.decode(self._format.line_encoding).rstrip("\r")
        except UnicodeDecodeError as error:
            raise DataFault(
                f"{self._path.name}: the header is not {self._format.encoding}: set format.encoding to that of the file"
            ) from error
        found = tuple(name.strip() for name in self._parse(text) or ())
        if found and not found[-1] and sorted(found[:-1]) == sorted(self._fields):
            self._fields = (*found[:-1], _TRAILING)
            return
        if sorted(found) == sorted(self._fields):
            self._fields = found
            return
        missing = ", ".join(name for name in self._fields if name not in found) or "none"
        surplus = [
            name for place, name in enumerate(found) if name not in self._fields or name in found[:place]
        ]
        # A file without header starts with a record, and a record must not be shown.
        unexpected = (
            ", ".join(surplus) if all(map(str.isidentifier, surplus)) else "values that are not names"
        )
        cure = self._other_delimiter(text) or "Correct fields, format.delimiter, or format.header"
        raise DataFault(
            f"{self._path.name}: wrong header: missing {missing}; unexpected {unexpected or 'none'}; "
            f"expected {self._format.delimiter.join(self._fields)}. {cure}"
        )

    def _other_delimiter(self, header: str) -> str:
        """Return the cure of a file with another delimiter; empty if it has ours."""
        if header.lower().startswith("sep="):
            return "That line is a spreadsheet's: set format.skip_lines to 1"
        wanted = len(self._fields) - 1
        likely = max(_DELIMITERS, key=header.count)
        if header.count(likely) < wanted or header.count(self._format.delimiter) >= wanted:
            return ""
        return f"The file has {likely!r} between its fields: set format.delimiter to it"

    def _batch(self, block: Block) -> RawBatch:
        data = block.data.replace(b"\r\n", b"\n")
        plain = (
            self._layouts is None
            and self._no_record is None
            and data.isascii()
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
        passed = []
        padded = self._padded(data)

        def refuse(row: pyarrow.csv.InvalidRow) -> str:
            if self._unwanted(row.text.split(self._format.delimiter)):
                passed.append(row.number - 1)
                return "skip"
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
                strings_can_be_null=not padded,
            ),
        )
        if padded:
            table = pa.table([self._finished(column) for column in table.columns], table.column_names)
        numbers = np.arange(block.first, block.first + len(block), dtype=np.int64)
        refused = [*(reject.line - block.first for reject in rejects), *passed]
        batch = RawBatch(
            table.combine_chunks(), np.delete(numbers, refused), block.line, rejects, len(passed)
        )
        return self._wanted(batch)

    def _padded(self, data: bytes) -> bool:
        """Return whether a blank is beside a delimiter or a line end; most have none."""
        content = np.frombuffer(data, np.uint8)
        for blank in self._blanks.encode():
            if bytes([blank]) in data:
                places = np.flatnonzero(content == blank)
                before, after = np.maximum(places - 1, 0), np.minimum(places + 1, len(content) - 1)
                at_edge = places[0] == 0 or places[-1] == len(content) - 1
                if at_edge or (self._marks[content[before]] | self._marks[content[after]]).any():
                    return True
        return False

    def _wanted(self, batch: RawBatch) -> RawBatch:
        """A batch without the records that the source does not want."""
        if _TRAILING in batch.table.column_names:
            batch.table = batch.table.drop([_TRAILING])
        if self._only or self._skip:
            kept, passed = wanted(batch.table, self._only, self._skip)
            batch.table, batch.lines = batch.table.filter(kept), batch.lines[_mask(kept)]
            batch.passed += passed
        return batch

    def _unwanted(self, record: Sequence[str]) -> bool:
        """Return whether a record of another width is unwanted, and so no fault."""
        found = {
            name: text.strip().removeprefix(self._format.quote).removesuffix(self._format.quote)
            for name, text in zip(self._fields, record, strict=False)
        }
        return any(found[name] not in texts for name, texts in self._only.items() if name in found) or any(
            found[name] in texts for name, texts in self._skip.items() if name in found
        )

    def _finished(self, column: pa.Array) -> pa.Array:
        """A column without the blanks around its texts, null where the file says so."""
        return self._with_nulls(pc.utf8_trim(column, self._blanks) if self._blanks else column)

    def _with_nulls(self, column: pa.Array) -> pa.Array:
        return pc.if_else(pc.is_in(column, pa.array(self._format.nulls, column.type)), None, column)

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
                text = line.decode(self._format.line_encoding).rstrip("\r")
            except UnicodeDecodeError:
                text = None
            if text is None or "\0" in text:
                reason = "not_" + self._format.line_encoding if text is None else "null_character"
                rejects.append(Reject(number, reason, line.hex()))
                text = None
            lines.append(text)
        return pa.array(lines, pa.large_string()), rejects

    def _split(self, block: Block, lines: pa.Array, rejects: list[Reject]) -> RawBatch:
        """Split lines into records; skip blank lines."""
        width = len(self._fields)
        filled = self._records(lines)
        numbers = np.arange(block.first, block.first + len(lines), dtype=np.int64)[_mask(filled)]
        lines = lines.filter(filled)
        if self._layouts is not None:
            return self._wanted(self._by_kind(self._layouts, block, lines, numbers, rejects))

        parts = pc.split_pattern(lines, self._format.delimiter)
        quoted = _mask(pc.match_substring(lines, self._format.quote))
        fits = _mask(pc.equal(pc.list_value_length(parts), width)) & ~quoted
        flat = pc.list_flatten(parts.filter(pa.array(fits)))
        rows = np.arange(len(flat) // width) * width
        columns = [flat.take(pa.array(rows + position)) for position in range(width)]
        if self._blanks:
            columns = [pc.utf8_trim(column, self._blanks) for column in columns]
        at = np.flatnonzero(fits)

        by_hand: dict[int, list[str]] = {}
        passed = 0
        for index in map(int, np.flatnonzero(~fits)):
            record = self._parse(lines[index].as_py())
            if record is not None and len(record) == width:
                by_hand[index] = record
            elif record is not None and self._unwanted(record):
                passed += 1
            else:
                reason = "broken_quotes" if record is None else "wrong_number_of_fields"
                rejects.append(Reject(int(numbers[index]), reason, lines[index].as_py()))
        if by_hand:
            more = [pa.array(values, pa.large_string()) for values in zip(*by_hand.values(), strict=True)]
            columns = [pa.concat_arrays(pair) for pair in zip(columns, more, strict=True)]
            at = np.concatenate([at, np.fromiter(by_hand, np.int64)])

        table = pa.table([self._with_nulls(column) for column in columns], list(self._fields))
        return self._wanted(RawBatch(table, numbers[at], block.line, rejects, passed))

    def _records(self, lines: pa.Array) -> pa.Array:
        """Mark the lines that hold a record."""
        filled = pc.greater(pc.fill_null(pc.binary_length(lines), 0), 0)
        if self._no_record is None:
            return filled
        search = self._no_record.search
        return pc.and_(
            filled, pa.array([text is not None and not search(text) for text in lines.to_pylist()])
        )

    def _by_kind(
        self, layouts: Layouts, block: Block, lines: pa.Array, numbers: np.ndarray, rejects: list[Reject]
    ) -> RawBatch:
        """The records of lines of several layouts; those of other kinds are passed over."""
        columns: dict[str, list[str | None]] = {name: [] for name in self._fields}
        kept, passed = [], 0
        for number, line in zip(map(int, numbers), lines.to_pylist(), strict=True):
            record = self._parse(line)
            if record is None:
                rejects.append(Reject(number, "broken_quotes", line))
                continue
            kind = record[layouts.by - 1].strip() if len(record) >= layouts.by else ""
            fields = layouts.kinds.get(kind)
            if fields is None:
                passed += 1
            elif len(record) != len(fields) and not (len(record) == len(fields) + 1 and not record[-1]):
                rejects.append(Reject(number, "wrong_number_of_fields", line))
            else:
                kept.append(number)
                given = dict(zip(fields, record, strict=False))
                for name, texts in columns.items():
                    texts.append(given.get(name))
        arrays = [self._with_nulls(pa.array(texts, pa.string())) for texts in columns.values()]
        return RawBatch(
            pa.table(arrays, list(columns)), np.array(kept, np.int64), block.line, rejects, passed
        )

    def _parse(self, line: str) -> list[str] | None:
        """Return one line's fields, or None for broken quotes. Quoted blanks stay."""
        quote, delimiter = self._format.quote, self._format.delimiter
        if quote not in line:
            return [text.strip(self._blanks) if self._blanks else text for text in line.split(delimiter)]
        reader = csv.reader(
            [line],
            delimiter=delimiter,
            quotechar=quote,
            strict=True,
            skipinitialspace=" " in self._blanks,
        )
        try:
            record = next(reader)
        except csv.Error:
            return None
        place = 0
        for number, text in enumerate(record):
            while " " in self._blanks and line[place : place + 1] == " ":
                place += 1
            if line[place : place + 1] == quote:
                place += len(text.replace(quote, quote * 2)) + 3
            else:
                place += len(text) + 1
                record[number] = text.strip(self._blanks) if self._blanks else text
        return record


def _mask(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False)
