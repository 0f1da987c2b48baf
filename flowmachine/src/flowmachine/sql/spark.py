"""Spell statements for Spark SQL, which Apache Spark and Sail understand.

The dialect says what differs from standard SQL. Below it stand Spark's spellings of the functions of
``flowmachine.sql``; their meaning is described there. Times without zone are read in UTC by a session whose
zone is UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import Select
from sqlalchemy.sql.compiler import GenericTypeCompiler, IdentifierPreparer, SQLCompiler

from flowmachine.sql import functions, sketches
from flowmachine.sql.functions import PERIOD_LENGTHS


def spelled(select: Select[Any]) -> str:
    """Return a statement's text, with its values in it."""
    return str(select.compile(dialect=_dialect, compile_kwargs={"literal_binds": True}))


def quoted(text: str) -> str:
    """Return a text as a literal.

    Spark reads backslashes, and would join two adjacent literals.
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


#: Parts of a time that Spark's ``extract`` names or counts differently from PostgreSQL's; ``{0}`` is the time.
_PARTS = {
    "century": "CAST(ceil(year({0}) / 100D) AS INT)",
    "decade": "(year({0}) div 10)",
    "dow": "(dayofweek({0}) - 1)",
    "doy": "dayofyear({0})",
    "isodow": "(weekday({0}) + 1)",
    "isoyear": "extract(YEAROFWEEK FROM {0})",
    "millennium": "CAST(ceil(year({0}) / 1000D) AS INT)",
    "week": "weekofyear({0})",
}


class _Compiler(SQLCompiler):
    def visit_collate_binary(self, binary: Any, operator: Any, **kwargs: Any) -> str:
        # Texts are compared by bytes.
        return str(self.process(binary.left, **kwargs))

    def visit_truediv_binary(self, binary: Any, operator: Any, **kwargs: Any) -> str:
        return f"{self.process(binary.left, **kwargs)} / {self.process(binary.right, **kwargs)}"

    def visit_floordiv_binary(self, binary: Any, operator: Any, **kwargs: Any) -> str:
        return f"({self.process(binary.left, **kwargs)} div {self.process(binary.right, **kwargs)})"

    def visit_bitwise_lshift_op_binary(self, binary: Any, operator: Any, **kwargs: Any) -> str:
        return self._shifted("shiftleft", binary, **kwargs)

    def visit_bitwise_rshift_op_binary(self, binary: Any, operator: Any, **kwargs: Any) -> str:
        return self._shifted("shiftright", binary, **kwargs)

    def _shifted(self, function: str, binary: Any, **kwargs: Any) -> str:
        number, bits = self.process(binary.left, **kwargs), self.process(binary.right, **kwargs)
        return f"{function}({number}, CAST({bits} AS INT))"

    def visit_extract(self, extract: Any, **kwargs: Any) -> str:
        time = self.process(extract.expr, **kwargs)
        return _PARTS.get(extract.field, f"extract({extract.field} FROM {{0}})").format(time)

    def visit_date_trunc_func(self, function: Any, **kwargs: Any) -> str:
        period, clause = function.clauses
        time = self.process(clause, **kwargs)
        # Apache Spark returns an instant.
        return f"CAST(date_trunc('{period.value}', {time}) AS TIMESTAMP_NTZ)"

    def visit_array_agg_func(self, function: Any, **kwargs: Any) -> str:
        (item,) = function.clauses
        assert isinstance(item, aggregate_order_by)
        key, value = (self.process(clause, **kwargs) for clause in (item.order_by, item.target))
        pairs = f"sort_array(collect_list(named_struct('k', {key}, 'v', {value})))"
        return f"transform({pairs}, pair -> pair.v)"

    def visit_array_to_string_func(self, function: Any, **kwargs: Any) -> str:
        return f"array_join{self.function_argspec(function, **kwargs)}"

    def visit_unnest_func(self, function: Any, **kwargs: Any) -> str:
        return f"explode{self.function_argspec(function, **kwargs)}"

    def visit_getitem_binary(self, binary: Any, operator: Any, **kwargs: Any) -> str:
        # An index beyond the list is null here, as in PostgreSQL.
        items, index = self.process(binary.left, **kwargs), self.process(binary.right, **kwargs)
        return f"try_element_at({items}, {index})"

    def render_literal_value(self, value: Any, type_: Any) -> str:
        if isinstance(value, str):
            return quoted(value)
        if isinstance(value, float):
            return f"CAST('{value!r}' AS DOUBLE)"
        if isinstance(value, datetime):
            return f"TIMESTAMP_NTZ '{value}'"
        if isinstance(value, date):
            return f"DATE '{value}'"
        if isinstance(value, timedelta):
            return f"INTERVAL '{value // timedelta(seconds=1)}' SECOND"
        if isinstance(value, list):
            return f"array({', '.join(self.render_literal_value(item, type_.item_type) for item in value)})"
        return super().render_literal_value(value, type_)


class _Types(GenericTypeCompiler):
    def visit_text(self, type_: Any, **kwargs: Any) -> str:
        return "STRING"

    visit_string = visit_VARCHAR = visit_TEXT = visit_text

    def visit_datetime(self, type_: Any, **kwargs: Any) -> str:
        return "TIMESTAMP_NTZ"

    visit_TIMESTAMP = visit_DATETIME = visit_datetime

    def visit_numeric(self, type_: Any, **kwargs: Any) -> str:
        return "DECIMAL(38, 0)" if type_.precision is None else f"DECIMAL({type_.precision}, {type_.scale})"

    def visit_double(self, type_: Any, **kwargs: Any) -> str:
        return "DOUBLE"

    visit_float = visit_FLOAT = visit_DOUBLE = visit_DOUBLE_PRECISION = visit_double

    def visit_large_binary(self, type_: Any, **kwargs: Any) -> str:
        return "BINARY"

    def visit_ARRAY(self, type_: Any, **kwargs: Any) -> str:
        return f"ARRAY<{self.process(type_.item_type)}>"


class _Names(IdentifierPreparer):
    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect, initial_quote="`", escape_quote="`")


class _Dialect(DefaultDialect):
    name = "spark"
    statement_compiler = _Compiler
    type_compiler_cls = _Types
    preparer = _Names  # type: ignore[assignment]
    supports_native_boolean = True
    supports_native_decimal = True
    supports_statement_cache = True


_dialect = _Dialect(paramstyle="named")


def schema_of(columns: Mapping[str, Any]) -> str:
    """Return columns with their types, as a schema for reading files."""
    quote = _dialect.identifier_preparer.quote
    types = {name: sa.types.to_instance(type_).compile(dialect=_dialect) for name, type_ in columns.items()}
    return ", ".join(f"{quote(name)} {type_}" for name, type_ in types.items())


def arguments(element: Any, compiler: Any, **kwargs: Any) -> list[str]:
    return [compiler.process(clause, **kwargs) for clause in element.clauses]


@compiles(functions.microseconds, "spark")
def _microseconds(element: Any, compiler: Any, **kwargs: Any) -> str:
    (time,) = arguments(element, compiler, **kwargs)
    return f"unix_micros(CAST({time} AS TIMESTAMP))"


@compiles(functions.time_at, "spark")
def _time_at(element: Any, compiler: Any, **kwargs: Any) -> str:
    (number,) = arguments(element, compiler, **kwargs)
    return f"CAST(timestamp_micros({number}) AS TIMESTAMP_NTZ)"


@compiles(functions.first_by, "spark")
def _first_by(element: Any, compiler: Any, **kwargs: Any) -> str:
    value, *keys = arguments(element, compiler, **kwargs)
    key = keys[0] if len(keys) == 1 else f"struct({', '.join(keys)})"
    return f"max_by({value}, {key})"


@compiles(functions.smallest_mode, "spark")
def _smallest_mode(element: Any, compiler: Any, **kwargs: Any) -> str:
    (value,) = arguments(element, compiler, **kwargs)
    return f"mode({value}, true)"


@compiles(functions.as_instant, "spark")
@compiles(functions.subscriber_number, "spark")
def _itself(element: Any, compiler: Any, **kwargs: Any) -> str:
    (value,) = arguments(element, compiler, **kwargs)
    return value


@compiles(functions.start_of_century, "spark")
def _start_of_century(element: Any, compiler: Any, **kwargs: Any) -> str:
    (time,) = arguments(element, compiler, **kwargs)
    return f"make_timestamp_ntz((year({time}) - 1) div 100 * 100 + 1, 1, 1, 0, 0, 0)"


@compiles(functions.fifteen_digits, "spark")
def _fifteen_digits(element: Any, compiler: Any, **kwargs: Any) -> str:
    (number,) = arguments(element, compiler, **kwargs)
    return f"CAST(format_string('%.14e', {number}) AS DOUBLE)"


@compiles(functions.period_of, "spark")
def _period_of(element: Any, compiler: Any, **kwargs: Any) -> str:
    period, time = arguments(element, compiler, **kwargs)
    return f"(unix_micros(CAST({time} AS TIMESTAMP)) div {PERIOD_LENGTHS[period[1:-1]]})"


@compiles(functions.start_of, "spark")
def _start_of(element: Any, compiler: Any, **kwargs: Any) -> str:
    period, found = arguments(element, compiler, **kwargs)
    return f"CAST(timestamp_micros({found} * {PERIOD_LENGTHS[period[1:-1]]}) AS TIMESTAMP_NTZ)"


@compiles(functions.subscriber_bits, "spark")
def _subscriber_bits(element: Any, compiler: Any, **kwargs: Any) -> str:
    (key,) = arguments(element, compiler, **kwargs)
    return f"bit_or(shiftleft(1L, CAST({key} & 63 AS INT)))"


@compiles(functions.set_bits, "spark")
def _set_bits(element: Any, compiler: Any, **kwargs: Any) -> str:
    (number,) = arguments(element, compiler, **kwargs)
    return f"CAST(bit_count({number}) AS BIGINT)"


@compiles(functions.hinted_among, "spark")
def _hinted_among(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "true"


@compiles(sketches.parities, "spark")
def _parities(element: Any, compiler: Any, **kwargs: Any) -> str:
    position, condition = arguments(element, compiler, **kwargs)
    bit = f"CASE WHEN {condition} THEN shiftleft(1L, CAST({position} AS INT)) ELSE 0L END"
    return f"coalesce(bit_xor({bit}), 0L)"


@compiles(sketches.bits_of_both, "spark")
def _bits_of_both(element: Any, compiler: Any, **kwargs: Any) -> str:
    one, other = arguments(element, compiler, **kwargs)
    return f"(({one}) ^ ({other}))"


@compiles(sketches.halves_swapped, "spark")
def _halves_swapped(element: Any, compiler: Any, **kwargs: Any) -> str:
    (number,) = arguments(element, compiler, **kwargs)
    return f"(shiftleft({number}, 32) | shiftrightunsigned({number}, 32))"


@compiles(sketches.bits_between, "spark")
def _bits_between(element: Any, compiler: Any, **kwargs: Any) -> str:
    one, other = arguments(element, compiler, **kwargs)
    return f"CAST(bit_count(({one}) ^ ({other})) AS BIGINT)"


@compiles(sketches.value_bits, "spark")
def _value_bits(element: Any, compiler: Any, **kwargs: Any) -> str:
    (number,) = arguments(element, compiler, **kwargs)
    single = f"CAST(CAST({number} AS FLOAT) AS DOUBLE)"
    # Spark gives no way to a float's bits, so they are put together of its sign, exponent and fraction. A power of
    # two whose logarithm comes out too small has the same bits with the next smaller exponent.
    exponent = f"greatest(CAST(floor(log2(greatest(abs({single}), {_SMALLEST_NORMAL}))) AS INT), -126)"
    return (
        f"(CASE WHEN {single} < 0D THEN 2147483648L ELSE 0L END"
        f" + CAST(abs({single}) / power(2D, CAST({exponent} - 23 AS DOUBLE)) AS BIGINT)"
        f" + CAST({exponent} + 126 AS BIGINT) * 8388608L)"
    )


_SMALLEST_NORMAL = "1.1754943508222875E-38D"


@compiles(sketches.leading_bits, "spark")
def _leading_bits(element: Any, compiler: Any, **kwargs: Any) -> str:
    (text,) = arguments(element, compiler, **kwargs)
    halves = (f"CAST(conv(substr({text}, {start}, 8), 16, 10) AS BIGINT)" for start in (1, 9))
    return "(shiftleft({}, 32) | {})".format(*halves)
