"""Compare sets of subscribers by parity sketches, without keeping the subscribers.

A sketch is seven 64-bit integers. ``whole`` is the exclusive or of all keys. ``part0`` to ``part3`` are 256
parity bits: each subscriber flips one of them. ``thin64`` and ``thin4096`` are 64 parity bits each, flipped by
one subscriber in 64 and in 4096. Keys come from keyed digests, so any of their bits are as good as random.

The exclusive or of two sets' sketches is the sketch of their difference. So two sets that differ by m
subscribers differ in at most m parity bits, and nothing near is ever missed. The estimate of larger
differences follows Eppstein, Goodrich, Uyeda and Varghese, SIGCOMM 2011.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement, FromClause
from sqlalchemy.sql.functions import FunctionElement

from flowmachine.spec.published import floor

PARTS = ("part0", "part1", "part2", "part3")
SKETCH = ("whole", *PARTS, "thin64", "thin4096")

#: The second sketch, over subscribers mixed with what each of them adds to a value.
VALUE_SKETCH = tuple(f"value_{name}" for name in SKETCH)

#: Columns of a relation, or anything else with a column for each name of ``SKETCH``.
Columns = Any

#: Share of set bits over which a sketch is too full for an estimate.
_FULL = 0.4


def sketch(number: ColumnElement[int]) -> dict[str, ColumnElement[int]]:
    """Return the aggregates of a sketch by name, given 64-bit keys without repeats.

    Null keys count for nothing. The sketch of no subscribers is seven zeros.
    """
    bit, part = _bits(number, 0, 63), _bits(number, 6, 3)
    thin = _bits(number, 20, 63)
    return {
        "whole": sa.func.coalesce(sa.func.bit_xor(number, type_=sa.BigInteger()), sa.literal_column("0")),
        **{name: parities(bit, part == _constant(index)) for index, name in enumerate(PARTS)},
        "thin64": parities(thin, _bits(number, 8, 0x3F) == _constant(0)),
        "thin4096": parities(thin, _bits(number, 8, 0xFFF) == _constant(0)),
    }


def equal(one: Columns, other: Columns) -> ColumnElement[bool]:
    """Return whether two sketches are of equal sets."""
    return sa.and_(*(one[name] == other[name] for name in ("whole", *PARTS)))


def near(one: Columns, other: Columns) -> ColumnElement[bool]:
    """Return whether two sketches may be of sets that differ by 1 to the floor.

    Sets that differ by up to the floor are always near. Of those that differ by 16, 18 and 20, as many as 37,
    10 and 2 % are taken for near, too.
    """
    return sa.and_(~equal(one, other), differing_bits(one, other) <= floor())


def with_group(rows: FromClause, by: Sequence[str]) -> dict[str, ColumnElement[int]]:
    """Return second sketches: of the row, and of everybody in its group.

    Two such sketches differ by who is in one row only, and by who is in one group only. In the group's sketch
    the bits have other places, so that somebody in both is no less a difference.
    """
    groups = [rows.c[name] for name in by]
    return {
        f"value_{name}": bits_of_both(
            rows.c[name],
            halves_swapped(sa.func.bit_xor(rows.c[name], type_=sa.BigInteger()).over(partition_by=groups)),
        )
        for name in SKETCH
    }


def differing_bits(one: Columns, other: Columns, names: Sequence[str] = PARTS) -> ColumnElement[int]:
    """Return the number of parity bits in which two sketches differ."""
    bits = [bits_between(one[name], other[name]) for name in names]
    total: ColumnElement[int] = bits[0]
    for more in bits[1:]:
        total += more
    return total


def estimated_difference(one: Columns, other: Columns) -> ColumnElement[float]:
    """Estimate by how many subscribers two sets differ; infinite if by very many.

    The estimate is that of the finest sketch that is not too full, and at least what fills the finer sketches:
    the few subscribers of a coarse sketch may by chance be the same in sets that differ by many.
    """
    finest = ((PARTS, 256, 1), (("thin64",), 64, 64), (("thin4096",), 64, 4096))
    found = []
    least = 0.0
    for names, size, weight in finest:
        bits = sa.cast(differing_bits(one, other, names), sa.Double)
        # Never the logarithm of 0 or less, because a database may compute a branch that it does not choose.
        free = sa.func.greatest(1.0 - bits * (2.0 / size), 1 - 2 * _FULL)
        estimate = sa.func.greatest(-0.5 * size * weight * sa.func.ln(free), least)
        found.append((bits <= _FULL * size, estimate))
        least = -0.5 * size * weight * math.log(1 - 2 * _FULL)
    return sa.case(*found, else_=sa.cast(sa.literal("Infinity"), sa.Double))


def _bits(number: ColumnElement[int], shift: int, mask: int) -> ColumnElement[int]:
    shifted = number.bitwise_rshift(_constant(shift)) if shift else number
    return shifted.bitwise_and(_constant(mask))


def _constant(number: int) -> ColumnElement[int]:
    # In the text instead of bound, because each sketch would bind twenty of them.
    return sa.literal_column(str(number), sa.Integer())


class parities(FunctionElement[int]):
    """Aggregate: flip bit ``position`` (0 to 63) for each row with the condition."""

    type = sa.BigInteger()
    inherit_cache = True

    def __init__(self, position: ColumnElement[int], condition: ColumnElement[bool]) -> None:
        super().__init__(position, condition)


@compiles(parities, "postgresql")
def _parities_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    position, condition = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"coalesce(bit_xor(1::bigint << ({position})::integer) FILTER (WHERE {condition}), 0)"


@compiles(parities, "duckdb")
def _parities_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    position, condition = (compiler.process(clause, **kwargs) for clause in element.clauses)
    # Signed integers refuse to shift into their sign, so it is flipped as unsigned and read as signed.
    bit = f"1::UBIGINT << ({position})::UBIGINT"
    return f"coalesce(bit_xor(CASE WHEN {condition} THEN {bit} ELSE 0 END), 0)::BIT::BIGINT"


class bits_of_both(FunctionElement[int]):
    """Return the exclusive or of two integers: the sketch of two sets' difference."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(bits_of_both, "postgresql")
def _bits_of_both_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    one, other = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"(({one}) # ({other}))"


@compiles(bits_of_both, "duckdb")
def _bits_of_both_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    one, other = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"xor({one}, {other})"


class halves_swapped(FunctionElement[int]):
    """Swap the halves of a 64-bit integer."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(halves_swapped, "postgresql")
def _halves_swapped_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    number = compiler.process(element.clauses, **kwargs)
    return f"((({number}) << 32) | ((({number}) >> 32) & {_LOW_32}))"


@compiles(halves_swapped, "duckdb")
def _halves_swapped_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    bits = f"({compiler.process(element.clauses, **kwargs)})::BIT"
    return f"((({bits}) << 32) | (({bits}) >> 32))::BIGINT"


_LOW_32 = (1 << 32) - 1


class bits_between(FunctionElement[int]):
    """Return the number of bits in which two 64-bit integers differ."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(bits_between, "postgresql")
def _bits_between_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    one, other = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"bit_count((({one}) # ({other}))::bit(64))"


@compiles(bits_between, "duckdb")
def _bits_between_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    one, other = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"bit_count(xor({one}, {other}))::BIGINT"


def mixed(number: ColumnElement[int], *values: ColumnElement[Any]) -> ColumnElement[int]:
    """Return 64 bits that depend on a subscriber's key and values.

    Who counts as one keeps the key, so that sums of ones compare with counts. Measured numbers count with
    seven digits, because the databases add them up in different orders.
    """
    for value in values:
        if isinstance(value.type, sa.Text):
            text = sa.func.concat_ws(":", sa.cast(number, sa.Text), value)
            number = leading_bits(sa.func.md5(text))
        else:
            number = sa.case((value == _constant(1), number), else_=_scrambled(number, value_bits(value)))
    return number


def _scrambled(number: ColumnElement[int], bits: ColumnElement[int]) -> ColumnElement[int]:
    """Mix a key with 32 bits by products that overflow in neither database."""
    low, high = _bits(number, 0, _LOW_31), _bits(number, 32, _LOW_31)
    # Neither factor is zero, so that every value changes the key.
    bits, low, high = (factor + _constant(1) for factor in (bits, low, high))
    one, other = low * bits, high * bits
    # The upper bits of a product depend on all bits of both factors, so they go to the lower half.
    turned = bits_of_both(
        other.bitwise_rshift(_constant(32)), _bits(other, 0, _LOW_31).bitwise_lshift(_constant(32))
    )
    return bits_of_both(number, bits_of_both(one, turned))


_LOW_31 = (1 << 31) - 1


class value_bits(FunctionElement[int]):
    """Return the 32 bits of a number as a float, from 0; null is the largest number."""

    type = sa.BigInteger()
    inherit_cache = True

    def __init__(self, value: ColumnElement[Any]) -> None:
        # A larger number has no float, and both functions skip nulls. Adding zero makes the two zeros one.
        number = sa.cast(value, sa.Double) + sa.cast(sa.literal_column("0.0"), sa.Double)
        largest = sa.cast(sa.literal_column("3e38"), sa.Double)
        super().__init__(sa.func.greatest(sa.func.least(number, largest), -largest))


@compiles(value_bits, "postgresql")
def _value_bits_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    number = compiler.process(element.clauses, **kwargs)
    return f"('x' || encode(float4send(({number})::real), 'hex'))::bit(32)::bigint"


@compiles(value_bits, "duckdb")
def _value_bits_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    number = compiler.process(element.clauses, **kwargs)
    return f"({number})::FLOAT::BIT::UINTEGER::BIGINT"


class leading_bits(FunctionElement[int]):
    """Return the first 64 bits of a hexadecimal text as a signed integer."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(leading_bits, "postgresql")
def _leading_bits_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"('x' || substr({compiler.process(element.clauses, **kwargs)}, 1, 16))::bit(64)::bigint"


@compiles(leading_bits, "duckdb")
def _leading_bits_duckdb(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"('0x' || substr({compiler.process(element.clauses, **kwargs)}, 1, 16))::UBIGINT::BIT::BIGINT"
