"""The few functions whose spelling differs between the two databases; their meaning here is ours and the same in both."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.functions import FunctionElement


class geodesic_metres(FunctionElement[float]):
    """Distance in metres on the WGS 84 spheroid between (lon, lat) and (lon, lat), in degrees."""

    type = sa.Double()
    inherit_cache = True


@compiles(geodesic_metres, "postgresql")
def _geodesic_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    lon_a, lat_a, lon_b, lat_b = (compiler.process(clause, **kwargs) for clause in element.clauses)
    points = [
        f"ST_SetSRID(ST_MakePoint({lon}, {lat}), 4326)::geography"
        for lon, lat in ((lon_a, lat_a), (lon_b, lat_b))
    ]
    return f"ST_Distance({points[0]}, {points[1]})"


@compiles(geodesic_metres, "duckdb")
def _geodesic_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    lon_a, lat_a, lon_b, lat_b = (compiler.process(clause, **kwargs) for clause in element.clauses)
    # This function, unlike its PostGIS namesake, takes latitude first.
    return f"ST_Distance_Spheroid(ST_Point({lat_a}, {lon_a})::POINT_2D, ST_Point({lat_b}, {lon_b})::POINT_2D)"


class microseconds(FunctionElement[int]):
    """Microseconds since 1970-01-01 of a timestamp without zone."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(microseconds, "postgresql")
def _microseconds_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"(extract(epoch FROM {compiler.process(element.clauses, **kwargs)}) * 1000000)::bigint"


@compiles(microseconds, "duckdb")
def _microseconds_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"epoch_us({compiler.process(element.clauses, **kwargs)})"


class first_by(FunctionElement[Any]):
    """Aggregate: the first argument of the row that comes first when the others are sorted in descending order."""

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
    # arg_max ignores null values; none of the callers has any.
    return f"arg_max({value}, {keys[0] if len(keys) == 1 else 'row(' + ', '.join(keys) + ')'})"


def latest_location(
    time: ColumnElement[Any],
    location: ColumnElement[Any],
    *,
    since: ColumnElement[Any],
    span: int,
    regions: int,
) -> ColumnElement[int]:
    """Aggregate: the location of the latest row; of equally late ones, the one that sorts first.

    Time and location are packed into one integer, so that a plain ``max`` decides, which both databases do in one
    pass without sorting. No time is before ``since`` or more than ``span`` microseconds after it; ``regions`` is the
    number of regions.
    """
    step = 1 << max(regions - 1, 1).bit_length()
    integer: Any = sa.BigInteger() if (span + 1) * step < 1 << 62 else sa.Numeric(38, 0)
    elapsed = sa.cast(microseconds(time) - microseconds(since), integer)
    packed = sa.func.max(elapsed * step + (step - 1 - location))
    return sa.cast((step - 1) - packed % step, sa.Integer())


class smallest_mode(FunctionElement[Any]):
    """Aggregate: the most frequent value, nulls ignored; of equally frequent ones the smallest, texts by bytes."""

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
    # Of equally frequent values this takes the one that it met first.
    return f"mode({value} ORDER BY {value})"


class as_instant(FunctionElement[Any]):
    """A wall-clock time as the instant it names in the deployment's zone, once it is in the database."""

    type = sa.DateTime(timezone=True)
    inherit_cache = True


@compiles(as_instant, "postgresql")
def _as_instant_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kwargs)} AS timestamptz)"


@compiles(as_instant, "duckdb")
def _as_instant_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    # The column of the released table has the zone; the database reads the naive text in its own.
    return str(compiler.process(element.clauses, **kwargs))


class start_of_century(FunctionElement[Any]):
    """The first moment of the century of a time; centuries begin with the year 1 of a hundred, as 2001 did."""

    inherit_cache = True

    def __init__(self, time: ColumnElement[Any]) -> None:
        super().__init__(time)
        self.type = time.type


@compiles(start_of_century, "postgresql")
def _start_of_century_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"date_trunc('century', {compiler.process(element.clauses, **kwargs)})"


@compiles(start_of_century, "duckdb")
def _start_of_century_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    # Here they begin with the year 0.
    time = compiler.process(element.clauses, **kwargs)
    return f"date_trunc('century', {time} - INTERVAL 1 YEAR) + INTERVAL 1 YEAR"


class subscriber_number(FunctionElement[int]):
    """The 64-bit key of a subscriber: what the columnar store holds, computed from the pseudonym in the database."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(subscriber_number, "postgresql")
def _subscriber_number_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    pseudonym = compiler.process(element.clauses, **kwargs)
    return f"('x' || substr(encode(sha256(convert_to({pseudonym}, 'UTF8')), 'hex'), 1, 16))::bit(64)::bigint"


@compiles(subscriber_number, "duckdb")
def _subscriber_number_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))
