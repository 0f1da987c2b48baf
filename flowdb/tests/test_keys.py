"""Test the keys of the columnar files."""

import hashlib

import pyarrow as pa
import pytest

from flowdb.keys import subscriber_key, subscriber_keys
from flowdb.testing import Database

PSEUDONYMS = ["", "a", "b" * 64, "é", "1" * 40]


def test_a_key_is_the_first_eight_bytes_of_the_digest() -> None:
    assert subscriber_key("abc") == int("ba7816bf8f01cfea", 16) - 2**64


def test_keys_use_the_whole_signed_range() -> None:
    keys = [subscriber_key(str(number)) for number in range(100)]
    assert min(keys) < -(2**62)
    assert max(keys) > 2**62


@pytest.mark.parametrize("pseudonym", PSEUDONYMS)
def test_the_database_derives_the_same_key(module_database: Database, pseudonym: str) -> None:
    with module_database.connect("flowmachine") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT subscriber_key(%s)", (pseudonym,))
        assert cursor.fetchone() == (subscriber_key(pseudonym),)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "b", "a"]),
        pa.array(["a", None, "b", "a"]).dictionary_encode(),
        pa.chunked_array([["a", None], ["b"], ["a"]]),
        pa.chunked_array([["a", None], ["b"], ["a"]]).dictionary_encode(),
    ],
    ids=["plain", "dictionary", "chunks", "chunks of dictionaries"],
)
def test_a_column_of_keys_keeps_order_nulls_and_repeats(column: pa.Array | pa.ChunkedArray) -> None:
    a, b = subscriber_key("a"), subscriber_key("b")
    keys = subscriber_keys(column)
    assert keys.type == pa.int64()
    assert keys.to_pylist() == [a, None, b, a]


def test_an_empty_column_gives_no_keys() -> None:
    assert subscriber_keys(pa.array([], pa.string())).to_pylist() == []


def test_each_distinct_value_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def counting(data: bytes) -> "hashlib._Hash":
        hashed.append(data)
        return hashlib.sha256(data)

    monkeypatch.setattr("flowdb.keys.sha256", counting)
    subscriber_keys(pa.array(["a", "b", "a", "a"]))
    assert sorted(hashed) == [b"a", b"b"]
