"""The forms that a query's result can take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowclient import operations
from flowclient.exchange import Operation
from flowclient.frames import table, with_metadata
from flowclient.kinds import FRACTIONS, RESULT_COLUMNS, RESULT_COLUMNS_WITH
from flowclient.server import Server
from flowclient.units import unit_of

if TYPE_CHECKING:
    import pandas

FORMATS = ("pandas", "geojson", "geopandas", "csv")


def check_format(format: str) -> None:
    """Refuse a format that does not exist."""
    if format not in FORMATS:
        names = ", ".join(f"'{name}'" for name in FORMATS)
        raise ValueError(f"Invalid format: '{format}'. Expected one of {{{names}}}.")


def fetch(connection: Server, location: str, format: str, spec: Mapping[str, Any]) -> Operation[Any]:
    """Operation that gets the result at a route in one of :data:`FORMATS`."""
    if format == "geojson":
        return (yield from operations.get_geojson(connection, location))
    if format == "geopandas":
        from flowclient.maps import geodataframe

        collection = yield from operations.get_geojson(connection, location)
        return with_metadata(geodataframe(collection), collection.get("metadata"))
    if format == "pandas":
        records, metadata = yield from operations.get_records(connection, location)
        return with_metadata(frame(records, spec), metadata)
    content: bytes = yield from operations.get_file(connection, location, format)
    return content.decode("utf-8")


def frame(records: list[dict[str, Any]], spec: Mapping[str, Any]) -> pandas.DataFrame:
    """Return records as a table.

    A table without rows still has its kind's columns and types.
    """
    fractions = FRACTIONS.get(str(spec.get("query_kind")), ())
    return table(records, columns=result_columns(spec), fractions=fractions)


def result_columns(spec: Mapping[str, Any]) -> list[str]:
    """Return the columns of a kind's result, as far as the client knows the kind."""
    kind = str(spec.get("query_kind"))
    named = RESULT_COLUMNS.get(kind, ())
    for (field, word), others in RESULT_COLUMNS_WITH.get(kind, {}).items():
        if spec.get(field) == word:
            named = others
    columns: list[str] = []
    for column in named:
        if not column.startswith("location"):
            columns.append(column)
            continue
        suffix = column.removeprefix("location")
        names = ("lon", "lat") if unit_of(spec) == "lon-lat" else ("pcod",)
        columns.extend(f"{name}{suffix}" for name in names)
    return columns
