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


class geodesic_metres(FunctionElement[float]):
    """Return metres on the WGS 84 spheroid between two (lon, lat) in degrees."""

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
    # Unlike its PostGIS namesake, this function takes latitude first.
    return f"ST_Distance_Spheroid(ST_Point({lat_a}, {lon_a})::POINT_2D, ST_Point({lat_b}, {lon_b})::POINT_2D)"


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
    """Return the timestamp without zone that is so many microseconds after 1970-01-01."""

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
    return f"bit_or(1::UBIGINT << ({key} & 63)::UBIGINT)"


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


class strictly_within(FunctionElement[bool]):
    """Return whether the point (x, y) lies inside a geometry and not on its edge."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(strictly_within, "postgresql")
def _strictly_within_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    x, y, geometry = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"ST_Within(ST_SetSRID(ST_MakePoint({x}, {y}), 4326), {geometry})"


@compiles(strictly_within, "duckdb")
def _strictly_within_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    x, y, geometry = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"ST_Within(ST_Point({x}, {y}), {geometry})"


class geometry_from_text(FunctionElement[Any]):
    """Parse a geometry from its well-known text."""

    inherit_cache = True


@compiles(geometry_from_text, "postgresql")
def _geometry_from_text_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"ST_GeomFromText({compiler.process(element.clauses, **kwargs)}, 4326)"


@compiles(geometry_from_text, "duckdb")
def _geometry_from_text_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"ST_GeomFromText({compiler.process(element.clauses, **kwargs)})"


class leader_clusters(FunctionElement[Any]):
    """Number the cluster, from 1, of each point of ordered lon, lat and weight lists.

    Each point joins the first cluster whose centre is nearer than ``radius`` metres on the spheroid, and
    pulls the centre towards itself by its weight. A point without such a cluster starts a new cluster
    (Hartigan's leader algorithm, Clustering Algorithms, 1975, chapter 3). Each step needs the previous step,
    so PostgreSQL uses a recursion and DuckDB a reduction of the list. The arguments are columns, because they
    are named several times.
    """

    type = sa.ARRAY(sa.Integer())
    inherit_cache = True


@compiles(leader_clusters, "postgresql")
def _leader_clusters_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    lons, lats, weights, radius = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"""(
        WITH RECURSIVE walk (step, lons, lats, weights, members) AS (
            SELECT 0, ARRAY[]::float8[], ARRAY[]::float8[], ARRAY[]::float8[], ARRAY[]::int[]
            UNION ALL
            SELECT
                site.step,
                lons[:k - 1] || (coalesce(lons[k] * weights[k], 0) + site.lon * site.weight) / total || lons[k + 1:],
                lats[:k - 1] || (coalesce(lats[k] * weights[k], 0) + site.lat * site.weight) / total || lats[k + 1:],
                weights[:k - 1] || total || weights[k + 1:],
                members || k
            FROM walk
            CROSS JOIN LATERAL (
                SELECT walk.step + 1, ({lons})[walk.step + 1], ({lats})[walk.step + 1],
                    ({weights})[walk.step + 1]::float8
            ) AS site (step, lon, lat, weight)
            CROSS JOIN LATERAL (
                SELECT coalesce(min(i), cardinality(lons) + 1)
                FROM generate_subscripts(lons, 1) AS i
                WHERE ST_Distance(
                    ST_SetSRID(ST_MakePoint(lons[i], lats[i]), 4326)::geography,
                    ST_SetSRID(ST_MakePoint(site.lon, site.lat), 4326)::geography
                ) < {radius}
            ) AS nearest (k)
            CROSS JOIN LATERAL (SELECT coalesce(weights[k], 0) + site.weight) AS grown (total)
            WHERE walk.step < cardinality({lons})
        )
        SELECT members FROM walk ORDER BY step DESC LIMIT 1
    )"""  # noqa: S608  (made of columns only)


@compiles(leader_clusters, "duckdb")
def _leader_clusters_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    lons, lats, weights, radius = (compiler.process(clause, **kwargs) for clause in element.clauses)
    cluster = "STRUCT(lon DOUBLE, lat DOUBLE, weight DOUBLE)[]"
    # A degree of latitude is at least 110574 m, which settles most pairs without the expensive distance.
    near = (
        f"CASE WHEN abs(c.lat - site.lat) * 110574 >= {radius} THEN false ELSE"
        " ST_Distance_Spheroid(ST_Point(c.lat, c.lon)::POINT_2D, ST_Point(site.lat, site.lon)::POINT_2D)"
        f" < {radius} END"
    )
    # A reduction's state has the type of the list's items, so each site carries empty lists.
    return f"""list_reduce(
        list_transform(
            list_zip({lons}, {lats}, {weights}),
            lambda s: {{'lon': s[1], 'lat': s[2], 'weight': s[3]::DOUBLE,
                'clusters': NULL::{cluster}, 'members': NULL::INTEGER[]}}
        ),
        lambda state, site: list_transform(
            [coalesce(
                nullif(list_position(list_transform(state.clusters, lambda c: {near}), true), 0),
                len(state.clusters) + 1
            )],
            lambda k: {{'lon': site.lon, 'lat': site.lat, 'weight': site.weight,
                'clusters': list_transform(
                    CASE WHEN k > len(state.clusters)
                        THEN list_append(state.clusters, {{'lon': site.lon, 'lat': site.lat, 'weight': 0::DOUBLE}})
                        ELSE state.clusters END,
                    lambda c, i: CASE WHEN i = k THEN {{
                        'lon': (c.lon * c.weight + site.lon * site.weight) / (c.weight + site.weight),
                        'lat': (c.lat * c.weight + site.lat * site.weight) / (c.weight + site.weight),
                        'weight': c.weight + site.weight}}
                        ELSE c END
                ),
                'members': list_append(state.members, k::INTEGER)}}
        )[1],
        {{'lon': 0::DOUBLE, 'lat': 0::DOUBLE, 'weight': 0::DOUBLE,
            'clusters': []::{cluster}, 'members': []::INTEGER[]}}
    ).members"""
