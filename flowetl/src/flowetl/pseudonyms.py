"""Turn raw identifiers into pseudonyms in memory before anything is written.

HMAC-SHA-256 with the deployment's secret: the number space is small enough to enumerate, so an unkeyed hash
would hide nothing. Numbers of both parties share one label so that links survive; SIMs and devices have their
own labels.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowdb.keys import subscriber_keys
from flowetl.digests import Digests
from flowetl.errors import DataFault
from flowetl.hashing import KeyedHash
from flowetl.identifiers import (
    LONGEST_IDENTIFIER,
    LONGEST_NUMBER,
    NO_NUMBER,
    SHORTEST_NUMBER,
    Form,
    Numbering,
    has_lost_zero,
    normalise_imei,
    normalise_imsi,
    normalise_number,
    shape,
)
from flowetl.known import Known, New, Pseudonyms
from flowetl.plainnumbers import PlainNumbers
from flowsettings.lookup import Unusable
from flowsettings.strength import check_random

LABELS: Final = {"msisdn": "msisdn", "msisdn_counterpart": "msisdn", "imsi": "imsi", "imei": "imei"}
MINIMUM_KEY_BYTES: Final = 32
REMEMBERED_BYTES: Final = 384 << 20
"""Memory of the identifiers that are kept from one day to the next; beyond it those are forgotten that did not occur
for the longest time. The identifiers of a day are in memory until the day is loaded."""
_KEPT_SHARE: Final = 0.75
"""Share of that memory that is kept when something is forgotten, so that this is not done for every day."""

_NOISE = re.compile(r"[\s().\-]")
_PSEUDONYM = re.compile(r"[0-9a-f]{32,64}")
_RAW_LOOKING = re.compile(r"\+?[0-9]{5,17}")


def parse_key(secret: object) -> bytes:
    """Return the key of a secret: its hexadecimal bytes, or its text as UTF-8.

    Raises
    ------
    Unusable
        When it has fewer than 256 bits, or does not look random.
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
    return check_random(key)


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

    def spelling(self, name: str) -> Spelling:
        """Return how values of the column ``name`` are written."""
        return self.counterpart if name == "msisdn_counterpart" else self.subscriber

    def normal(self, name: str, value: str) -> str | None:
        """Normalise a value of the column ``name``.

        Returns ``NO_NUMBER``, or None if the value is unreadable.
        """
        spelling = self.spelling(name)
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

    def deciding_digits(self, name: str) -> int | None:
        """Return how many first digits, with their number, decide how digits are read.

        None if no number of them does.
        """
        if name in ("imsi", "imei"):
            return 1
        if self.spelling(name).form == "text":
            return None
        # Behind calling code or trunk prefix one more digit counts: a second zero is a fault.
        return max(len(self.numbering.calling_code), len(self.numbering.trunk)) + 1

    def all_digits_decide(self, name: str, digits: str) -> bool:
        """Return whether all digits of such a number decide how it is read."""
        return name == "imei" and has_lost_zero(digits)

    def expected(self, name: str) -> str:
        """Describe in words what a value of the column must look like."""
        spelling = self.spelling(name)
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
        self._keyed = KeyedHash(key)
        self.reading = reading
        self._known: dict[str, dict[Spelling, Known]] = {label: {} for label in LABELS.values()}
        self._normal = {name: _reader(reading, name) for name in LABELS}

    def begin_day(self, threads: int) -> None:
        """Make room for the identifiers of a day, which ``threads`` may hash."""
        self._keyed.use_threads(threads)
        total = sum(known.nbytes for spelled in self._known.values() for known in spelled.values())
        share = REMEMBERED_BYTES * _KEPT_SHARE / total if total > REMEMBERED_BYTES else None
        for spelled in self._known.values():
            for spelling, known in spelled.items():
                known.begin_day()
                if share is not None:
                    spelled[spelling] = known.younger(int(len(known) * share))

    def column(self, name: str, raw: pa.ChunkedArray) -> Pseudonyms:
        """Return one identifier column's pseudonyms.

        ``name`` is the target column and chooses the label.
        """
        # A subscriber's text may mean another person where counterparts are written differently.
        known = self._known[LABELS[name]].setdefault(self.reading.spelling(name), Known())
        return Pseudonyms(known, known.places(raw.combine_chunks(), partial(self._make, name)))

    def _make(self, name: str, values: pa.Array) -> New:
        """Return the pseudonyms of distinct values, and their keys."""
        label = LABELS[name]
        normals = self._normal[name](values)
        nobody = pc.fill_null(pc.equal(normals, NO_NUMBER), False)
        exists = pc.and_not(pc.is_valid(normals), nobody)
        # Only subscribers' keys are stored. For others, the hash itself has enough bits.
        hashed = self._keyed.block(label, normals.filter(exists), with_keys=label == "msisdn")
        return New(_mask(exists), _mask(nobody), hashed.digests, hashed.keys)

    def line_hash(self, content: str) -> str:
        """Return a keyed hash of a refused line.

        Equal lines can be recognised, and no line can be recovered.
        """
        return self._keyed.of("line", [content.encode()]).hex()


def _mask(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False)


def _reader(reading: Reading, name: str) -> Callable[[pa.Array], pa.Array]:
    """Return what brings values of a column to their normal form."""
    read = partial(reading.normal, name)
    leading = reading.deciding_digits(name)
    if leading is None:
        return lambda values: pa.array(list(map(read, values.to_pylist())), values.type)
    return PlainNumbers(read, leading, partial(reading.all_digits_decide, name)).normals


class UpstreamPseudonyms(Pseudonymiser):
    """Pass the operator's pseudonyms on and refuse values that still look raw."""

    def _make(self, name: str, values: pa.Array) -> New:
        pseudonyms = [self._checked(name, value) for value in values.to_pylist()]
        texts = [text for text in pseudonyms if text]
        exists = np.array(list(map(bool, pseudonyms)), bool)
        keys = subscriber_keys(pa.array(texts, pa.string())).to_numpy()
        return New(exists, np.zeros(len(exists), bool), Digests.of_texts(texts), keys)

    def _checked(self, name: str, value: str) -> str | None:
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
