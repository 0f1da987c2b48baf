"""Remember the pseudonyms of raw values from one block and day to the next."""

from collections.abc import Callable
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from flowetl.digests import DIGEST_BYTES, Digests
from flowetl.plainnumbers import OTHER, as_numbers
from flowetl.slots import NOWHERE, Slots

ABSENT: Final = 0
NOBODY: Final = 1
"""The places of rows without an identifier, and of those whose text says that there is none."""
_ENTRY_BYTES: Final = DIGEST_BYTES + 8 + 1 + 4
_TEXT_BYTES: Final = 200
"""Memory of a raw value that is no number, in a dictionary."""
_FIRST_PLACES: Final = 1024


class New(NamedTuple):
    """Hold what became of distinct raw values.

    ``exists`` and ``nobody`` say of each value whether it has a pseudonym and whether it stands for nobody; the
    others have neither. ``digests`` and ``keys`` are those of the values that have a pseudonym.
    """

    exists: np.ndarray
    nobody: np.ndarray
    digests: Digests
    keys: np.ndarray


class Known:
    """Hold one label's raw values, each with a place, and the pseudonym at each place.

    The first two places hold nothing. ``ABSENT`` is for rows without a value and for unreadable values,
    ``NOBODY`` for values that state the absence of an identifier. A place stays as long as the object; what did
    not occur for long is left out of the ``younger`` one.
    """

    def __init__(self, day: int = 0) -> None:
        self._day = day
        self._count = NOBODY + 1
        self._content = np.zeros((_FIRST_PLACES, DIGEST_BYTES), np.uint8)
        self._lengths = np.zeros(_FIRST_PLACES, np.uint8)
        self._keys = np.zeros(_FIRST_PLACES, np.int64)
        self._days = np.zeros(_FIRST_PLACES, np.int32)
        # Nearly every raw value is a number, and numbers are looked up in arrays.
        self._numbers = Slots()
        self._others: dict[str | None, int] = {None: ABSENT}

    def __len__(self) -> int:
        """Return the number of places."""
        return self._count

    @property
    def nbytes(self) -> int:
        """Return the memory in bytes."""
        return len(self._keys) * _ENTRY_BYTES + self._numbers.nbytes + len(self._others) * _TEXT_BYTES

    @property
    def keys(self) -> np.ndarray:
        """Return the 64-bit key at each place."""
        return self._keys[: self._count]

    @property
    def digests(self) -> Digests:
        """Return the pseudonym at each place."""
        return Digests(self._content[: self._count], self._lengths[: self._count])

    def texts(self) -> pa.Array:
        """Return the pseudonym's text at each place."""
        return self.digests.texts(np.arange(self._count) > NOBODY)

    def begin_day(self) -> None:
        """Let what occurs from now on be younger than what occurred before."""
        self._day += 1

    def younger(self, entries: int) -> "Known":
        """Return a copy of so many of the values that occurred last."""
        kept = Known(self._day)
        numbers, at = self._numbers.items()
        others = [(text, place) for text, place in self._others.items() if place > NOBODY]
        places = np.concatenate([at, np.array([place for _, place in others], np.int32)])
        newest = np.argsort(self._days[places], kind="stable")[::-1][:entries]
        newest = newest[places[newest] > NOBODY]
        old = places[newest]
        new = kept._append(self.digests.at(old), self._keys[old], self._days[old])
        is_number = newest < len(at)
        kept._numbers.add(numbers[newest[is_number]], new[is_number])
        kept._others |= {
            others[place - len(at)][0]: at_new
            for place, at_new in zip(newest[~is_number].tolist(), new[~is_number].tolist(), strict=True)
        }
        return kept

    def places(self, values: pa.Array, make: Callable[[pa.Array], New]) -> np.ndarray:
        """Return the place of each value; new values get a place."""
        numbers = as_numbers(values)
        places = self._find(values, numbers)
        unseen = places == NOWHERE
        if unseen.any():
            fresh = values.filter(pa.array(unseen)).dictionary_encode()
            new = self._add(fresh.dictionary, make(fresh.dictionary))
            places[unseen] = new[fresh.indices.to_numpy()]
        self._days[places] = self._day
        return places

    def _find(self, values: pa.Array, numbers: np.ndarray) -> np.ndarray:
        """Return the place of each value; ``NOWHERE`` for new values."""
        places = self._numbers.find(numbers)
        others = np.flatnonzero(numbers == OTHER)
        if len(others):
            texts = values.take(pa.array(others)).to_pylist()
            places[others] = np.fromiter(map(self._others.get, texts, repeat(NOWHERE)), np.int32, len(texts))
        return places

    def _add(self, values: pa.Array, made: New) -> np.ndarray:
        """Give places to distinct values that have none; return them."""
        places = np.where(made.nobody, NOBODY, ABSENT).astype(np.int32)
        places[made.exists] = self._append(made.digests, made.keys, self._day)
        numbers = as_numbers(values)
        plain = numbers != OTHER
        self._numbers.add(numbers[plain], places[plain])
        others = values.filter(pa.array(~plain)).to_pylist()
        self._others.update(zip(others, places[~plain].tolist(), strict=True))
        return places

    def _append(self, digests: Digests, keys: np.ndarray, days: np.ndarray | int) -> np.ndarray:
        """Put pseudonyms at new places, which are returned."""
        first, self._count = self._count, self._count + len(keys)
        if self._count > len(self._keys):
            room = max(self._count, len(self._keys) * 3 // 2)
            self._content, self._lengths, self._keys, self._days = (
                _longer(array, room) for array in (self._content, self._lengths, self._keys, self._days)
            )
        new = slice(first, self._count)
        self._content[new], self._lengths[new] = digests
        self._keys[new], self._days[new] = keys, days
        return np.arange(first, self._count, dtype=np.int32)


def _longer(array: np.ndarray, room: int) -> np.ndarray:
    longer = np.zeros((room, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


class Pseudonyms(NamedTuple):
    """Hold one identifier column: its label's known values and each row's place."""

    known: Known
    places: np.ndarray

    def row_keys(self) -> pa.Array:
        """Return the 64-bit key of each row; null without an identifier."""
        return pa.array(self.known.keys[self.places], mask=self.places <= NOBODY)

    def row_says_nobody(self) -> pa.Array:
        """Return for each row whether its text states the absence of an identifier."""
        return pa.array(self.places == NOBODY)

    def row_leading_bits(self) -> pa.Array:
        """Return unsigned integers that sort as the pseudonyms; 0 without an identifier."""
        return pa.array(self.known.digests.leading_bits(self.places))

    def row_texts(self) -> pa.Array:
        """Return the text of each row's pseudonym; null without an identifier."""
        return self.known.digests.at(self.places).texts(self.places > NOBODY)

    def packed(self) -> pa.Array:
        """Return each row's pseudonym as ``Digests.packed``; null without an identifier."""
        return self.known.digests.at(self.places).packed(self.places > NOBODY)


class Used:
    """Know which pseudonyms of one label the rows of a day use.

    ``ambiguous`` tells, once they are sorted, whether two pseudonyms had one key. What is behind the keys stays where it
    is known.
    """

    def __init__(self) -> None:
        self.ambiguous = False
        self._used: dict[int, tuple[Known, np.ndarray]] = {}
        self._sorted = True
        self._keys = np.empty(0, np.int64)
        self._order = np.empty(0, np.int64)

    def add(self, found: Pseudonyms) -> None:
        """Keep one column's pseudonyms, of which some may be kept already."""
        known = found.known
        _, used = self._used.get(id(known), (known, np.zeros(0, bool)))
        if len(used) < len(known):
            used = _longer(used, len(known))
            self._used[id(known)] = known, used
        used[found.places] = True
        used[: NOBODY + 1] = False
        self._sorted = False

    def sort(self) -> None:
        """Order what was added."""
        if self._sorted:
            return
        self._sorted = True
        found = np.concatenate([known.keys[np.flatnonzero(used)] for known, used in self._used.values()])
        order = np.argsort(found)
        found = found[order]
        repeats = np.flatnonzero(found[1:] == found[:-1]) + 1
        if len(repeats):
            one, other = self._digests(order[repeats]), self._digests(order[repeats - 1])
            self.ambiguous |= not (
                np.array_equal(one.content, other.content) and np.array_equal(one.lengths, other.lengths)
            )
            found, order = np.delete(found, repeats), np.delete(order, repeats)
        self._keys, self._order = found, order

    def _digests(self, wanted: np.ndarray) -> Digests:
        """Return pseudonyms by their number among all that were added."""
        content = np.zeros((len(wanted), DIGEST_BYTES), np.uint8)
        lengths = np.zeros(len(wanted), np.uint8)
        first = 0
        for known, used in self._used.values():
            at = np.flatnonzero(used)
            here = (wanted >= first) & (wanted < first + len(at))
            content[here], lengths[here] = known.digests.at(at[wanted[here] - first])
            first += len(at)
        return Digests(content, lengths)

    @property
    def keys(self) -> np.ndarray:
        """Return every key, in order."""
        self.sort()
        return self._keys

    def packed(self) -> pa.Array:
        """Return what is behind all keys, in their order, as ``Digests.packed``."""
        self.sort()
        return self._digests(self._order).packed(np.ones(len(self._order), bool))
