"""Normalise raw identifiers: one form for all spellings, or none.

Two spellings of one number have one normal form. A text that the country's rules cannot read is refused,
because each wrongly accepted spelling splits a person in two.
"""

import re
from typing import Final, Literal, NamedTuple

NO_NUMBER: Final = ""
"""The normal form of a text that says that there is no number, or names a service: nobody, rather than somebody unread."""

Form = Literal["number", "e164", "national", "imsi", "text"]
"""How a source writes its subscribers; ``number`` is national or international, as the country's rules tell."""

SHORTEST_NUMBER: Final = 7
LONGEST_NUMBER: Final = 15
"""Digits of a number in international form; what is shorter is the code of a service."""
LONGEST_IDENTIFIER: Final = 200
"""Characters of an identifier that a source declares as text."""

_LONGEST_NATIONAL = 10
_URI = re.compile(r"(?:tel|sips?):([^@;?:]*)[@;?:]?.*", re.IGNORECASE | re.DOTALL)
_WRITTEN = re.compile(r"\+?[ ]*[0-9(][0-9 ()./\-]*[0-9]")
_SEPARATORS = re.compile(r"[ ()./\-]+")
_IMSI = re.compile(r"[0-9]{13,15}")
_IMEI = re.compile(r"[0-9]{14,16}")


class Numbering(NamedTuple):
    """Describe how a country writes its telephone numbers.

    ``trunk_prefix`` is dialled before a number inside the country and is no part of the number; None means a
    single zero, where recognisable. ``national_lengths`` are the digits of numbers without trunk prefix and
    calling code. Where they are known, the length decides what a number is, and its first digits do not.
    """

    calling_code: str = ""
    trunk_prefix: str | None = None
    national_lengths: tuple[int, ...] = ()

    @property
    def trunk(self) -> str:
        return "0" if self.trunk_prefix is None else self.trunk_prefix

    def international(self, digits: str, form: Form = "number") -> str | None:
        """Return the international form of digits without prefix, or None."""
        code, trunk, lengths = self.calling_code, self.trunk, self.national_lengths
        if not code or form == "e164":
            return digits
        if lengths:
            if trunk and digits.startswith(trunk) and len(digits) - len(trunk) in lengths:
                return code + digits.removeprefix(trunk)
            if len(digits) in lengths:
                return code + digits
            # The number is shorter than any number of the country, so something is missing.
            return None if form == "national" or len(digits) <= max(lengths) else digits
        if trunk and digits.startswith(trunk):
            return code + digits.removeprefix(trunk)
        if form == "national" or (len(digits) <= _LONGEST_NATIONAL and not digits.startswith(code)):
            return code + digits
        return digits

    def allows(self, number: str) -> bool:
        """Return whether digits in international form can be a number.

        International lengths and the own country's rules apply.
        """
        if not SHORTEST_NUMBER <= len(number) <= LONGEST_NUMBER:
            return False
        if not self.calling_code:
            return True
        if number.startswith("0"):
            return False
        if not number.startswith(self.calling_code) or not self.national_lengths:
            return True
        national = number.removeprefix(self.calling_code)
        doubled = self.trunk_prefix == "0" and national.startswith("0")
        return len(national) in self.national_lengths and not doubled


def normalise_number(raw: str, numbering: Numbering, form: Form = "number") -> str | None:
    """Return a telephone number's international digits; None if unreadable.

    ``NO_NUMBER`` means that the text states the absence of a number (withheld, unknown, zeros), dials a
    service, or is a service's short code.
    """
    text = raw.strip()
    international = False
    if not (text.isascii() and text.isdigit()):
        uri = _URI.fullmatch(text)
        digits = _digits(uri[1] if uri else text, numbering)
        if digits is None or digits == NO_NUMBER:
            return NO_NUMBER if uri else digits
        international = digits.startswith("+")
        text = digits.removeprefix("+")
    if not text.strip("0"):
        return NO_NUMBER
    if not international and text.startswith("00"):
        international, text = True, text[2:]
    if len(text) < SHORTEST_NUMBER:
        return NO_NUMBER
    number = text if international else numbering.international(text, form)
    return number if number is not None and numbering.allows(number) else None


def _digits(text: str, numbering: Numbering) -> str | None:
    """Return a number's digits without separators; None where ambiguous.

    A leading plus is kept.
    """
    text = text.strip().replace("\N{NO-BREAK SPACE}", " ")
    if "*" in text or "#" in text or not any(map(str.isdigit, text)):
        return NO_NUMBER
    if not text.isascii() or not _WRITTEN.fullmatch(text):
        return None
    if "(" in text or ")" in text:
        trunk = re.escape(numbering.trunk)
        if numbering.calling_code and trunk:
            # A trunk prefix in brackets is dialled only inside the country.
            own = rf"(\+ *|00)?({numbering.calling_code}) *\({trunk}\)"
            text = re.sub(f"^{own}", r"\1\2 ", text)
        # Elsewhere a zero in brackets is ambiguous, and unpaired brackets mean nothing.
        if re.search(r"[0-9] *\(0\)", text) or re.search(r"[()]", re.sub(r"\([0-9 ]+\)", "", text)):
            return None
    # A single point may come from a program that wrote a fraction: 9841000001.0 is not 98410000010.
    groups = _SEPARATORS.split(text.removeprefix("+").strip())
    if text.count(".") == 1 or (len(groups) > 1 and len(groups[-1]) == 1):
        return None
    return ("+" if text.startswith("+") else "") + "".join(groups)


def normalise_imsi(raw: str) -> str | None:
    """Normalise a SIM's identity: 13 to 15 digits, not all zero."""
    text = raw.strip()
    return text if _IMSI.fullmatch(text) and text.strip("0") else None


def normalise_imei(raw: str) -> str | None:
    """Normalise a device's identity to 14 digits, not all zero.

    The check digit or software version is removed. A spreadsheet removes a leading zero, which leaves 14
    digits that begin with a one, as no device's identity does. Such digits are read only if their check digit
    matches.
    """
    text = re.sub(r"[\s().\-]", "", raw)
    if not _IMEI.fullmatch(text) or not text.strip("0"):
        return None
    if has_lost_zero(text):
        return "0" + text[:13] if _checks("0" + text) else None
    return text[:14]


def has_lost_zero(imei: str) -> bool:
    """Return whether digits may be those of a device without their leading zero."""
    return len(imei) == 14 and imei.startswith("1")


def _checks(imei: str) -> bool:
    """Return whether the last digit of an IMEI is its check digit."""
    total = 0
    for place, digit in enumerate(map(int, reversed(imei))):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def shape(text: str) -> str:
    """Describe a text's form without its content: ``10 digits, '.', 1 digit``."""
    parts = []
    for match in re.finditer(r"([0-9]+)|([^\W\d_]+)|(\s+)|(.)", text[:LONGEST_IDENTIFIER], re.DOTALL):
        length = len(match[0])
        if match[1]:
            parts.append(f"{length} digit{'s' * (length > 1)}")
        elif match[2]:
            parts.append(f"{length} letter{'s' * (length > 1)}")
        else:
            parts.append("a blank" if match[3] else repr(match[0]))
    return ", ".join(parts[:8]) + (", ..." if len(parts) > 8 else "")
