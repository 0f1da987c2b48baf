"""Read lists of cells, sites and device models, checked line by line."""

import csv
import datetime as dt
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flowetl.errors import DataFault
from flowetl.mappings import Joined, TableMapping


def _text(value: str) -> str | None:
    return value or None


def _required(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _version(value: str) -> int:
    return int(value) if value else 0


def _date(value: str) -> dt.date | None:
    return dt.date.fromisoformat(value) if value else None


def _date_in(patterns: Sequence[str]) -> Callable[[str], dt.date | None]:
    def parse(value: str) -> dt.date | None:
        if not value:
            return None
        for pattern in patterns:
            try:
                return dt.datetime.strptime(value, pattern).date()
            except ValueError:
                continue
        raise ValueError(f"is not of the form {' or '.join(patterns)}")

    return parse


def _degrees(limit: float) -> Callable[[str], float | None]:
    def parse(value: str) -> float | None:
        if not value:
            return None
        degrees = float(value)
        if not -limit <= degrees <= limit:
            raise ValueError(f"is not within {limit:g} degrees of zero")
        return degrees

    return parse


Row = dict[str | Any, str | Any]
"""One line: its texts by column."""

PLACE_COLUMNS: dict[str, Callable[[str], Any]] = {
    "id": _required,
    "version": _version,
    "name": _text,
    "latitude": _degrees(90),
    "longitude": _degrees(180),
    "date_of_first_service": _date,
    "date_of_last_service": _date,
}
CELL_COLUMNS: dict[str, Callable[[str], Any]] = {**PLACE_COLUMNS, "site_id": _text, "type": _text}
TAC_COLUMNS: dict[str, Callable[[str], Any]] = {
    "id": int,
    **dict.fromkeys(("brand", "model", "hnd_type", "software_os_name", "software_os_vendor"), _text),
}


PLACE_NEEDS = ("id", "latitude", "longitude")
_FAULTS_SHOWN = 20
_SPELLINGS = {
    "lat": "latitude", "lon": "longitude", "lng": "longitude", "long": "longitude", "cell_id": "id", "cellid": "id",
    "antenna_id": "id", "site": "site_id", "radio": "type",
}  # fmt: skip
"""Other names of columns, which are compared without regard to capitals."""
_PARTS = ("mcc", "net", "area", "cell")
_CELL_DATABASE = {name: name for name in _PARTS} | {"radio": "type", "lon": "longitude", "lat": "latitude"}
"""An export of OpenCelliD: a cell is network, area and number, as ``429-1-1538-11137``; other columns are passed over."""


def read_table(
    path: Path,
    columns: dict[str, Callable[[str], Any]],
    needed: Sequence[str],
    given: TableMapping | None = None,
) -> list[dict[str, Any]]:
    """Read a delimited file's records; only the needed columns must be there.

    Raises
    ------
    DataFault
        Naming the missing and unexpected columns, or every line, field and value that cannot be parsed.
    """
    try:
        text = path.read_text(encoding=given.encoding if given else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataFault(
            f"{path.name} is not {given.encoding if given else 'UTF-8'}: byte {error.start} is {error.object[error.start]:#04x}; convert it first"
        ) from error
    first = text.partition("\n")[0]
    delimiter = (given and given.delimiter) or max(",;\t|", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        if given is not None:
            return _read_mapped(path, reader, columns, needed, given)
        names = [name.strip() for name in reader.fieldnames or []]
        layout = _CELL_DATABASE if _CELL_DATABASE.keys() <= set(names) and "id" in columns else {}
        found = [layout.get(name, _SPELLINGS.get(name.casefold(), name.casefold())) for name in names]
        if layout:
            found = [name if name in columns or name in _PARTS else f"unused {name}" for name in found]
        missing = [name for name in needed if name not in found] if not layout else []
        unexpected = [name for name in found if name not in columns] if not layout else []
        if missing or unexpected or len(set(found)) != len(found):
            raise DataFault(
                f"{path.name}: wrong columns: missing {', '.join(missing) or 'none'}; "
                f"unexpected {', '.join(unexpected) or 'none'}; expected {', '.join(columns)}, of which "
                f"{', '.join(needed)} are needed"
            )
        reader.fieldnames = found

        def ours(row: Row) -> Row:
            return row | {"id": "-".join(str(row[part]).strip() for part in _PARTS)} if layout else row

        return _parsed(path, reader, columns, len(found), ours)
    except csv.Error as error:
        raise DataFault(f"{path.name} after line {reader.line_num}: {error}") from error


def _read_mapped(
    path: Path,
    reader: "csv.DictReader[str]",
    columns: dict[str, Callable[[str], Any]],
    needed: Sequence[str],
    given: TableMapping,
) -> list[dict[str, Any]]:
    """The records of a file whose columns the operator has named."""
    reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
    unknown = [name for name in given.columns if name not in columns]
    missing = [name for name in needed if name not in given.columns]
    if unknown or missing:
        raise DataFault(
            f"columns of {path.name}: missing {', '.join(missing) or 'none'}; not known {', '.join(unknown) or 'none'}; "
            f"allowed {', '.join(columns)}, of which {', '.join(needed)} are needed"
        )
    theirs = {name: one.join if isinstance(one, Joined) else (one,) for name, one in given.columns.items()}
    absent = [column for ones in theirs.values() for column in ones if column not in reader.fieldnames]
    if absent:
        raise DataFault(
            f"{path.name} has no column {', '.join(absent)}; there are: {', '.join(reader.fieldnames)}"
        )
    between = {name: one.with_ for name, one in given.columns.items() if isinstance(one, Joined)}
    parsers = {name: _date_in(given.dates) if parse is _date else parse for name, parse in columns.items()}

    def ours(row: Row) -> Row:
        if None in row or None in row.values():
            return row
        return {
            name: between.get(name, "").join(row[column].strip() for column in ones)
            for name, ones in theirs.items()
        }

    return _parsed(path, reader, parsers, len(reader.fieldnames), ours)


def _parsed(
    path: Path,
    reader: "csv.DictReader[str]",
    columns: Mapping[str, Callable[[str], Any]],
    width: int,
    ours: Callable[[Row], Row],
) -> list[dict[str, Any]]:
    """Every record, or all that is wrong with them."""
    records, faults = [], []
    for row in reader:
        record, wrong = _parse_record(ours(row), columns, width)
        faults += [f"line {reader.line_num}: {fault}" for fault in wrong]
        records.append(record)
    if faults:
        more = f"; and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
        raise DataFault(f"{path.name} " + "; ".join(faults[:_FAULTS_SHOWN]) + more)
    if not records:
        raise DataFault(f"{path.name} holds no records")
    return records


def _parse_record(
    row: Row, columns: Mapping[str, Callable[[str], Any]], width: int
) -> tuple[dict[str, Any], list[str]]:
    """The values of a line, and what is wrong with them."""
    if None in row or None in row.values():
        return {}, [f"has not {width} fields"]
    record, faults = {}, []
    for name, parse in columns.items():
        value = row.get(name, "")
        try:
            record[name] = parse(value.strip())
        except ValueError as error:
            faults.append(f"{name} {value!r}: {error}")
    if not faults and "latitude" in record and (record["latitude"] is None) != (record["longitude"] is None):
        faults.append(
            f"{record['id']} version {record['version']}: needs both latitude and longitude, or neither"
        )
    return record, faults
