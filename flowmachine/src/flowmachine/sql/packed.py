"""Choose a place by several numbers packed into one integer.

In DuckDB a plain ``max`` of integers takes less time than a comparison of rows.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from flowmachine.sql.functions import earlier_place, first_by, microseconds

#: Packed numbers are below this, so that no sum overflows.
_LIMIT = 1 << 62

#: With room for fewer events than this, many visits would have more, and packing would not pay.
_FEWEST_EVENTS = 1000


class packed_or_rows(FunctionElement[Any]):
    """Return the first argument in DuckDB and the second elsewhere.

    Both have the same value. PostgreSQL's arithmetic takes longer than what packing saves.
    """

    inherit_cache = True

    def __init__(self, packed: ColumnElement[Any], by_rows: ColumnElement[Any]) -> None:
        super().__init__(packed, by_rows)
        self.type = by_rows.type


@compiles(packed_or_rows)
def _by_rows(element: Any, compiler: Any, **kwargs: Any) -> str:
    _, by_rows = element.clauses
    return str(compiler.process(by_rows, **kwargs))


@compiles(packed_or_rows, "duckdb")
def _packed(element: Any, compiler: Any, **kwargs: Any) -> str:
    packed, _ = element.clauses
    return str(compiler.process(packed, **kwargs))


class _first_by_among(FunctionElement[Any]):
    """Aggregate in DuckDB: do as ``first_by`` among the rows that meet a condition.

    The condition comes first. Without such a row the result is null.
    """

    inherit_cache = True

    def __init__(
        self, condition: ColumnElement[bool], value: ColumnElement[Any], *descending: ColumnElement[Any]
    ) -> None:
        super().__init__(condition, value, *descending)
        self.type = value.type


@compiles(_first_by_among, "duckdb")
def _first_by_among_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    condition, value, *keys = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"arg_max_null({value}, row({', '.join(keys)})) FILTER (WHERE {condition})"


def latest_location(
    time: ColumnElement[Any],
    location: ColumnElement[Any],
    *,
    since: ColumnElement[Any],
    span: int,
    regions: int,
) -> ColumnElement[int]:
    """Aggregate: take the latest row's location; ties go to the first in order.

    Time and location are packed into one integer, so that a plain ``max`` decides, which both databases
    compute in one pass without sorting. No time is before ``since`` or more than ``span`` microseconds after
    it. ``regions`` is the number of regions.
    """
    step = 1 << max(regions - 1, 1).bit_length()
    integer: Any = sa.BigInteger() if (span + 1) * step < 1 << 62 else sa.Numeric(38, 0)
    elapsed = sa.cast(microseconds(time) - microseconds(since), integer)
    packed = sa.func.max(elapsed * step + (step - 1 - location))
    return sa.cast((step - 1) - packed % step, sa.Integer())


def place_of_most_events(
    location: ColumnElement[Any],
    events: ColumnElement[int],
    latest: ColumnElement[Any],
    *,
    since: ColumnElement[Any],
    span: int,
    regions: int,
) -> ColumnElement[Any]:
    """Aggregate: take the location with most events.

    Ties go to the latest time, then to the location that sorts first, with a null location last. No time is
    before ``since`` or more than ``span`` microseconds after it. ``regions`` is the number of regions.
    """
    most = _most_events(span, regions)
    keys = (events, latest, earlier_place(location))
    by_rows = first_by(location, *keys)
    if most < _FEWEST_EVENTS:
        return by_rows
    # Places with as many events are rare. A subscriber who has some is at one of them, found by comparing rows.
    counted = sa.func.least(sa.cast(events, sa.BigInteger), most)
    elapsed = microseconds(latest) - microseconds(since)
    packed = sa.func.max((counted * (span + 1) + elapsed) * (regions + 1) + _place_left(location, regions))
    crowded = _first_by_among(events >= most, location, *keys)
    fits = packed < most * (span + 1) * (regions + 1)
    return packed_or_rows(sa.case((fits, _place_of(packed, regions)), else_=crowded), by_rows)


def place_of_most_turns(
    location: ColumnElement[Any],
    count: ColumnElement[int],
    latest: ColumnElement[int],
    *,
    turns: int,
    regions: int,
) -> ColumnElement[Any]:
    """Aggregate: take the location with the highest ``count``.

    Ties go to the latest turn, then to the location that sorts first, with a null location last. ``count`` is
    at most ``turns`` and ``latest`` is below it. ``regions`` is the number of regions.
    """
    # The longest window has 14,600 days, so that any number of regions fits.
    ranked = sa.cast(count, sa.BigInteger) * (turns + 1) + latest
    packed = sa.func.max(ranked * (regions + 1) + _place_left(location, regions))
    return packed_or_rows(
        _place_of(packed, regions), first_by(location, count, latest, earlier_place(location))
    )


def _most_events(span: int, regions: int) -> int:
    """Return the highest number of events that fits beside a time and a place."""
    return _LIMIT // ((span + 1) * (regions + 1))


def _place_left(location: ColumnElement[Any], regions: int) -> ColumnElement[int]:
    """Return a number up to ``regions``: higher for earlier places, 0 for null."""
    return regions - sa.func.coalesce(location, regions)


def _place_of(packed: ColumnElement[int], regions: int) -> ColumnElement[Any]:
    """Return the location of a packed number whose last part is ``_place_left``."""
    return sa.cast(sa.func.nullif(regions - packed % (regions + 1), regions), sa.Integer())
