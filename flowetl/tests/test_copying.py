"""Binary rows for COPY: PostgreSQL reads back what the columns hold."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from flowetl.copying import copy_into, copy_numbers

NUMBERS = [
    0.0, -0.0, 1.0, -1.0, 60.0, 0.4, 2.6, 9999.0, 10000.0, 0.0001, 0.00001, 1.234567, -26.11, 123456789.123456, 99999999.0,
    999999999999999.0, None,
]  # fmt: skip
EXTREMES = [1 / 3, 1e15, 1e22, 1.5e-7, -1e300, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 12.5, None]


def copied(database, kind: str, values: pa.Array) -> list[tuple]:
    """Copy three batches into a table and return its content as text."""
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET TimeZone = 'UTC'; CREATE TEMP TABLE copied (place BIGINT, value {kind})")
            whole = pa.record_batch([pa.array(range(len(values))), values], ["place", "value"])
            batches = [whole.slice(0, 2), whole.slice(2, 1), whole.slice(3)]
            copy_into(cursor, "COPY copied FROM STDIN (FORMAT binary)", ("bigint", kind), batches)
            cursor.execute("SELECT value::text FROM copied ORDER BY place")
            return [value for (value,) in cursor.fetchall()]
    finally:
        connection.close()


@pytest.mark.parametrize("numbers", [NUMBERS, EXTREMES], ids=["ordinary", "extreme"])
def test_a_number_becomes_its_shortest_decimal(module_database, numbers) -> None:
    expected = [
        None if number is None else format(Decimal(repr(number)).normalize() + 0, "f") for number in numbers
    ]
    assert copied(module_database, "numeric", pa.array(numbers, pa.float64())) == expected


def test_whole_numbers_texts_truths_and_times(module_database) -> None:
    assert copied(module_database, "numeric", pa.array([35123456, None, 1, 0], pa.int32())) == [
        "35123456", None, "1", "0",
    ]  # fmt: skip
    texts = ["", "c1", None, "Ünï", 'q"\\\n', "x" * 70_000]
    assert copied(module_database, "text", pa.array(texts)) == texts
    assert copied(module_database, "boolean", pa.array([True, None, False, True])) == [
        "true",
        None,
        "false",
        "true",
    ]
    keys = [-(2**63), None, 2**63 - 1, 0]
    assert copied(module_database, "bigint", pa.array(keys)) == [
        key if key is None else str(key) for key in keys
    ]
    times = [
        dt.datetime(1999, 12, 31, 23, 59, 59, 1),
        None,
        dt.datetime(2016, 2, 29, 12),
        dt.datetime(2100, 1, 1),
    ]
    assert copied(module_database, "timestamptz", pa.array(times, pa.timestamp("us"))) == [
        "1999-12-31 23:59:59.000001+00", None, "2016-02-29 12:00:00+00", "2100-01-01 00:00:00+00",
    ]  # fmt: skip


def test_columns_without_any_value_and_without_rows(module_database) -> None:
    assert copied(module_database, "numeric", pa.array([None] * 4, pa.float64())) == [None] * 4
    assert copied(module_database, "text", pa.array([None] * 4, pa.string())) == [None] * 4


def test_what_goes_wrong_with_the_rows_is_told_as_it_is(database) -> None:
    def rows():
        yield pa.record_batch({"n": pa.array([1])})
        raise ValueError("the second block")

    connection = database.connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE numbers (n bigint)")
            with pytest.raises(ValueError, match="the second block"):
                copy_into(cursor, "COPY numbers FROM STDIN (FORMAT binary)", ["bigint"], rows())
    finally:
        connection.close()


def test_numbers_come_as_they_are(database) -> None:
    connection = database.connect()
    try:
        with connection, connection.cursor() as cursor:
            for numbers in ([], [1], [-(2**63), 0, 2**63 - 1]):
                statement = f"COPY (SELECT unnest('{{{', '.join(map(str, numbers))}}}'::bigint[])) TO STDOUT (FORMAT binary)"
                assert copy_numbers(cursor, statement).tolist() == numbers
    finally:
        connection.close()


@pytest.mark.parametrize("start", [0, 1])
def test_bytes_become_their_hexadecimal_text(database, start) -> None:
    values = [b"\x00\x0f\xff\xa1" * 8, None, b"z" * 32][start:]
    column = pa.array([b"first" + bytes(27), *values], pa.binary(32)).slice(1)
    connection = database.connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE texts (text text)")
            batch = pa.record_batch({"text": column})
            copy_into(cursor, "COPY texts FROM STDIN (FORMAT binary)", ["text"], [batch])
            cursor.execute("SELECT text FROM texts")
            assert [text for (text,) in cursor.fetchall()] == [value and value.hex() for value in values]
    finally:
        connection.close()
