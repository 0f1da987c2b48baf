"""Define functions whose spelling differs between the two databases.

Their meaning is ours and the same in both databases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from flowmachine.spec.published import full_order


def in_order(column: ColumnElement[Any], *, descending: bool = False) -> ColumnElement[Any]:
    """Return a sort term: texts by bytes, nulls last, in any database and locale."""
    ordered: ColumnElement[Any] = sa.collate(column, "C") if isinstance(column.type, sa.Text) else column
    return (ordered.desc() if descending else ordered.asc()).nulls_last()


def in_full_order(
    columns: Mapping[str, ColumnElement[Any]], first: Sequence[str]
) -> list[ColumnElement[Any]]:
    """Return the sort terms of ``full_order``."""
    return [
        in_order(columns[name.lstrip("-")], descending=name.startswith("-"))
        for name in full_order(columns, first)
    ]


#: Wide enough for a count times a share with all its decimals.
_wide = sa.Numeric(38, 0)


def at_most_share(part: ColumnElement[Any], share: float, whole: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether a count is at most a share of another count.

    Shares are exact decimals: 29 is at most 0.29 of 100, though the double 0.29 is smaller.
    """
    return _times(part, 10**_DECIMALS) <= _times(whole, _decimals(share))


def at_least_share(part: ColumnElement[Any], share: float, whole: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether a count is at least a share of another count.

    Shares are exact decimals, as in ``at_most_share``.
    """
    return _times(part, 10**_DECIMALS) >= _times(whole, _decimals(share))


#: Number of decimals of a share, enough to tell apart shares of the events in any country.
_DECIMALS = 18


def _decimals(share: float) -> int:
    return int(Decimal(repr(share)).scaleb(_DECIMALS))


def _times(count: ColumnElement[Any], factor: int) -> ColumnElement[Any]:
    return sa.cast(count, _wide) * sa.cast(sa.literal(factor, sa.BigInteger), _wide)


class microseconds(FunctionElement[int]):
    """Return microseconds since 1970-01-01 of a timestamp without zone."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(microseconds, "postgresql")
def _microseconds_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"(extract(epoch FROM {compiler.process(element.clauses, **kwargs)}) * 1000000)::bigint"


@compiles(microseconds, "duckdb")
def _microseconds_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"epoch_us({compiler.process(element.clauses, **kwargs)})"


class time_at(FunctionElement[Any]):
    """Return the timestamp without zone of microseconds since 1970-01-01."""

    type = sa.DateTime()
    inherit_cache = True


@compiles(time_at, "postgresql")
def _time_at_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    # A double holds the microseconds of three centuries exactly.
    return f"(timestamp 'epoch' + {compiler.process(element.clauses, **kwargs)} * interval '1 microsecond')"


@compiles(time_at, "duckdb")
def _time_at_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"make_timestamp({compiler.process(element.clauses, **kwargs)})"


class first_by(FunctionElement[Any]):
    """Aggregate: take the first argument of the row with the greatest other arguments."""

    inherit_cache = True

    def __init__(self, value: ColumnElement[Any], *descending: ColumnElement[Any]) -> None:
        super().__init__(value, *descending)
        self.type = value.type


@compiles(first_by, "postgresql")
def _first_by_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    value, *keys = (compiler.process(clause, **kwargs) for clause in element.clauses)
    order = ", ".join(f"{key} DESC" for key in keys)
    return f"(array_agg({value} ORDER BY {order}))[1]"


@compiles(first_by, "duckdb")
def _first_by_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    value, *keys = (compiler.process(clause, **kwargs) for clause in element.clauses)
    # arg_max would skip rows with a null value.
    return f"arg_max_null({value}, {keys[0] if len(keys) == 1 else 'row(' + ', '.join(keys) + ')'})"


def earlier_place(location: ColumnElement[int]) -> ColumnElement[int]:
    """Return a key for ``first_by`` that prefers the place that sorts first.

    Any place is preferred to the null place.
    """
    return -sa.func.coalesce(location, _AFTER_ALL_PLACES)


_AFTER_ALL_PLACES = (1 << 31) - 1


class smallest_mode(FunctionElement[Any]):
    """Aggregate: take the most frequent value, nulls ignored.

    Ties go to the smallest value, texts by bytes.
    """

    inherit_cache = True

    def __init__(self, value: ColumnElement[Any]) -> None:
        super().__init__(value)
        self.type = value.type


@compiles(smallest_mode, "postgresql")
def _smallest_mode_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    value = compiler.process(element.clauses, **kwargs)
    collation = ' COLLATE "C"' if isinstance(element.type, sa.Text) else ""
    return f"mode() WITHIN GROUP (ORDER BY {value}{collation})"


@compiles(smallest_mode, "duckdb")
def _smallest_mode_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    value = compiler.process(element.clauses, **kwargs)
    # Among equally frequent values, DuckDB takes the first value seen.
    return f"mode({value} ORDER BY {value})"


class as_instant(FunctionElement[Any]):
    """Return a wall-clock time as an instant in the deployment's zone.

    The conversion happens in PostgreSQL.
    """

    type = sa.DateTime(timezone=True)
    inherit_cache = True


@compiles(as_instant, "postgresql")
def _as_instant_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kwargs)} AS timestamptz)"


@compiles(as_instant, "duckdb")
def _as_instant_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    # The released table's column has the zone; PostgreSQL reads the naive text in its own zone.
    return str(compiler.process(element.clauses, **kwargs))


class start_of_century(FunctionElement[Any]):
    """Return the first moment of a time's century; centuries begin as in 2001."""

    inherit_cache = True

    def __init__(self, time: ColumnElement[Any]) -> None:
        super().__init__(time)
        self.type = time.type


@compiles(start_of_century, "postgresql")
def _start_of_century_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"date_trunc('century', {compiler.process(element.clauses, **kwargs)})"


@compiles(start_of_century, "duckdb")
def _start_of_century_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    # DuckDB's centuries begin in year 0.
    time = compiler.process(element.clauses, **kwargs)
    return f"date_trunc('century', {time} - INTERVAL 1 YEAR) + INTERVAL 1 YEAR"


class fifteen_digits(FunctionElement[float]):
    """Round a double to fifteen significant decimal digits.

    A double's decimal text is reliable to that many digits.
    """

    type = sa.Double()
    inherit_cache = True


@compiles(fifteen_digits, "postgresql")
def _fifteen_digits_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"CAST(CAST({compiler.process(element.clauses, **kwargs)} AS numeric) AS double precision)"


@compiles(fifteen_digits, "duckdb")
def _fifteen_digits_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"CAST(format('{{:.15g}}', {compiler.process(element.clauses, **kwargs)}) AS DOUBLE)"


class subscriber_number(FunctionElement[int]):
    """Return a subscriber's 64-bit key.

    The columnar store holds the key; PostgreSQL computes it from the pseudonym.
    """

    type = sa.BigInteger()
    inherit_cache = True


@compiles(subscriber_number, "postgresql")
def _subscriber_number_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    pseudonym = compiler.process(element.clauses, **kwargs)
    return f"('x' || substr(encode(sha256(convert_to({pseudonym}, 'UTF8')), 'hex'), 1, 16))::bit(64)::bigint"


@compiles(subscriber_number, "duckdb")
def _subscriber_number_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))


#: Microseconds of the periods of constant length.
PERIOD_LENGTHS = {"second": 1_000_000, "minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}


class period_of(FunctionElement[Any]):
    """Return a grouping key for the period of a wall-clock time.

    Periods are ``second``, ``minute``, ``hour`` and ``day``; see ``start_of``. In PostgreSQL the key is the
    period's start. In DuckDB the key is the period's number, which is cheaper to compute and to group by.
    """

    inherit_cache = True

    def __init__(self, period: str, time: ColumnElement[Any]) -> None:
        super().__init__(sa.literal_column(f"'{period}'"), time)


@compiles(period_of, "postgresql")
def _period_of_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"date_trunc({compiler.process(element.clauses, **kwargs)})"


@compiles(period_of, "duckdb")
def _period_of_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    period, time = (compiler.process(clause, **kwargs) for clause in element.clauses)
    # Rounds towards zero, so valid for times since 1970; no event is older.
    return f"(epoch_us({time}) // {PERIOD_LENGTHS[period[1:-1]]})"


class start_of(FunctionElement[Any]):
    """Return the first moment of a key of ``period_of``, given the same period name."""

    type = sa.DateTime()
    inherit_cache = True

    def __init__(self, period: str, found: ColumnElement[Any]) -> None:
        super().__init__(sa.literal_column(f"'{period}'"), found)


@compiles(start_of, "postgresql")
def _start_of_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(list(element.clauses)[1], **kwargs))


@compiles(start_of, "duckdb")
def _start_of_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    period, found = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"make_timestamp({found} * {PERIOD_LENGTHS[period[1:-1]]})"


class subscriber_bits(FunctionElement[Any]):
    """Aggregate: set one of 64 bits for each subscriber.

    ``bit_or`` joins several results and ``bit_count`` counts the set bits. Equal subscribers set the same
    bit, so there are at least as many different subscribers as set bits.
    """

    inherit_cache = True


@compiles(subscriber_bits, "postgresql")
def _subscriber_bits_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    pseudonym = compiler.process(element.clauses, **kwargs)
    return f"bit_or(1::bigint::bit(64) << (hashtext({pseudonym}) & 63))"


@compiles(subscriber_bits, "duckdb")
def _subscriber_bits_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    # Keys come from digests, so any six of their bits are as good as random.
    key = compiler.process(element.clauses, **kwargs)
    # Signed integers refuse to shift into their sign; not every engine reads unsigned ones.
    return f"bit_or(1::UBIGINT << ({key} & 63)::UBIGINT)::BIT::BIGINT"


class set_bits(FunctionElement[int]):
    """Return the number of set bits of a bigint."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(set_bits, "postgresql")
def _set_bits_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"bit_count(({compiler.process(element.clauses, **kwargs)})::bit(64))"


@compiles(set_bits, "duckdb")
def _set_bits_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"CAST(bit_count({compiler.process(element.clauses, **kwargs)}) AS BIGINT)"


class hinted_among(FunctionElement[bool]):
    """Return whether a value is in a column, as a hint; a join must check it too.

    PostgreSQL's planner overestimates the rows of nested groupings and would rather sort all events. Of the
    items of a list PostgreSQL expects few. DuckDB's planner needs no hint, and with a hint might compare
    every event with every item.
    """

    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, value: ColumnElement[Any], column: ColumnElement[Any]) -> None:
        items = sa.select(sa.func.unnest(sa.func.array_agg(column.distinct())))
        super().__init__(value.in_(items))


@compiles(hinted_among, "postgresql")
def _hinted_among_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "true"


@compiles(hinted_among, "duckdb")
def _hinted_among_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))
