"""Encode record batches as binary COPY rows, which cost half as much as text.

A row is the number of its fields and then, for each field, a length in bytes and the value; -1 marks a null.
A whole batch is encoded at once, column by column.
"""

import io
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Literal

import numpy as np
import psycopg2.errors
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor as Cursor
from psycopg2.sql import Composable

from flowetl.ahead import ahead
from flowetl.digests import hexadecimal

PostgresType = Literal["text", "boolean", "bigint", "numeric", "timestamptz"]
"""The types of PostgreSQL that columns are copied into; ``timestamptz`` from naive times in UTC."""

COPY_BUFFER_BYTES = 1 << 20
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_NO_MORE_ROWS = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
# PostgreSQL counts from the year 2000.
_EPOCH = np.datetime64("2000-01-01", "us").astype(np.int64)
# Below this value, a number of up to fifteen digits, a double and its shortest decimal form are equivalent.
_EXACT = 1e15
_MOST_DECIMALS = 15


def copy_into(
    cursor: Cursor,
    statement: str | Composable,
    types: Sequence[PostgresType],
    batches: Iterable[pa.RecordBatch],
) -> None:
    """Run ``COPY ... FROM STDIN (FORMAT binary)`` on batches of these types.

    What goes wrong with the batches is raised as it is.
    """
    # The database works on one batch while the next is encoded.
    with closing(ahead(_parts(types, batches))) as parts:
        stream = _Stream(parts)
        try:
            cursor.copy_expert(statement, stream, COPY_BUFFER_BYTES)
        except psycopg2.errors.QueryCanceled:
            if stream.fault is None:
                raise
            # The driver cancels the statement, which looks as if the database had done so.
            raise stream.fault from None


def copy_numbers(cursor: Cursor, statement: str) -> np.ndarray:
    """Run ``COPY ... TO STDOUT (FORMAT binary)`` of one column of ``bigint``.

    Returns its values, of which none is null.
    """
    found = io.BytesIO()
    cursor.copy_expert(statement, found)
    rows = found.getbuffer()[len(_SIGNATURE) : -len(_NO_MORE_ROWS)]
    return np.frombuffer(rows, [("fields", ">i2"), ("length", ">i4"), ("value", ">i8")])["value"].astype(
        np.int64
    )


class _Stream(io.RawIOBase):
    """Present parts, made on request, as a readable file."""

    def __init__(self, parts: Iterator[memoryview]) -> None:
        self.fault: Exception | None = None
        self._parts = parts
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            try:
                part = next(self._parts, None)
            except Exception as error:
                self.fault = error
                raise
            if part is None:
                return b""
            self._rest = part
        part, self._rest = self._rest[:size], self._rest[size:]
        return bytes(part)


def _parts(types: Sequence[PostgresType], batches: Iterable[pa.RecordBatch]) -> Iterator[memoryview]:
    yield memoryview(_SIGNATURE)
    for batch in batches:
        yield _rows(types, batch)
    yield memoryview(_NO_MORE_ROWS)


def _rows(types: Sequence[PostgresType], batch: pa.RecordBatch) -> memoryview:
    pieces: list[pa.Array | pa.Scalar] = [pa.scalar(struct.pack(">h", len(types)), pa.binary())]
    for kind, column in zip(types, batch.columns, strict=True):
        if column.null_count == len(column):
            pieces.append(pa.scalar(_NULL, pa.binary()))
        else:
            pieces += _PIECES[kind](column)
    rows = pc.binary_join_element_wise(
        *pieces, pa.scalar(b"", pa.binary()), null_handling="replace", null_replacement=_NULL
    )
    return memoryview(rows.buffers()[2])


def _binary(column: pa.Array, rows: np.ndarray) -> pa.Array:
    """Return one value for each row of bytes; null where the column is null."""
    count, width = rows.shape
    offsets = np.arange(count + 1, dtype=np.int32) * width
    present = pc.is_valid(column).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), count, [present, pa.py_buffer(offsets), pa.py_buffer(rows)])


def _fixed(column: pa.Array, values: np.ndarray) -> list[pa.Array]:
    """Return whole fields of equal length; each row of the matrix is one value."""
    width = values.shape[1] * values.itemsize
    fields = np.empty((len(values), 4 + width), np.uint8)
    fields[:, :4] = np.frombuffer(struct.pack(">i", width), np.uint8)
    fields[:, 4:] = _bytes(values)
    return [_binary(column, fields)]


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)


def _filled(column: pa.Array, kind: pa.DataType) -> np.ndarray:
    return pc.fill_null(column.cast(kind), 0).to_numpy(zero_copy_only=False)


def _text(column: pa.Array) -> list[pa.Array]:
    """Return lengths, null where a value is null, and values.

    Bytes of a fixed number become their hexadecimal characters.
    """
    if pa.types.is_fixed_size_binary(column.type):
        width = column.type.byte_width
        content = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width :][: len(column) * width]
        return _fixed(column, hexadecimal(content.reshape(-1, width)))
    lengths = _filled(pc.binary_length(column), pa.int32()).astype(">i4")
    return [_binary(column, _bytes(lengths)), pc.fill_null(column, "").cast(pa.binary())]


def _boolean(column: pa.Array) -> list[pa.Array]:
    return _fixed(column, _filled(column, pa.uint8())[:, np.newaxis])


def _bigint(column: pa.Array) -> list[pa.Array]:
    return _fixed(column, _filled(column, pa.int64()).astype(">i8")[:, np.newaxis])


def _timestamptz(column: pa.Array) -> list[pa.Array]:
    since_epoch = _filled(column.cast(pa.timestamp("us")), pa.int64()) - _EPOCH
    return _fixed(column, since_epoch.astype(">i8")[:, np.newaxis])


def _numeric(column: pa.Array) -> list[pa.Array]:
    """Return groups of four decimal digits around the point.

    Every row has as many groups as the batch's widest number needs. A double becomes its shortest equivalent
    decimal, as in text.
    """
    values = _filled(column, pa.float64())
    size = np.abs(values)
    scaled, decimals = np.rint(size), np.zeros(len(values), np.int64)
    open_ = np.flatnonzero(scaled != size)
    for places in range(1, _MOST_DECIMALS + 1):
        if not len(open_):
            break
        power = 10.0**places
        scaled[open_] = np.rint(size[open_] * power)
        decimals[open_] = places
        open_ = open_[scaled[open_] / power != size[open_]]
    if len(open_) or scaled.max() >= _EXACT:
        return [pa.array(map(_numeric_field, column.to_pylist()), pa.binary())]

    after = -(-int(decimals.max()) // 4)
    whole, part = np.divmod(scaled.astype(np.int64), 10**decimals)
    part *= 10 ** (4 * after - decimals)
    groups = [whole // 10_000**place % 10_000 for place in reversed(range(4))]
    groups += [part // 10_000**place % 10_000 for place in reversed(range(after))]
    while len(groups) > after + 1 and not groups[0].any():
        groups = groups[1:]
    header = [
        np.full(len(values), len(groups)),
        np.full(len(values), len(groups) - after - 1),
        np.where(values < 0, 0x4000, 0),
        decimals,
    ]
    return _fixed(column, np.stack([*header, *groups], axis=1).astype(">i2"))


def _numeric_field(value: float | None) -> bytes | None:
    """Return the field of one number of any size."""
    if value is None:
        return None
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    decimals = max(0, -exponent)
    after = -(-decimals // 4)
    rest = int("".join(map(str, digits))) * 10 ** (exponent + 4 * after)
    groups: list[int] = []
    while rest:
        rest, group = divmod(rest, 10_000)
        groups.insert(0, group)
    content = (len(groups), len(groups) - after - 1, 0x4000 * sign, decimals, *groups)
    return struct.pack(f">i{len(content)}h", 2 * len(content), *content)


_PIECES: dict[PostgresType, Callable[[pa.Array], list[pa.Array]]] = {
    "text": _text,
    "boolean": _boolean,
    "bigint": _bigint,
    "numeric": _numeric,
    "timestamptz": _timestamptz,
}
