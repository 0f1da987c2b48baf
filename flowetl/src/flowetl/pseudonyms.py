"""Raw identifiers become pseudonyms here, in memory, before anything is written anywhere.

HMAC-SHA-256 with a secret of the deployment: the number space is small enough to enumerate, so an unkeyed hash would
hide nothing. Numbers of both parties share one label so that links survive; SIMs and devices have their own.
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
from flowetl.errors import ConfigurationError, DataFault

LABELS: Final = {"msisdn": "msisdn", "msisdn_counterpart": "msisdn", "imsi": "imsi", "imei": "imei"}
MINIMUM_KEY_BYTES: Final = 32
REMEMBERED: Final = 350_000
"""Identifiers of one kind kept from one block or day to the next: enough to pay, little enough to hold."""

_NOISE = re.compile(r"[\s().\-]")
_PSEUDONYM = re.compile(r"[0-9a-f]{32,64}")
_RAW_LOOKING = re.compile(r"\+?[0-9]{5,17}")
_SHORT_CODE_DIGITS = 6
_LONGEST_NATIONAL = 10
_NUMBER_DIGITS = 18
"""So many decimal digits fit into 64 bits."""


def parse_key(secret: str) -> bytes:
    """The key behind a secret: its hexadecimal bytes, or its text as UTF-8.

    Raises
    ------
    ConfigurationError
        When it has fewer than 256 bits.
    """
    try:
        key = bytes.fromhex(secret)
    except ValueError:
        key = secret.encode()
    if len(key) < MINIMUM_KEY_BYTES:
        raise ConfigurationError(
            f"FLOWETL_PSEUDONYM_KEY has {len(key) * 8} bits; at least {MINIMUM_KEY_BYTES * 8} are needed: "
            "64 hexadecimal characters, or 32 characters of text"
        )
    return key


class Numbering(NamedTuple):
    """How a country writes its telephone numbers.

    ``trunk_prefix`` stands before a number that is dialled inside the country and is no part of it; None = a single
    zero, as far as that can be told. ``national_lengths`` are the digits of numbers without it and without the calling
    code. Where they are known the length decides what a number is, and not how it begins.
    """

    calling_code: str = ""
    trunk_prefix: str | None = None
    national_lengths: tuple[int, ...] = ()

    def international(self, digits: str) -> str:
        """The international form of a number that does not say that it is in it."""
        code, lengths = self.calling_code, self.national_lengths
        if not code:
            return digits
        trunk = "0" if self.trunk_prefix is None else self.trunk_prefix
        if lengths:
            if trunk and digits.startswith(trunk) and len(digits) - len(trunk) in lengths:
                return code + digits.removeprefix(trunk)
            return code + digits if len(digits) in lengths else digits
        if trunk and digits.startswith(trunk):
            return code + digits.removeprefix(trunk)
        if len(digits) <= _LONGEST_NATIONAL and not digits.startswith(code):
            return code + digits
        return digits


def normalise_number(raw: str, numbering: Numbering) -> str | None:
    """A telephone number in international form, digits only; None if it cannot be one.

    Short codes and alphanumeric senders stay in classes of their own, so that none can meet a subscriber's number.
    """
    text = raw if raw.isalnum() else _NOISE.sub("", raw)
    digits = text.removeprefix("+")
    if not digits.isascii() or not digits.isalnum():
        return None
    if not digits.isdigit():
        return f"name:{digits.lower()}"
    if text.startswith("+"):
        return digits
    if digits.startswith("00"):
        return digits[2:] or None
    if len(digits) <= _SHORT_CODE_DIGITS:
        return f"short:{digits}"
    return numbering.international(digits)


def normalise_imsi(raw: str) -> str | None:
    """A SIM's identity: 14 or 15 digits."""
    text = raw.strip()
    return text if re.fullmatch(r"[0-9]{14,15}", text) else None


def normalise_imei(raw: str) -> str | None:
    """A device's identity without its check digit or software version: 14 digits."""
    text = _NOISE.sub("", raw)
    return text[:14] if re.fullmatch(r"[0-9]{14,16}", text) else None


class Known:
    """The raw values of one label that were seen, each with its place, and what stands at each place.

    At place 0 stands nothing: for rows without a value, and for values that are no identifiers.
    """

    def __init__(self) -> None:
        self.keys = np.zeros(1, np.int64)
        self.leading_bits = np.zeros(1, np.uint64)
        self._texts = [pa.nulls(1, pa.large_string())]
        # Nearly every raw value is a number. Sorted and searched all at once, numbers cost a quarter of a look-up of
        # each in a dictionary, and a tenth of its memory.
        self._numbers = np.array([np.iinfo(np.int64).max])
        self._number_places = np.zeros(1, np.int64)
        self._other_places: dict[str | None, int] = {None: 0}

    def __len__(self) -> int:
        """The number of places."""
        return len(self.keys)

    @property
    def full(self) -> bool:
        """Whether it is time to forget."""
        return len(self._numbers) + len(self._other_places) > REMEMBERED

    def texts(self) -> pa.Array:
        """The pseudonym at each place."""
        self._texts = [pa.concat_arrays(self._texts)]
        return self._texts[0]

    def places(self, values: pa.Array, pseudonym_of: Callable[[str], str | None]) -> np.ndarray:
        """The place of each value; those not seen before get one."""
        places = self._find(values)
        unseen = places < 0
        if unseen.any():
            rest = values.filter(pa.array(unseen))
            self._add(rest.unique(), pseudonym_of)
            places[unseen] = self._find(rest)
        return places

    def _find(self, values: pa.Array) -> np.ndarray:
        """The place of each value; -1 for those not seen before."""
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
        exists = np.array([pseudonym is not None for pseudonym in pseudonyms])
        places = np.where(exists, len(self) - 1 + np.cumsum(exists), 0)

        texts = [pseudonym for pseudonym in pseudonyms if pseudonym is not None]
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
    """Each text as the number whose usual form it is; -1 for any other text, and for a null."""
    usual = pc.and_(
        pc.and_(pc.ascii_is_decimal(values), pc.less_equal(pc.binary_length(values), _NUMBER_DIGITS)),
        pc.invert(pc.starts_with(values, "0")),
    )
    return pc.fill_null(pc.if_else(usual, values, None).cast(pa.int64()), -1).to_numpy()


class Pseudonyms(NamedTuple):
    """One identifier column: what is known of its label, and the place there of each row."""

    known: Known
    places: np.ndarray

    def row_keys(self) -> pa.Array:
        """The 64-bit key of each row; null without an identifier."""
        return pa.array(self.known.keys[self.places], mask=self.places == 0)

    def row_leading_bits(self) -> pa.Array:
        """For each row an unsigned integer; these sort as the pseudonyms do. 0 without an identifier."""
        return pa.array(self.known.leading_bits[self.places])


class Texts:
    """The text behind each key of one label, kept once for all the rows that hold the key.

    ``ambiguous`` tells whether two texts had one key.
    """

    def __init__(self) -> None:
        self.ambiguous = False
        self._keys = np.empty(0, np.int64)
        self._texts = pa.array([], pa.large_string())
        self._known = Known()
        self._used = np.zeros(1, bool)
        self._fresh: list[pa.Table] = []

    def add(self, found: Pseudonyms) -> None:
        """Keep the pseudonyms of one column, of which any may be kept already."""
        if found.known is not self._known:
            self._take_used()
            self._known = found.known
            # What is known anew may be less than what was forgotten.
            self._used = np.zeros(1, bool)
        self._used = np.pad(self._used, (0, len(found.known) - len(self._used)))
        self._used[found.places] = True

    def sorted(self) -> tuple[np.ndarray, pa.Array]:
        """Every key, in order, and the text of each."""
        self._take_used()
        self._sort()
        return self._keys, self._texts

    def of(self, keys: pa.Array) -> pa.Array:
        """The text behind each of these keys, all of which must be known; null for a null."""
        known, texts = self.sorted()
        places = pa.array(np.searchsorted(known, pc.fill_null(keys, 0).to_numpy(zero_copy_only=False)))
        return texts.take(pc.if_else(pc.is_valid(keys), places, None))

    def _take_used(self) -> None:
        """Copy what the rows used of the known, which may be forgotten after."""
        self._used[0] = False
        used = np.flatnonzero(self._used)
        if not len(used):
            return
        texts = self._known.texts().take(pa.array(used))
        self._fresh.append(pa.table({"key": self._known.keys[used], "text": texts}))
        self._used[:] = False
        # Sorting again only when as many are waiting as are sorted keeps the sum of all sorting small.
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


class Pseudonymiser:
    """Turns whole columns of raw identifiers into pseudonyms of 64 lower-case hexadecimal characters.

    Each distinct value is hashed once while it is remembered. Memory is the only place where raw values are kept,
    and not for longer than the process.
    """

    def __init__(self, key: bytes, numbering: Numbering) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")
        self._numbering = numbering
        self._known = {label: Known() for label in LABELS.values()}

    def column(self, name: str, raw: pa.ChunkedArray) -> Pseudonyms:
        """The pseudonyms of one identifier column; ``name`` is the target column and chooses the label."""
        label = LABELS[name]
        if self._known[label].full:
            self._known[label] = Known()
        known = self._known[label]
        return Pseudonyms(known, known.places(raw.combine_chunks(), partial(self._pseudonym, name)))

    def _pseudonym(self, name: str, value: str) -> str | None:
        label = LABELS[name]
        if label == "msisdn":
            normal = normalise_number(value, self._numbering)
        else:
            normal = normalise_imsi(value) if label == "imsi" else normalise_imei(value)
        return None if normal is None else self._hash(label, normal)

    def _hash(self, label: str, normal: str) -> str:
        keyed = self._keyed.copy()
        keyed.update(f"{label}:{normal}".encode())
        return keyed.hexdigest()

    def line_hash(self, content: str) -> str:
        """A keyed hash of a refused line: two equal lines can be told, no line can be recovered."""
        return self._hash("line", content)


class UpstreamPseudonyms(Pseudonymiser):
    """For sources whose operator delivers pseudonyms: passes them on, and refuses what still looks raw."""

    def _pseudonym(self, name: str, value: str) -> str | None:
        """As given, in lower case; None where it is not 32 to 64 hexadecimal characters.

        Raises
        ------
        DataFault
            When it is all digits and as short as a telephone number, a SIM's or a device's identity.
        """
        if _RAW_LOOKING.fullmatch(_NOISE.sub("", value)):
            raise DataFault(
                f"{name} holds values that look like raw identifiers, not pseudonyms; nothing was loaded"
            )
        text = value.lower()
        return text if _PSEUDONYM.fullmatch(text) else None


def key_id(name: str, key: bytes) -> str:
    """What records the key behind a load: its configured name and a fingerprint that gives a changed key away."""
    return f"{name}:{hmac.digest(key, b'fingerprint', hashlib.sha256).hex()[:12]}"


def tac(raw_imei: pa.ChunkedArray) -> pa.ChunkedArray:
    """The device model of each raw IMEI: its first eight digits, as text; null where there are not 14 to 16 digits."""
    plain = pc.replace_substring_regex(raw_imei, r"[\s().\-]", "")
    return pc.if_else(
        pc.match_substring_regex(plain, r"^[0-9]{14,16}$"), pc.utf8_slice_codeunits(plain, 0, 8), None
    )


def leading_bits(texts: Sequence[str]) -> np.ndarray:
    """The first 64 bits of hexadecimal texts as unsigned integers, which sort as the texts do."""
    digits = "".join([text[:16] for text in texts])
    return np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
