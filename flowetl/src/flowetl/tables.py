"""Read lists of cells, sites and device models, checked line by line."""

import csv
import datetime as dt
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flowetl import celldatabase
from flowetl.celldatabase import Line, Row, is_whole
from flowetl.errors import DataFault
from flowetl.events import TAC_DIGITS
from flowetl.mappings import Joined, TableMapping
from flowetl.streams import content_of


def _text(value: str) -> str | None:
    return value or None


def _required(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _version(value: str) -> int:
    if value and not (value.isascii() and value.isdigit()):
        raise ValueError("is not a whole number")
    return int(value or 0)


def _tac(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= TAC_DIGITS):
        raise ValueError(f"is not a number of up to {TAC_DIGITS} digits")
    return int(value)


def _date(value: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(value) if value else None
    except ValueError:
        raise ValueError(
            "is not a date such as 2016-01-31; other forms are named by dates in a mapping"
        ) from None


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
        try:
            degrees = float(value)
        except ValueError:
            raise ValueError("is not a number of degrees such as 27.7172") from None
        if not -limit <= degrees <= limit:
            raise ValueError(f"is not within {limit:g} degrees of zero")
        return degrees

    return parse


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
    "id": _tac,
    **dict.fromkeys(("brand", "model", "hnd_type", "software_os_name", "software_os_vendor"), _text),
}


PLACE_NEEDS = ("id", "latitude", "longitude")
_FAULTS_SHOWN = 20
_SPELLINGS = {
    "lat": "latitude", "lon": "longitude", "lng": "longitude", "long": "longitude", "cell_id": "id", "cellid": "id",
    "antenna_id": "id", "site": "site_id", "radio": "type",
}  # fmt: skip
"""Other names of columns, which are compared without regard to capitals."""


def read_table(
    path: Path,
    columns: dict[str, Callable[[str], Any]],
    needed: Sequence[str],
    given: TableMapping | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Read a delimited file's records; only the needed columns must be there.

    The file may be compressed. ``tell`` takes what is doubtful.

    Raises
    ------
    DataFault
        Naming the missing and unexpected columns, or every line, field and value that cannot be parsed.
    """
    text = _text_of(path, given.encoding if given else "utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = (given and given.delimiter) or max(",;\t|", key=first.count)
    towers = celldatabase.is_export(first, delimiter) and "id" in columns and "latitude" in columns
    names = given.fields if given else ()
    if towers and not first.startswith(celldatabase.COLUMNS[0]):
        names = celldatabase.COLUMNS
    reader = csv.DictReader(io.StringIO(text, newline=""), names or None, delimiter=delimiter, strict=True)
    try:
        reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        lines: Iterable[Line] = ((reader.line_num, row) for row in reader)
        if towers:
            lines = celldatabase.distinct(lines, tell, path.name)
        if given is not None:
            return _read_mapped(path, reader.fieldnames, lines, columns, needed, given)
        if towers:
            return _parsed(path, lines, columns, len(reader.fieldnames), celldatabase.ours)
        found = [_SPELLINGS.get(name.casefold(), name.casefold()) for name in reader.fieldnames]
        missing = [name for name in needed if name not in found]
        unexpected = [name for name in found if name not in columns]
        if missing or unexpected or len(set(found)) != len(found):
            raise DataFault(
                f"{path.name}: wrong columns: missing {', '.join(missing) or 'none'}; "
                f"unexpected {', '.join(unexpected) or 'none'}; expected {', '.join(columns)}, of which "
                f"{', '.join(needed)} are needed. Other columns are described in {path.name.partition('.')[0]}.yml"
            )
        reader.fieldnames = found
        return _parsed(path, lines, columns, len(found), lambda row: row)
    except csv.Error as error:
        raise DataFault(f"{path.name} after line {reader.line_num}: {error}") from error


def _text_of(path: Path, encoding: str) -> str:
    try:
        return content_of(path).decode(encoding)
    except UnicodeDecodeError as error:
        told = "UTF-8" if encoding == "utf-8-sig" else encoding
        raise DataFault(
            f"{path.name} is not {told}: byte {error.start} is {error.object[error.start]:#04x}; convert it first"
        ) from error


def _read_mapped(
    path: Path,
    names: Sequence[str],
    lines: Iterable[Line],
    columns: dict[str, Callable[[str], Any]],
    needed: Sequence[str],
    given: TableMapping,
) -> list[dict[str, Any]]:
    """The records of a file whose columns the operator has named."""
    unknown = [name for name in given.columns if name not in columns]
    missing = [name for name in needed if name not in given.columns]
    if unknown or missing:
        raise DataFault(
            f"columns of {path.name}: missing {', '.join(missing) or 'none'}; not known {', '.join(unknown) or 'none'}; "
            f"allowed {', '.join(columns)}, of which {', '.join(needed)} are needed"
        )
    theirs = {name: one.join if isinstance(one, Joined) else (one,) for name, one in given.columns.items()}
    absent = [
        column for ones in (*theirs.values(), tuple(given.only)) for column in ones if column not in names
    ]
    if absent:
        raise DataFault(f"{path.name} has no column {', '.join(absent)}; there are: {', '.join(names)}")
    between = {name: one.with_ for name, one in given.columns.items() if isinstance(one, Joined)}
    parsers = {name: _date_in(given.dates) if parse is _date else parse for name, parse in columns.items()}

    def ours(row: Row) -> Row:
        if not is_whole(row):
            return row
        return {
            name: between.get(name, "").join(row[column].strip() for column in ones)
            for name, ones in theirs.items()
        }

    wanted = (
        (number, row)
        for number, row in lines
        # A line of another width is told whatever it is of.
        if not is_whole(row) or all(row[name].strip() in texts for name, texts in given.only.items())
    )
    return _parsed(path, wanted, parsers, len(names), ours)


def _parsed(
    path: Path,
    lines: Iterable[Line],
    columns: Mapping[str, Callable[[str], Any]],
    width: int,
    ours: Callable[[Row], Row],
) -> list[dict[str, Any]]:
    """Every record, or all that is wrong with them."""
    records, faults = [], []
    for number, row in lines:
        record, wrong = _parse_record(ours(row), columns, width)
        faults += [f"line {number}: {fault}" for fault in wrong]
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
    if not is_whole(row):
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
