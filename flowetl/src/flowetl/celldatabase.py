"""Read exports of OpenCelliD, whose files of one country come without a header."""

import csv
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

COLUMNS: Final = (
    "radio", "mcc", "net", "area", "cell", "unit", "lon", "lat", "range", "samples", "changeable", "created", "updated",
    "averageSignal",
)  # fmt: skip
_PARTS: Final = ("mcc", "net", "area", "cell")
"""What names a cell: country, network, area and number."""
_RADIOS: Final = {"GSM", "UMTS", "WCDMA", "CDMA", "LTE", "NR"}

Row = dict[str | Any, str | Any]
"""One line: its texts by column."""
Line = tuple[int, Row]
"""A line with its number in the file."""


def is_whole(row: Row) -> bool:
    """Return whether a line has as many fields as there are columns."""
    return None not in row and None not in row.values()


def is_export(first: str, delimiter: str) -> bool:
    """Return whether a file's first line is the header of an export, or a cell of one."""
    names = [name.strip() for name in next(csv.reader([first.strip()], delimiter=delimiter), [])]
    return set(_PARTS) <= set(names) or (
        len(names) == len(COLUMNS) and names[0].upper() in _RADIOS and names[1].isdigit()
    )


def distinct(lines: Iterable[Line], tell: Callable[[str], None], name: str) -> Iterator[Line]:
    """Yield each cell once, by the line with most samples.

    A cell that telephones heard as two kinds of radio has a line for each.
    """
    best: dict[tuple[str, ...], Line] = {}
    again = 0
    for number, row in lines:
        if not is_whole(row):
            yield number, row
            continue
        cell = tuple(row[part].strip() for part in _PARTS)
        before = best.get(cell)
        again += before is not None
        if before is None or _samples(row) > _samples(before[1]):
            best[cell] = number, row
    if again:
        tell(
            f"{name}: {again} lines name a cell again, as another kind of radio: that of most samples was used"
        )
    yield from best.values()


def _samples(row: Row) -> int:
    text = row.get("samples", "").strip()
    return int(text) if text.isdigit() else 0


def ours(row: Row) -> Row:
    """Return a line in our columns; a cell is such as ``429-1-1538-11137``."""
    if not is_whole(row):
        return row
    return {
        "id": "-".join(row[part].strip() for part in _PARTS),
        "type": row.get("radio", ""),
        "latitude": row.get("lat", ""),
        "longitude": row.get("lon", ""),
    }
