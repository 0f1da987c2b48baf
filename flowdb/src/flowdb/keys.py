"""Derive integer keys of the columnar files from pseudonyms.

Keys need no shared counter: every loader on every host derives the same key. The SQL function
``subscriber_key(text)`` has the same definition. Loading refuses two pseudonyms with the same key.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pyarrow as pa


def subscriber_key(pseudonym: str) -> int:
    """Return the first 8 bytes of SHA-256 over the UTF-8 text, big-endian, signed.

    The result lies between -2**63 and 2**63 - 1.
    """
    return int.from_bytes(sha256(pseudonym.encode()).digest()[:8], "big", signed=True)


def subscriber_keys(pseudonyms: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the keys of a text column as int64 of the same length.

    Nulls stay null. Each distinct value is hashed once.
    """
    if isinstance(pseudonyms, pa.ChunkedArray):
        pseudonyms = pseudonyms.combine_chunks()
    if not pa.types.is_dictionary(pseudonyms.type):
        pseudonyms = pseudonyms.dictionary_encode()
    distinct = pseudonyms.dictionary
    # Slice and byte-swap all digests at once: a loop would cost as much as hashing.
    digests = b"".join(
        [sha256(value or b"").digest() for value in distinct.cast(pa.large_binary()).to_pylist()]
    )
    keys = np.frombuffer(digests, ">i8")[::4].astype(np.int64)
    return pa.array(keys, mask=distinct.is_null().to_numpy(zero_copy_only=False)).take(pseudonyms.indices)
