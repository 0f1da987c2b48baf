"""Hold many pseudonyms as bytes: half of the memory of their text, and no objects."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

DIGEST_BYTES = 32
TEXT_CHARACTERS = 2 * DIGEST_BYTES

#: The four hexadecimal characters of each two bytes: one look-up writes all of them.
_CHARACTERS = np.frombuffer(np.arange(1 << 16, dtype=np.uint16).tobytes().hex().encode(), np.uint32)


def hexadecimal(content: np.ndarray) -> np.ndarray:
    """Return the characters of rows of an even number of bytes."""
    return np.take(_CHARACTERS, np.ascontiguousarray(content).view(np.uint16)).view(np.uint8)


class Digests(NamedTuple):
    """Hold pseudonyms of up to 64 hexadecimal characters.

    ``content`` has a row of 32 bytes for each, with zeros behind a shorter one; ``lengths`` counts characters.
    """

    content: np.ndarray
    lengths: np.ndarray

    @classmethod
    def whole(cls, content: np.ndarray) -> "Digests":
        """Return digests of the full length."""
        return cls(content, np.full(len(content), TEXT_CHARACTERS, np.uint8))

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> "Digests":
        """Return the digests of texts in lower case."""
        padded = bytes.fromhex("".join(text.ljust(TEXT_CHARACTERS, "0") for text in texts))
        lengths = np.fromiter(map(len, texts), np.uint8, len(texts))
        return cls(np.frombuffer(padded, np.uint8).reshape(-1, DIGEST_BYTES), lengths)

    @classmethod
    def unpacked(cls, values: pa.Array | pa.ChunkedArray) -> "Digests":
        """Return the digests that ``packed`` returned, without a null."""
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
        if not pa.types.is_fixed_size_binary(values.type):
            return cls.of_texts(values.to_pylist())
        content = np.frombuffer(values.buffers()[1] or b"", np.uint8)
        start = values.offset * DIGEST_BYTES
        return cls.whole(content[start:][: len(values) * DIGEST_BYTES].reshape(-1, DIGEST_BYTES))

    @classmethod
    def joined(cls, parts: Sequence["Digests"]) -> "Digests":
        """Return all of the parts, in order."""
        contents, lengths = zip(*parts, strict=True)
        return cls(np.concatenate(contents), np.concatenate(lengths))

    def at(self, places: np.ndarray) -> "Digests":
        """Return those at these places."""
        return Digests(self.content[places], self.lengths[places])

    def leading_bits(self, places: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the first 64 bits at these places, which sort as the texts do."""
        return self.content.view(">u8")[places, 0].astype(np.uint64)

    def texts(self, present: np.ndarray | None = None) -> pa.Array:
        """Return the texts; null where they are not ``present``."""
        characters = hexadecimal(self.content)
        if (self.lengths == TEXT_CHARACTERS).all():
            offsets = np.arange(len(characters) + 1, dtype=np.int64) * TEXT_CHARACTERS
        else:
            characters = characters[np.arange(TEXT_CHARACTERS) < self.lengths[:, np.newaxis]]
            offsets = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])
        content = pa.py_buffer(np.ascontiguousarray(characters))
        return pa.Array.from_buffers(
            pa.large_string(), len(self.lengths), [_bits(present), pa.py_buffer(offsets), content]
        )

    def packed(self, present: np.ndarray) -> pa.Array:
        """Return an array, null where not ``present``.

        It is of 32 bytes each if all are of full length, and of texts otherwise.
        """
        if not (self.lengths[present] == TEXT_CHARACTERS).all():
            return self.texts(present)
        content = pa.py_buffer(np.ascontiguousarray(self.content))
        return pa.Array.from_buffers(pa.binary(DIGEST_BYTES), len(self.lengths), [_bits(present), content])


def _bits(present: np.ndarray | None) -> pa.Buffer | None:
    if present is None or present.all():
        return None
    return pa.py_buffer(np.packbits(present, bitorder="little"))
