"""Find the places of many numbers at once."""

import numpy as np

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Spreads numbers that follow each other."""
_FIRST_BITS = 12
NOWHERE = -1
"""The place of a number that is not there."""


class Slots:
    """Map distinct 64-bit numbers to places: an open hash table in two arrays.

    Whole arrays are looked up and added at once. A number costs 24 to 48 bytes.
    """

    def __init__(self) -> None:
        self._count = 0
        self._empty(_FIRST_BITS)

    def _empty(self, bits: int) -> None:
        self._bits = bits
        self._numbers = np.zeros(1 << bits, np.int64)
        self._places = np.full(1 << bits, NOWHERE, np.int32)

    def __len__(self) -> int:
        """Return how many numbers there are."""
        return self._count

    @property
    def nbytes(self) -> int:
        """Return the memory of both arrays."""
        return self._numbers.nbytes + self._places.nbytes

    def items(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all numbers and their places, in no order."""
        used = self._places != NOWHERE
        return self._numbers[used], self._places[used]

    def _first(self, numbers: np.ndarray) -> np.ndarray:
        return ((numbers.view(np.uint64) * _MULTIPLIER) >> np.uint64(64 - self._bits)).astype(np.int64)

    def find(self, numbers: np.ndarray) -> np.ndarray:
        """Return the place of each number; ``NOWHERE`` for those that are not there."""
        numbers = np.ascontiguousarray(numbers, np.int64)
        at = self._first(numbers)
        found = self._places[at]
        # Few numbers are not in their first slot.
        left = np.flatnonzero((self._numbers[at] != numbers) & (found != NOWHERE))
        at = at[left]
        while len(left):
            at = (at + 1) & (len(self._places) - 1)
            places = self._places[at]
            found[left] = places
            other = (self._numbers[at] != numbers[left]) & (places != NOWHERE)
            left, at = left[other], at[other]
        return found

    def add(self, numbers: np.ndarray, places: np.ndarray) -> None:
        """Give places to distinct numbers that are not there."""
        numbers, places = np.ascontiguousarray(numbers, np.int64), places.astype(np.int32)
        self._count += len(numbers)
        if 2 * self._count > len(self._places):
            held = self.items()
            self._empty(int(2 * self._count).bit_length())
            self._put(*held)
        self._put(numbers, places)

    def _put(self, numbers: np.ndarray, places: np.ndarray) -> None:
        at = self._first(numbers)
        while len(numbers):
            free = self._places[at] == NOWHERE
            # Of several numbers that want one slot the last gets it; the others look further.
            self._numbers[at[free]] = numbers[free]
            got = free & (self._numbers[at] == numbers)
            self._places[at[got]] = places[got]
            numbers, places, at = numbers[~got], places[~got], (at[~got] + 1) & (len(self._places) - 1)
