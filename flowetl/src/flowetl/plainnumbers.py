"""Read many plain numbers by asking the rules about few of them.

How digits without any other character are read depends on their number and on the first of them only. The rules
are asked about one number of each such class, and what became of it is done to all others of the class.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_Read = Callable[[str], str | None]

_MOST_DIGITS = 17
"""So many decimal digits fit into 64 bits behind a one."""
_POWERS = 10 ** np.arange(_MOST_DIGITS + 1)
_MOST_ASKED = 100
"""Numbers of a class after which it is not waited any longer for one that tells."""
OTHER: Final = -1
"""Stands for a text that is no number of digits."""


def as_numbers(values: pa.Array) -> np.ndarray:
    """Return each text of digits as its number behind a one.

    The one keeps leading zeros. Any other text, and null, is ``OTHER``.
    """
    lengths = pc.binary_length(values)
    usual = pc.and_(pc.ascii_is_decimal(values), pc.less_equal(lengths, _MOST_DIGITS))
    if pc.all(usual, skip_nulls=False).as_py():
        return values.cast(pa.int64()).to_numpy() + _POWERS[lengths.to_numpy()]
    plain = pc.if_else(usual, values, None)
    numbers = pc.fill_null(plain.cast(pa.int64()), OTHER).to_numpy()
    powers = _POWERS[pc.fill_null(pc.if_else(usual, lengths, 0), 0).to_numpy()]
    return np.where(numbers < 0, OTHER, numbers + powers)


class _Cut(NamedTuple):
    """Say what is put before which digits of every number of a class."""

    before: str
    start: int
    stop: int

    def of(self, texts: pa.Array) -> pa.Array:
        cut = pc.utf8_slice_codeunits(texts, self.start, self.stop)
        before, between = (pa.scalar(text, texts.type) for text in (self.before, ""))
        return pc.binary_join_element_wise(before, cut, between) if self.before else cut


class _Always(NamedTuple):
    """Say that every number of a class is read as one thing: nobody, or unreadable."""

    normal: str | None

    def of(self, texts: pa.Array) -> pa.Array:
        return pa.array([self.normal], texts.type).take(pa.array(np.zeros(len(texts), np.int64)))


_ASK: Final = "ask"
"""Stands for a class whose numbers are asked about one by one."""
_Rule = _Cut | _Always | str


class PlainNumbers:
    """Apply a rule to numbers.

    A number's length and ``leading`` digits decide what the rule does: it takes digits off one end, and may put
    others in front. ``read`` returns a number's normal form: the empty text for nobody, None where it cannot be read.
    ``asks`` says of a number whether all digits decide for its class.
    """

    def __init__(self, read: _Read, leading: int, asks: Callable[[str], bool]) -> None:
        self._read = read
        self._leading = leading
        self._asks = asks
        self._known: dict[int, _Rule] = {}

    def normals(self, texts: pa.Array) -> pa.Array:
        """Return each text's normal form, as ``read`` does; null where unreadable."""
        classes, of_each = np.unique(self._classes(texts), return_inverse=True)
        rules = [self._rule(int(of), texts, of_each == place) for place, of in enumerate(classes)]
        distinct = list(dict.fromkeys(rules))
        numbered = np.array([distinct.index(rule) for rule in rules], np.int64)[of_each]
        parts, places = [pa.array([], texts.type)], []
        for number, rule in enumerate(distinct):
            at = np.flatnonzero(numbered == number)
            places.append(at)
            chosen = texts if len(at) == len(texts) else texts.take(pa.array(at))
            parts.append(
                pa.array(list(map(self._read, chosen.to_pylist())), texts.type)
                if isinstance(rule, str)
                else rule.of(chosen)
            )
        found = pa.concat_arrays(parts)
        if len(distinct) < 2:
            return found
        back = np.empty(len(texts), np.int64)
        back[np.concatenate(places)] = np.arange(len(texts))
        return found.take(pa.array(back))

    def _classes(self, texts: pa.Array) -> np.ndarray:
        """Return a number for each text's length and leading digits.

        ``OTHER`` stands for a text that is to be asked about.
        """
        numbers = as_numbers(texts)
        lengths = np.searchsorted(_POWERS, numbers, side="right") - 1
        digits = numbers - _POWERS[lengths]
        first = digits // _POWERS[np.maximum(lengths - self._leading, 0)]
        # Behind zeros all digits count: they may be nothing but zeros.
        asked = (numbers == OTHER) | (digits < _POWERS[np.maximum(lengths - 2, 0)])
        return np.where(asked, OTHER, lengths * _POWERS[self._leading] + first)

    def _rule(self, of: int, texts: pa.Array, members: np.ndarray) -> _Rule:
        """Return what is done to a class.

        As many of its members are asked about as it takes to tell.
        """
        if of == OTHER:
            return _ASK
        if of not in self._known:
            for text in texts.take(pa.array(np.flatnonzero(members)[:_MOST_ASKED])).to_pylist():
                learnt = self._learn(text, self._read(text))
                if learnt:
                    self._known[of] = learnt
                    break
        return self._known.get(of, _ASK)

    def _learn(self, text: str, normal: str | None) -> _Rule | None:
        """Return what is done to a number's class; None if this number does not tell."""
        if self._asks(text):
            return _ASK
        if not normal:
            return _Always(normal)
        starts = [start for start in range(self._leading + 1) if normal.endswith(text[start:])]
        if not starts:
            return _Cut("", 0, len(normal)) if text.startswith(normal) else _ASK
        if text.startswith(normal) and normal != text:
            # Of equal digits it cannot be seen from which end they were taken.
            return None
        # A later start says the same, because the digits between are among the leading ones.
        return _Cut(normal.removesuffix(text[starts[0] :]), starts[0], len(text))
