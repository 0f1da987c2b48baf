"""Render arrays of numbers as text.

Unused positions hold NUL, which the writer drops.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Text = NDArray[np.bytes_]
Characters = NDArray[np.uint8]

_ZERO = ord("0")
_FOURS: Characters = np.array([list(b"%04d" % number) for number in range(10_000)], dtype=np.uint8)
_POWERS = 10 ** np.arange(1, 19)


def digits(values: NDArray[np.integer], width: int) -> Characters:
    """Return the last `width` decimal digits, zero-padded: one row per value."""
    fours = -(-width // 4)
    pieces = [_FOURS[values // 10 ** (4 * place) % 10_000] for place in reversed(range(fours))]
    return np.concatenate(pieces, axis=1)[:, 4 * fours - width :]


def numerals(values: NDArray[np.integer]) -> Characters:
    """Render whole numbers from zero up, without leading zeros."""
    width = int(np.searchsorted(_POWERS, values.max(initial=0), side="right")) + 1
    characters = digits(values, width)
    lengths = np.searchsorted(_POWERS, values, side="right") + 1
    characters[np.arange(width) < width - lengths[:, None]] = 0
    return characters


def hundredths(values: NDArray[np.integer]) -> Characters:
    """Render hundredths as numbers with two decimals."""
    point = np.full((len(values), 1), ord("."), dtype=np.uint8)
    return np.concatenate([numerals(values // 100), point, digits(values, 2)], axis=1)


def text(characters: Characters) -> Text:
    """Return one string per row."""
    contiguous = np.ascontiguousarray(characters)
    return contiguous.reshape(-1).view(f"S{contiguous.shape[1]}")
