"""Decide the column types of every table that the client returns.

Dates and times are ``datetime64``, with a zone where the answer names one. Whole numbers are ``Int64``, which stays whole
where a join leaves a gap. Shares and averages are ``float64``. Everything else is left as pandas has it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

#: Columns of days and times, by name: a text is not looked at, because a label may look like a date.
_TIMES = frozenset({"date", "datetime", "cdr_date"})
#: Columns that are whole numbers, also where there is no row to see it by.
_WHOLE = frozenset({"value", "hour", "min"})


def table(
    records: Sequence[Mapping[str, Any]], *, columns: Sequence[str] = (), fractions: Collection[str] = ()
) -> pandas.DataFrame:
    """Return records as a table; ``columns`` are those of one without rows."""
    import pandas

    if not records:
        return _typed(pandas.DataFrame(columns=list(columns), dtype=object), fractions)
    # As objects, because pandas would make floats of whole numbers beside a null.
    return _typed(pandas.DataFrame(list(records), dtype=object), fractions)


def with_metadata(frame: Any, metadata: Any) -> Any:
    """Add what a server says beside the rows to a table's ``attrs``.

    ``withheld`` lists why rows were withheld, ``repeats`` the earlier queries whose answers or subsets are used.
    """
    if isinstance(metadata, Mapping):
        frame.attrs.update({name: list(metadata.get(name) or ()) for name in ("withheld", "repeats")})
    return frame


def _typed(frame: pandas.DataFrame, fractions: Collection[str]) -> pandas.DataFrame:
    return frame.assign(**{name: _column(frame[name], name in fractions) for name in frame.columns})


def _column(column: pandas.Series, fraction: bool) -> pandas.Series:
    import pandas

    if column.name in _TIMES:
        return _times(column)
    if column.isna().all():
        if fraction:
            return column.astype("float64")
        return (
            column.astype("Int64")
            if column.name in _WHOLE
            else column.astype("str" if column.empty else "object")
        )
    kind = pandas.api.types.infer_dtype(column, skipna=True)
    if kind == "integer" and not fraction:
        return column.astype("Int64")
    if kind in ("integer", "floating", "mixed-integer-float"):
        return column.astype("float64")
    return column.infer_objects()


def _times(column: pandas.Series) -> pandas.Series:
    """Return ISO texts as times.

    Times of several offsets, as over a change of clocks, are in UTC.
    """
    import pandas

    for utc in (False, True):
        try:
            # In one unit, whatever the version of pandas and the number of rows.
            return pandas.to_datetime(column, format="ISO8601", utc=utc).dt.as_unit("us")
        except ValueError:
            continue
    # Another server's own way of writing a time.
    return column.infer_objects()


def numbers_by_check(outcomes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Convert outcomes of quality checks to numbers, check by check.

    All outcomes of a check become numbers, or all stay texts, such as times.
    """
    check = "type_of_query_or_check"
    texts = {outcome.get(check) for outcome in outcomes if _number(outcome["outcome"]) is None}
    return [
        {**outcome} if outcome.get(check) in texts else {**outcome, "outcome": _number(outcome["outcome"])}
        for outcome in outcomes
    ]


def _number(outcome: Any) -> int | float | None:
    for number in (int, float):
        try:
            return number(outcome)
        except (TypeError, ValueError):
            continue
    return None
