"""Hash many texts as the standard library hashes each of them."""

import hashlib
import hmac

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from flowdb.keys import subscriber_key
from flowetl import hashing
from flowetl.hashing import Hashed, KeyedHash
from flowetl.pseudonyms import Pseudonymiser

KEY = bytes(range(32))


class Watched(KeyedHash):
    """Count the blocks that a statement of DuckDB hashes."""

    statements = 0

    def _by_statement(self, label: str, texts: pa.Array, with_keys: bool) -> Hashed:
        self.statements += 1
        return super()._by_statement(label, texts, with_keys)


@pytest.mark.parametrize(
    ("threads", "many", "statements"), [(4, 257, 1), (4, 256, 0), (3, 257, 0), (5, 300, 1)]
)
@pytest.mark.parametrize("with_keys", [True, False])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_many_texts_on_many_threads_are_hashed_by_a_statement(
    threads: int, many: int, statements: int, with_keys: bool, kind: pa.DataType
) -> None:
    texts = [str(9_812_000_000 + number) for number in range(many)]
    keyed = Watched(KEY)
    keyed.use_threads(threads)
    found = keyed.block("msisdn", pa.array(texts, kind), with_keys=with_keys)
    assert keyed.statements == statements
    wanted = [hmac.digest(KEY, f"msisdn:{text}".encode(), hashlib.sha256) for text in texts]
    assert found.digests.texts().to_pylist() == [digest.hex() for digest in wanted]
    assert found.keys.tolist() == [
        subscriber_key(digest.hex()) if with_keys else int(np.frombuffer(digest, ">i8")[0])
        for digest in wanted
    ]


def test_raw_values_leave_the_memory_of_duckdb_and_reach_no_disk() -> None:
    memory = hashing._memory()
    assert memory.sql("SELECT current_setting('temp_directory')").fetchall() == [("",)]
    keyed = KeyedHash(KEY)
    for threads in (4, 6):
        keyed.use_threads(threads)
        keyed.block("imsi", pa.array([str(number) for number in range(300)]), with_keys=True)
        with pytest.raises(duckdb.CatalogException):
            memory.execute("FROM texts")
        assert memory.sql("SELECT current_setting('threads')").fetchall() == [(threads,)]


def test_a_long_key_is_hashed_as_the_standard_says() -> None:
    for key in (b"k" * 32, b"k" * 63, b"k" * 64, b"k" * 65, b"k" * 200):
        found = Pseudonymiser(key).column("imsi", pa.chunked_array([["429011234567801"]]))
        wanted = hmac.new(key, b"imsi:429011234567801", hashlib.sha256).hexdigest()
        assert found.row_texts().to_pylist() == [wanted]
