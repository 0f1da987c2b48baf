"""Compare two engines' answers."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Comparison:
    """Rows of either answer by key: equal, of another value, and in one of them only."""

    equal: int
    different: int
    only_first: int
    only_second: int
    largest_difference: float

    @property
    def same(self) -> bool:
        return not (self.different or self.only_first or self.only_second)

    def __str__(self) -> str:
        if self.same:
            return "equal"
        rows = self.equal + self.different + self.only_first + self.only_second
        told = [
            f"{count} {text}"
            for count, text in (
                (self.different, f"differ by at most {self.largest_difference:.2g}"),
                (self.only_first, "only here"),
                (self.only_second, "only there"),
            )
            if count
        ]
        return f"of {rows} rows {', '.join(told)}"


def compare(first: pd.DataFrame, second: pd.DataFrame) -> Comparison:
    """Compare by value.

    The column ``value``, if any, may differ by a relative 1e-9. All other columns form the key of a row.
    """
    left, right = _by_key(first), _by_key(second)
    differences = [_difference(left[key], right[key]) for key in left.keys() & right.keys()]
    different = [difference for difference in differences if difference > TOLERANCE]
    return Comparison(
        equal=len(differences) - len(different),
        different=len(different),
        only_first=len(left.keys() - right.keys()),
        only_second=len(right.keys() - left.keys()),
        largest_difference=max(different, default=0.0),
    )


def _by_key(rows: pd.DataFrame) -> dict[tuple[str, ...], float]:
    keys = sorted(set(rows.columns) - {"value"})
    found = {
        tuple(text_of_key(row[name]) for name in keys): math.nan
        if row.get("value") is None
        else float(row["value"])
        for row in rows.to_dict("records")
    }
    if len(found) != len(rows):
        raise ValueError("an answer has two rows with one key")
    return found


def text_of_key(value: Any) -> str:
    """Return a key column's canonical text.

    Text, dates, instants and numbers of several types occur; equal values have equal texts.
    """
    if isinstance(value, dt.datetime):
        return str(value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value)
    try:
        # So many digits tell all numbers apart, and not two spellings of one.
        return f"{float(value):.15g}"
    except (TypeError, ValueError):
        return str(value)


def _difference(first: float, second: float) -> float:
    if math.isnan(first) or math.isnan(second):
        return 0.0 if math.isnan(first) and math.isnan(second) else math.inf
    return abs(first - second) / max(abs(first), abs(second), 1e-300)
