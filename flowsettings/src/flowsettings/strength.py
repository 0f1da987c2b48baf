"""Refuse secrets that could be guessed: short, repeated, counted up.

People choose passwords, which the auth app judges by a dictionary. Secrets here are made by machines: of random
bytes nearly every group of three occurs once, so a secret with repeats was made some other way. The rule finds
carelessness and placeholders; it cannot find a secret that somebody else knows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import PlainValidator

from flowsettings.lookup import Unusable

#: Characters of a secret text. Sixteen random hexadecimal digits take 2^64 tries.
SHORTEST_TEXT = 16

#: Share of groups of three bytes that may have occurred before: 3 % are expected in 64 hexadecimal digits.
_MOST_REPEATED = 0.35

#: A random secret has other steps from byte to byte nearly everywhere.
_FEWEST_STEPS = 0.3

_CURE = "made at random, as `openssl rand -hex 32` does"


def check_random(material: bytes) -> bytes:
    """Return the bytes of a secret; raises Unusable if they do not look random."""
    groups = [material[at : at + 3] for at in range(len(material) - 2)]
    steps = [(later - earlier) % 256 for earlier, later in pairwise(material)]
    if len(set(groups)) < (1 - _MOST_REPEATED) * len(groups):
        raise Unusable(f"{_CURE}, and repeats itself")
    if len(set(steps)) < min(_FEWEST_STEPS * len(steps), 10):
        raise Unusable(f"{_CURE}, and counts up or down")
    return material


def check_secret(value: object) -> str:
    """Return a secret text; raises Unusable if it is short or does not look random."""
    text = str(value)
    if len(text) < SHORTEST_TEXT:
        raise Unusable(f"{SHORTEST_TEXT} characters or more, and has {len(text)}")
    check_random(text.encode())
    return text


Secret = Annotated[str, PlainValidator(check_secret)]
