"""Parquet files, as text: what follows need not know what a column was."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flowetl.errors import DataFault
from flowetl.lines import RawBatch
from flowetl.source import Source
from flowetl.typed import typed_batch

BATCH_ROWS = 100_000

#: Bytes of text of a batch, unless a single record has more.
BATCH_BYTES = 64_000_000


class ParquetReader:
    """Read a Parquet file as text columns; ``sha256`` is known after the last batch."""

    def __init__(self, path: Path, source: Source) -> None:
        self._path = path
        self._source = source
        self.sha256 = ""
        self.notes: list[str] = []

    def batches(self) -> Iterator[RawBatch]:
        """Every record of the file, numbered from 1.

        Raises
        ------
        DataFault
            When the file is no Parquet file or too large, or a field is not in it.
        """
        if self._path.stat().st_size == 0:
            raise DataFault(f"{self._path.name} is empty (0 bytes)")
        try:
            with pq.ParquetFile(self._path) as file:
                self._require_fields(file.schema_arrow)
                groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
                content = sum(group.total_byte_size for group in groups)
                self._source.format.sizes.require(self._path.name, self._path.stat().st_size, content)
                first = 1
                texts = [name for name in self._source.fields if _is_text(file.schema_arrow.field(name).type)]
            # A long text that is repeated stays one text until its length is known.
            with pq.ParquetFile(self._path, read_dictionary=texts) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=list(self._source.fields)):
                    for piece in self._pieces(batch, texts, first):
                        columns = [as_text(piece.column(name)) for name in self._source.fields]
                        yield typed_batch(columns, self._source, first)
                        first += piece.num_rows
        except (pa.ArrowException, OSError) as error:
            raise DataFault(
                f"{self._path.name} is not a sound Parquet file ({type(error).__name__}): have it sent again, or correct format"
            ) from None
        with self._path.open("rb") as raw:
            self.sha256 = hashlib.file_digest(raw, "sha256").hexdigest()

    def _pieces(self, batch: pa.RecordBatch, texts: list[str], first: int) -> Iterator[pa.RecordBatch]:
        """Cut a batch into pieces of so much text; refuse a record over the limit."""
        longest = self._source.format.sizes.line
        lengths = np.zeros(batch.num_rows, np.int64)
        for name in texts:
            lengths += _lengths(batch.column(name))
        if len(lengths) and lengths.max() > longest:
            number = first + int((lengths > longest).argmax())
            raise DataFault(
                f"{self._path.name}: record {number} is longer than {longest} bytes, so it is no record: look at the file; "
                "if it is sound, raise format.sizes.line"
            )
        start = 0
        before = np.concatenate([[0], lengths.cumsum()])
        while start < batch.num_rows:
            end = int(np.searchsorted(before, before[start] + BATCH_BYTES, "right")) - 1
            end = max(end, start + 1)
            yield batch.slice(start, end - start)
            start = end

    def _require_fields(self, schema: pa.Schema) -> None:
        missing = [name for name in self._source.fields if name not in schema.names]
        if missing:
            raise DataFault(
                f"{self._path.name}: fields {', '.join(missing)} are not in the file, which has {', '.join(schema.names)}"
            )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)


def _lengths(values: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the bytes of each text, 0 for a gap."""
    if pa.types.is_dictionary(values.type):
        lengths = pc.binary_length(values.dictionary).take(values.indices)
    else:
        lengths = pc.binary_length(values)
    return np.asarray(pc.fill_null(lengths, 0), np.int64)


def as_text(values: pa.Array) -> pa.Array:
    """Return a column as text: whole numbers without a fraction, times as ISO text."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if pa.types.is_floating(kind):
        # Of a column with gaps pandas makes fractions; a whole number below 2^53 has lost nothing by that.
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), float(1 << 53)))
        safe = pc.if_else(pc.fill_null(whole, False), values, None)
        return pc.coalesce(safe.cast(pa.int64()).cast(pa.string()), values.cast(pa.string()))
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:
            values = values.cast(pa.timestamp("us", "UTC"), safe=False)
            return pc.strftime(values, "%Y-%m-%d %H:%M:%S+0000")
        return values.cast(pa.timestamp("us"), safe=False).cast(pa.string())
    if pa.types.is_decimal(kind) and kind.scale > 0:
        return pc.replace_substring_regex(values.cast(pa.string()), r"\.0+$", "")
    return values.cast(pa.string())
