"""Encode result rows as JSON, CSV and GeoJSON, batch by batch.

Numbers are sent exactly as the database printed them: a decimal keeps its scale and is a JSON number, not
text. JSON cannot express not-a-number and infinity, so these are null, and empty in CSV.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Protocol

Row = Sequence[Any]
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class JsonText(str):
    """Hold text that is already JSON, such as the database's json and jsonb columns."""


def _encode_float(value: float) -> str:
    return float.__repr__(value) if math.isfinite(value) else "null"


def _encode_decimal(value: Decimal) -> str:
    return str(value) if value.is_finite() else "null"


def _encode_list(values: Iterable[Any]) -> str:
    return f"[{','.join(encode_value(value) for value in values)}]"


def _encode_map(values: dict[str, Any]) -> str:
    return (
        "{" + ",".join(f"{encode_text(str(key))}:{encode_value(item)}" for key, item in values.items()) + "}"
    )


def encode_text(value: str) -> str:
    """Encode a JSON string."""
    return encode_basestring(value)


_ENCODERS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "null",
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _encode_float,
    Decimal: _encode_decimal,
    str: encode_text,
    JsonText: str,
    datetime.date: lambda value: f'"{value.isoformat()}"',
    datetime.datetime: lambda value: f'"{value.isoformat()}"',
    datetime.time: lambda value: f'"{value.isoformat()}"',
    datetime.timedelta: lambda value: str(value.total_seconds()),
    uuid.UUID: lambda value: f'"{value}"',
    list: _encode_list,
    tuple: _encode_list,
    dict: _encode_map,
}


def encode_value(value: Any) -> str:
    """Encode one value as JSON.

    Dates and times are ISO 8601, intervals seconds.
    """
    encoder = _ENCODERS.get(type(value))
    return encoder(value) if encoder else encode_text(str(value))


class Encoder(Protocol):
    """Define an output format.

    ``start`` is called once with the columns, then ``rows`` for each batch, then ``end``.
    """

    media_type: str
    batch_rows: int

    def start(self, columns: Sequence[str]) -> str:
        """Return the text before the first row."""

    def rows(self, rows: Sequence[Row]) -> str:
        """Return the text of some rows; never called without rows."""

    def end(self) -> str:
        """Return the text after the last row."""


class _ObjectEncoder:
    """Encode rows as JSON objects in a list, between a prefix and a suffix."""

    prefix: str
    suffix: str

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._is_first = True

    def start(self, columns: Sequence[str]) -> str:
        self._keys = [f"{encode_text(column)}:" for column in columns]
        return self.prefix

    def rows(self, rows: Sequence[Row]) -> str:
        text = ",".join(self._row(row) for row in rows)
        separator = "" if self._is_first else ","
        self._is_first = False
        return separator + text

    def end(self) -> str:
        return self.suffix

    def _row(self, row: Row) -> str:
        return (
            "{"
            + ",".join(key + encode_value(value) for key, value in zip(self._keys, row, strict=True))
            + "}"
        )


def _end_with(metadata: Mapping[str, Any] | None) -> str:
    return "]}" if metadata is None else f'], "metadata":{encode_value(dict(metadata))}}}'


class JsonEncoder(_ObjectEncoder):
    """Encode ``{"query_id": id, "query_result": [{column: value}, ...]}``.

    ``metadata`` of the result follow the rows, if there are any.
    """

    media_type = "application/json"
    batch_rows = 2_000

    def __init__(self, query_id: str, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.prefix = f'{{"query_id":{encode_text(query_id)}, "query_result":['
        self.suffix = _end_with(metadata)


class GeoJsonEncoder(_ObjectEncoder):
    """Encode a FeatureCollection from GeoJSON columns.

    The columns are ``type``, ``id``, ``geometry`` and ``properties``. ``metadata`` of the result are a foreign
    member of the collection.
    """

    media_type = "application/geo+json"
    # A single boundary can have megabytes of coordinates.
    batch_rows = 50
    prefix = '{"type":"FeatureCollection", "features":['
    json_columns = frozenset({"geometry", "properties"})

    def __init__(self, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.suffix = _end_with(metadata)

    def start(self, columns: Sequence[str]) -> str:
        self._json_positions = [
            position for position, column in enumerate(columns) if column in self.json_columns
        ]
        return super().start(columns)

    def _row(self, row: Row) -> str:
        values = list(row)
        # PostGIS prints geometries as text that is JSON.
        for position in self._json_positions:
            if type(values[position]) is str:
                values[position] = JsonText(values[position])
        return super()._row(values)


class CsvEncoder:
    """Encode RFC 4180 text with a header line.

    With ``safe``, text that a spreadsheet would execute is quoted with ``'``.
    """

    media_type = "text/csv"
    batch_rows = 2_000

    def __init__(self, *, safe: bool = False) -> None:
        self._safe = safe
        self._buffer = io.StringIO()
        self._writer = csv.writer(self._buffer, lineterminator="\r\n")

    def start(self, columns: Sequence[str]) -> str:
        self._writer.writerow(columns)
        return self._take()

    def rows(self, rows: Sequence[Row]) -> str:
        self._writer.writerows([self._cell(value) for value in row] for row in rows)
        return self._take()

    def end(self) -> str:
        return ""

    def _cell(self, value: Any) -> str:
        if isinstance(value, str):
            return f"'{value}" if self._safe and value.startswith(FORMULA_STARTS) else value
        text = encode_value(value)
        if text == "null":
            return ""
        if text.startswith('"'):
            return str(json.loads(text))
        return text

    def _take(self) -> str:
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text
