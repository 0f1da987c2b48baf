"""Compute keyed hashes of many texts."""

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from flowetl.digests import DIGEST_BYTES, Digests

_BLOCK_BYTES = 64
FEW = 256
"""Texts up to which a statement costs more than a loop."""
_CHUNK = 4096
"""Texts that one thread hashes at a time; DuckDB gives a thread no less than a whole batch of Arrow."""


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
    memory = duckdb.connect(config={"temp_directory": ""})
    memory.execute("SET enable_progress_bar = false")
    return memory


def use_threads(threads: int) -> None:
    """Let so many threads hash in this process."""
    _memory().execute(f"SET threads = {threads}")


class KeyedHash:
    """Compute HMAC-SHA-256 with one key.

    Whole blocks are hashed by one statement of DuckDB, which uses all threads and makes no Python object of a text.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_BYTES:
            key = hashlib.sha256(key).digest()
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = bytes(byte ^ 0x36 for byte in block)
        self._outer = bytes(byte ^ 0x5C for byte in block)

    def of(self, label: str, texts: Iterable[str]) -> list[str]:
        """Return the hash of ``label:text`` for each text, as hexadecimal characters."""
        inner = hashlib.sha256(self._inner + f"{label}:".encode())
        outer = hashlib.sha256(self._outer)
        found = []
        for text in texts:
            first, second = inner.copy(), outer.copy()
            first.update(text.encode())
            second.update(first.digest())
            found.append(second.hexdigest())
        return found

    def block(self, label: str, texts: pa.Array, *, with_keys: bool) -> Hashed:
        """Return what ``of`` does for texts without a null, and their keys.

        Without ``with_keys`` the first 64 bits of the hashes stand for them.
        """
        if len(texts) <= FEW:
            found = self.of(label, texts.to_pylist())
            digests = Digests.of_texts(found)
            if not with_keys:
                return Hashed(digests, digests.leading_bits().astype(np.int64))
            first = b"".join(hashlib.sha256(text.encode()).digest()[:8] for text in found)
            return Hashed(digests, np.frombuffer(first, ">i8").astype(np.int64))
        memory = _memory()
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
        keys = hashed.column("key").to_numpy() if with_keys else digests.leading_bits().astype(np.int64)
        return Hashed(digests, keys)


def _blob(content: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in content) + "'::BLOB"
