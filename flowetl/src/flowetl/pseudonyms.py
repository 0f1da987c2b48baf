"""Turn raw identifiers into pseudonyms in memory before anything is written.

HMAC-SHA-256 with the deployment's secret: the number space is small enough to enumerate, so an unkeyed hash
would hide nothing. Numbers of both parties share one label so that links survive; SIMs and devices have their
own labels.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowdb.keys import subscriber_key
from flowetl.errors import DataFault
from flowetl.identifiers import (
    LONGEST_IDENTIFIER,
    LONGEST_NUMBER,
    NO_NUMBER,
    SHORTEST_NUMBER,
    Form,
    Numbering,
    normalise_imei,
    normalise_imsi,
    normalise_number,
    shape,
)
from flowsettings.lookup import Unusable

LABELS: Final = {"msisdn": "msisdn", "msisdn_counterpart": "msisdn", "imsi": "imsi", "imei": "imei"}
MINIMUM_KEY_BYTES: Final = 32
REMEMBERED: Final = 350_000
"""Identifiers of one kind kept from one block or day to the next: enough to pay, little enough to hold."""

ABSENT: Final = 0
NOBODY: Final = 1
"""The places of rows without an identifier, and of those whose text says that there is none."""

_NOISE = re.compile(r"[\s().\-]")
_PSEUDONYM = re.compile(r"[0-9a-f]{32,64}")
_RAW_LOOKING = re.compile(r"\+?[0-9]{5,17}")
_NUMBER_DIGITS = 18
"""So many decimal digits fit into 64 bits."""


def parse_key(secret: object) -> bytes:
    """Return the key of a secret: its hexadecimal bytes, or its text as UTF-8.

    Raises
    ------
    Unusable
        When it has fewer than 256 bits.
    """
    if isinstance(secret, bytes):
        return secret
    try:
        key = bytes.fromhex(str(secret))
    except ValueError:
        key = str(secret).encode()
    if len(key) < MINIMUM_KEY_BYTES:
        raise Unusable(
            f"{MINIMUM_KEY_BYTES * 8} bits or more, as {2 * MINIMUM_KEY_BYTES} hexadecimal characters "
            f"or {MINIMUM_KEY_BYTES} of text, and has {len(key) * 8} bits"
        )
    return key


class Known:
    """Hold one label's raw values, each with a place, and the pseudonym at each place.

    The first two places hold nothing. ``ABSENT`` is for rows without a value and for unreadable values,
    ``NOBODY`` for values that state the absence of an identifier.
    """

    def __init__(self) -> None:
        self.keys = np.zeros(2, np.int64)
        self.leading_bits = np.zeros(2, np.uint64)
        self._texts = [pa.nulls(2, pa.large_string())]
        # Nearly every raw value is a number. Sorting and searching numbers at once costs a quarter of
        # dictionary look-ups, and a tenth of the memory.
        self._numbers = np.array([np.iinfo(np.int64).max])
        self._number_places = np.zeros(1, np.int64)
        self._other_places: dict[str | None, int] = {None: 0}

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self.keys)

    @property
    def full(self) -> bool:
        """Return whether it is time to forget."""
        return len(self._numbers) + len(self._other_places) > REMEMBERED

    def texts(self) -> pa.Array:
        """Return the pseudonym at each place."""
        self._texts = [pa.concat_arrays(self._texts)]
        return self._texts[0]

    def places(self, values: pa.Array, pseudonym_of: Callable[[str], str | None]) -> np.ndarray:
        """Return the place of each value; new values get a place."""
        places = self._find(values)
        unseen = places < 0
        if unseen.any():
            rest = values.filter(pa.array(unseen))
            self._add(rest.unique(), pseudonym_of)
            places[unseen] = self._find(rest)
        return places

    def _find(self, values: pa.Array) -> np.ndarray:
        """Return the place of each value; -1 for new values."""
        numbers = _numbers(values)
        at = np.searchsorted(self._numbers, numbers)
        places = np.where(self._numbers[at] == numbers, self._number_places[at], -1)
        others = np.flatnonzero(numbers < 0)
        texts = values.take(pa.array(others)).to_pylist()
        places[others] = np.fromiter(map(self._other_places.get, texts, repeat(-1)), np.int64, len(texts))
        return places

    def _add(self, values: pa.Array, pseudonym_of: Callable[[str], str | None]) -> None:
        """Give places to distinct values that have none."""
        raw = values.to_pylist()
        pseudonyms = list(map(pseudonym_of, raw))
        exists = np.array(list(map(bool, pseudonyms)))
        nobody = np.array([pseudonym == NO_NUMBER for pseudonym in pseudonyms])
        places = np.where(exists, len(self) - 1 + np.cumsum(exists), np.where(nobody, NOBODY, ABSENT))

        texts = list(filter(None, pseudonyms))
        self._texts.append(pa.array(texts, pa.large_string()))
        self.keys = np.append(self.keys, np.array(list(map(subscriber_key, texts)), np.int64))
        self.leading_bits = np.append(self.leading_bits, leading_bits(texts))

        numbers = _numbers(values)
        self._other_places.update((raw[at], int(places[at])) for at in np.flatnonzero(numbers < 0))
        order = np.argsort(numbers)[np.count_nonzero(numbers < 0) :]
        at = np.searchsorted(self._numbers, numbers[order])
        self._numbers = np.insert(self._numbers, at, numbers[order])
        self._number_places = np.insert(self._number_places, at, places[order])


def _numbers(values: pa.Array) -> np.ndarray:
    """Return each text as the number that it canonically spells; -1 otherwise.

    Nulls are -1, too.
    """
    usual = pc.and_(
        pc.and_(pc.ascii_is_decimal(values), pc.less_equal(pc.binary_length(values), _NUMBER_DIGITS)),
        pc.invert(pc.starts_with(values, "0")),
    )
    return pc.fill_null(pc.if_else(usual, values, None).cast(pa.int64()), -1).to_numpy()


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
        return pa.array(self.known.leading_bits[self.places])


class Texts:
    """Keep the text behind each key of one label once for all rows.

    ``ambiguous`` tells whether two texts had one key.
    """

    def __init__(self) -> None:
        self.ambiguous = False
        self._keys = np.empty(0, np.int64)
        self._texts = pa.array([], pa.large_string())
        self._known = Known()
        self._used = np.zeros(2, bool)
        self._fresh: list[pa.Table] = []

    def add(self, found: Pseudonyms) -> None:
        """Keep one column's pseudonyms, of which some may be kept already."""
        if found.known is not self._known:
            self._take_used()
            self._known = found.known
            # Newly known values may be fewer than the forgotten values.
            self._used = np.zeros(2, bool)
        self._used = np.pad(self._used, (0, len(found.known) - len(self._used)))
        self._used[found.places] = True

    def sorted(self) -> tuple[np.ndarray, pa.Array]:
        """Return every key, in order, and its text."""
        self._take_used()
        self._sort()
        return self._keys, self._texts

    def of(self, keys: pa.Array) -> pa.Array:
        """Return the text behind each of these known keys; null for a null."""
        known, texts = self.sorted()
        places = pa.array(np.searchsorted(known, pc.fill_null(keys, 0).to_numpy(zero_copy_only=False)))
        return texts.take(pc.if_else(pc.is_valid(keys), places, None))

    def _take_used(self) -> None:
        """Copy the texts that the rows used of known values, which may be forgotten later."""
        self._used[: NOBODY + 1] = False
        used = np.flatnonzero(self._used)
        if not len(used):
            return
        texts = self._known.texts().take(pa.array(used))
        self._fresh.append(pa.table({"key": self._known.keys[used], "text": texts}))
        self._used[:] = False
        # Sorting only when as many wait as are sorted keeps the total cost of sorting small.
        if sum(map(len, self._fresh)) > max(len(self._keys), REMEMBERED):
            self._sort()

    def _sort(self) -> None:
        if not self._fresh:
            return
        fresh, self._fresh = pa.concat_tables(self._fresh).combine_chunks(), []
        keys = np.concatenate([self._keys, fresh.column("key").to_numpy()])
        texts = pa.concat_arrays([self._texts, *fresh.column("text").chunks])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        repeats = np.flatnonzero(keys[1:] == keys[:-1]) + 1
        one, other = (texts.take(pa.array(order[at])) for at in (repeats, repeats - 1))
        self.ambiguous |= not one.equals(other)
        self._keys = np.delete(keys, repeats)
        self._texts = texts.take(pa.array(np.delete(order, repeats)))


class Spelling(NamedTuple):
    """Say how a source writes one kind of identifier.

    ``pattern`` is what every text of the form ``text`` matches.
    """

    form: Form = "number"
    pattern: str = ""


class Reading(NamedTuple):
    """Say how a source writes its identifiers.

    ``filler`` follows their digits to fill a fixed width.
    """

    numbering: Numbering = Numbering()
    subscriber: Spelling = Spelling()
    counterpart: Spelling = Spelling()
    filler: str = ""

    def normal(self, name: str, value: str) -> str | None:
        """Normalise a value of the column ``name``.

        Returns ``NO_NUMBER``, or None if the value is unreadable.
        """
        spelling = self.subscriber if name == "msisdn" else self.counterpart
        if name in ("msisdn", "msisdn_counterpart") and spelling.form == "text":
            text = value.strip()
            good = 0 < len(text) <= LONGEST_IDENTIFIER and re.fullmatch(spelling.pattern or ".*", text)
            return f"text:{text}" if good else None
        if self.filler:
            value = value.strip().rstrip(self.filler.upper() + self.filler.lower())
        if name == "imsi":
            return normalise_imsi(value)
        if name == "imei":
            return normalise_imei(value)
        if spelling.form == "imsi":
            sim = normalise_imsi(value)
            return None if sim is None else f"imsi:{sim}"
        return normalise_number(value, self.numbering, spelling.form)

    def expected(self, name: str) -> str:
        """Describe in words what a value of the column must look like."""
        spelling = self.subscriber if name == "msisdn" else self.counterpart
        if spelling.form == "text":
            return f"text that matches {spelling.pattern!r}" if spelling.pattern else "text"
        if spelling.form == "imsi":
            return "an IMSI of 13 to 15 digits"
        numbering = self.numbering
        if numbering.calling_code and numbering.national_lengths:
            lengths = " or ".join(map(str, numbering.national_lengths))
            return f"a number of {lengths} digits, or of {numbering.calling_code} and these, or of another country"
        return f"a number of {SHORTEST_NUMBER} to {LONGEST_NUMBER} digits"


AS_USUAL: Final = Reading()


class Pseudonymiser:
    """Turn columns of raw identifiers into pseudonyms.

    A pseudonym is 64 lower-case hexadecimal characters. Each distinct value is hashed once while it is
    remembered. Raw values are kept only in memory, and not for longer than the process.
    """

    def __init__(self, key: bytes, reading: Reading = AS_USUAL) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")
        self.reading = reading
        self._known: dict[str, dict[Spelling, Known]] = {label: {} for label in LABELS.values()}

    def column(self, name: str, raw: pa.ChunkedArray) -> Pseudonyms:
        """Return one identifier column's pseudonyms.

        ``name`` is the target column and chooses the label.
        """
        known = self._remembered(name)
        return Pseudonyms(known, known.places(raw.combine_chunks(), partial(self._pseudonym, name)))

    def _remembered(self, name: str) -> Known:
        # A subscriber's text may mean another person where counterparts are written differently.
        known = self._known[LABELS[name]]
        spelling = self.reading.counterpart if name == "msisdn_counterpart" else self.reading.subscriber
        if spelling not in known or known[spelling].full:
            known[spelling] = Known()
        return known[spelling]

    def _pseudonym(self, name: str, value: str) -> str | None:
        normal = self.reading.normal(name, value)
        return self._hash(LABELS[name], normal) if normal else normal

    def _hash(self, label: str, normal: str) -> str:
        keyed = self._keyed.copy()
        keyed.update(f"{label}:{normal}".encode())
        return keyed.hexdigest()

    def line_hash(self, content: str) -> str:
        """Return a keyed hash of a refused line.

        Equal lines can be recognised, and no line can be recovered.
        """
        return self._hash("line", content)


class UpstreamPseudonyms(Pseudonymiser):
    """Pass the operator's pseudonyms on and refuse values that still look raw."""

    def _pseudonym(self, name: str, value: str) -> str | None:
        """Return the value in lower case; None unless 32 to 64 hexadecimal characters.

        Raises
        ------
        DataFault
            When it is all digits and as short as a telephone number, a SIM's or a device's identity.
        """
        if _RAW_LOOKING.fullmatch(_NOISE.sub("", value)):
            raise DataFault(
                f"{name} holds values that look like raw identifiers, not pseudonyms ({shape(value)}); nothing was "
                "loaded. Expected are 32 to 64 hexadecimal characters. If the operator's pseudonyms look like this, "
                "say so with identifiers.pattern, such as '[0-9]{1,6}'"
            )
        text = value.lower()
        return text if _PSEUDONYM.fullmatch(text) else None


def key_id(name: str, key: bytes) -> str:
    """Record the key behind a load: its name and a fingerprint that reveals changes."""
    return f"{name}:{hmac.digest(key, b'fingerprint', hashlib.sha256).hex()[:12]}"


def tac(raw_imei: pa.ChunkedArray, filler: str = "") -> pa.ChunkedArray:
    """Return the device model of each raw IMEI, null where it has none.

    The model is the first eight digits of the IMEI's normal form, as text.
    """
    plain = pc.replace_substring_regex(raw_imei, r"[\s().\-]", "")
    if filler:
        plain = pc.utf8_rtrim(plain, filler.upper() + filler.lower())
    usual = pc.match_substring_regex(plain, r"^(?:[0-9]{15,16}|[02-9][0-9]{13})$")
    models = pc.if_else(pc.and_not(usual, pc.match_substring_regex(plain, "^0+$")), plain, None)
    # Few are written so that more than their length has to be checked.
    odd = pc.fill_null(pc.match_substring_regex(plain, "^1[0-9]{13}$"), False)
    if pc.any(odd).as_py():
        read = {text: normalise_imei(text) for text in plain.filter(odd).unique().to_pylist()}
        found = [read.get(text) for text in plain.to_pylist()]
        models = pc.coalesce(models, pa.chunked_array([pa.array(found, models.type)]))
    return pc.utf8_slice_codeunits(models, 0, 8)


def leading_bits(texts: Sequence[str]) -> np.ndarray:
    """Return hexadecimal texts' first 64 bits as integers, which sort as the texts do."""
    digits = "".join([text[:16] for text in texts])
    return np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
