"""Check which secrets are refused."""

from __future__ import annotations

import random

import pytest

from flowsettings.lookup import Unusable
from flowsettings.strength import SHORTEST_TEXT, check_random, check_secret


@pytest.mark.parametrize(
    "text",
    [
        "0" * 64,
        "5a" * 32,
        "0123456789abcdef" * 4,
        "passwordpassword",
        "changeme-changeme-changeme",
        "abcdefghijklmnopqrstuvwxyz",
        "zyxwvutsrqponmlkjihgfedcba",
        "1234567890123456",
    ],
)
def test_a_secret_that_repeats_or_counts_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match="at random"):
        check_secret(text)


@pytest.mark.parametrize("key", [bytes(32), bytes(range(32)), b"secret" * 6, bytes(range(0, 256, 8))])
def test_a_key_that_repeats_or_counts_is_refused(key: bytes) -> None:
    with pytest.raises(Unusable, match="at random"):
        check_random(key)


def test_a_short_secret_is_refused_with_its_length() -> None:
    with pytest.raises(Unusable, match="16 characters or more, and has 15"):
        check_secret("k7Gh2mQ9xLr4TzB")
    assert check_secret("k7Gh2mQ9xLr4TzBw") == "k7Gh2mQ9xLr4TzBw"


def test_what_is_made_at_random_is_accepted() -> None:
    generator = random.Random(20160101)
    for _ in range(5_000):
        key = generator.randbytes(32)
        assert check_random(key) == key
        for text in (key.hex(), key.hex()[:SHORTEST_TEXT]):
            assert check_secret(text) == text
