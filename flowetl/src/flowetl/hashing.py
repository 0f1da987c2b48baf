"""Compute keyed hashes of many texts."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from flowetl.digests import DIGEST_BYTES, TEXT_CHARACTERS, Digests

MANY_THREADS: Final = 4
"""Threads from which on DuckDB, which hashes on all of them, is faster than OpenSSL on one."""
FEW_TEXTS: Final = 256
"""Texts up to which a statement of DuckDB costs more than a loop."""
_BLOCK_BYTES = 64
_CHUNK = 4096
"""Texts that are hashed at a time; DuckDB gives a thread no less than a whole batch of Arrow."""


class Hashed(NamedTuple):
    """Hold hashes, and the ``subscriber_key`` of each hash's text."""

    digests: Digests
    keys: np.ndarray


def key_sql(text: str) -> str:
    """Return SQL of DuckDB for ``flowdb.keys.subscriber_key`` of a text."""
    bits = f"('0x' || left(sha256({text}), 16))::UBIGINT"
    # The 64th bit is the sign.
    return (
        f"CAST({bits} & 9223372036854775807 AS BIGINT) + "
        f"CASE WHEN {bits} > 9223372036854775807 THEN CAST(-9223372036854775808 AS BIGINT) ELSE 0 END"
    )


@cache
def _memory() -> duckdb.DuckDBPyConnection:
    """Return this process's DuckDB for raw values; it never writes to a disk."""
    return duckdb.connect(config={"temp_directory": ""})


class KeyedHash:
    """Compute HMAC-SHA-256 with one key.

    OpenSSL copies its state after the key's blocks for each text, and needs a third of the processor time of DuckDB,
    which hashes these blocks again. Many threads of DuckDB are faster nevertheless.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_BYTES:
            key = hashlib.sha256(key).digest()
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = bytes(byte ^ 0x36 for byte in block)
        self._outer = bytes(byte ^ 0x5C for byte in block)
        self._threads = 1

    def use_threads(self, threads: int) -> None:
        """Let so many threads hash a block."""
        self._threads = threads

    def of(self, label: str, texts: Iterable[bytes]) -> bytes:
        """Return the hashes of ``label:text`` for each text, one behind the other."""
        copy_inner = hashlib.sha256(self._inner + f"{label}:".encode()).copy
        copy_outer = hashlib.sha256(self._outer).copy
        found = []
        for text in texts:
            first, second = copy_inner(), copy_outer()
            first.update(text)
            second.update(first.digest())
            found.append(second.digest())
        return b"".join(found)

    def block(self, label: str, texts: pa.Array, *, with_keys: bool) -> Hashed:
        """Return the digests of texts without a null, and their keys.

        Without ``with_keys`` the first 64 bits of the hashes stand for them.
        """
        if self._threads >= MANY_THREADS and len(texts) > FEW_TEXTS:
            return self._by_statement(label, texts, with_keys)
        content = b"".join(self._parts(label, texts))
        digests = Digests.whole(np.frombuffer(content, np.uint8).reshape(-1, DIGEST_BYTES))
        return Hashed(digests, _keys(content) if with_keys else _bits(digests))

    def _parts(self, label: str, texts: pa.Array) -> Iterator[bytes]:
        # Python's objects of one part take the memory of those of the part before, and stay in the cache.
        for start in range(0, len(texts), _CHUNK):
            part = texts.slice(start, _CHUNK).cast(pa.large_binary())
            yield self.of(label, part.to_pylist())

    def _by_statement(self, label: str, texts: pa.Array, with_keys: bool) -> Hashed:
        memory = _memory()
        memory.execute(f"SET threads = {self._threads}")
        rows = pa.table({"text": texts}).to_batches(max_chunksize=_CHUNK)
        memory.register("texts", pa.Table.from_batches(rows))
        inner = _blob(self._inner + f"{label}:".encode())
        key = key_sql("hash") if with_keys else "NULL::BIGINT"
        hashed = memory.execute(
            f"SELECT unhex(hash) AS digest, {key} AS key FROM (SELECT "  # noqa: S608 - constants of ours
            f"sha256({_blob(self._outer)} || unhex(sha256({inner} || encode(text)))) AS hash FROM texts)"
        ).to_arrow_table()
        memory.unregister("texts")
        column = hashed.column("digest").combine_chunks()
        start = column.offset * DIGEST_BYTES
        content = np.frombuffer(column.buffers()[2], np.uint8, len(texts) * DIGEST_BYTES, start)
        digests = Digests.whole(content.reshape(-1, DIGEST_BYTES))
        return Hashed(digests, hashed.column("key").to_numpy() if with_keys else _bits(digests))


def _bits(digests: Digests) -> np.ndarray:
    return digests.leading_bits().astype(np.int64)


def _keys(content: bytes) -> np.ndarray:
    """Return the key of each hash's text, as ``flowdb.keys.subscriber_key`` does."""
    keys = np.empty(len(content) // DIGEST_BYTES, np.int64)
    sha256 = hashlib.sha256
    for first in range(0, len(keys), _CHUNK):
        text = content[first * DIGEST_BYTES : (first + _CHUNK) * DIGEST_BYTES].hex().encode()
        starts = range(0, len(text), TEXT_CHARACTERS)
        hashed = b"".join([sha256(text[start : start + TEXT_CHARACTERS]).digest() for start in starts])
        keys[first : first + _CHUNK] = np.frombuffer(hashed, ">i8")[:: DIGEST_BYTES // 8]
    return keys


def _blob(content: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in content) + "'::BLOB"
