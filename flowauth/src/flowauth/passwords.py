"""Hash passwords with argon2id and check the strength of new passwords."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from flowauth.errors import Refusal
from flowauth.settings import PasswordHashing

SHORTEST, LONGEST = 10, 256
NEEDED_STRENGTH = 4
#: The estimator refuses longer input. A password that is strong in its first 72 characters is strong.
_ESTIMATED = 72


class Passwords:
    """Hash and verify with one set of costs.

    Parameters
    ----------
    hashing
        Costs of one hash; hashes made with other costs are renewed at the next sign-in.
    """

    def __init__(self, hashing: PasswordHashing) -> None:
        self._hasher = PasswordHasher(hashing.time_cost, hashing.memory_cost, hashing.parallelism)
        self._dummy = self._hasher.hash(secrets.token_urlsafe())

    def hash(self, password: str) -> str:
        return self._hasher.hash(password)

    def matches(self, stored: str | None, password: str) -> bool:
        """Return whether the password is the stored one.

        An unknown user (`stored` None) costs the same time.
        """
        try:
            self._hasher.verify(self._dummy if stored is None else stored, password[:LONGEST])
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def is_outdated(self, stored: str) -> bool:
        return self._hasher.check_needs_rehash(stored)


def check_strength(password: object, field: str, words: Iterable[str] = ()) -> str:
    """Return the password if it is strong enough.

    Parameters
    ----------
    words
        Words an attacker would try first: the user's name, names of servers.

    Raises
    ------
    Refusal
        With the estimator's advice; never with the password.
    """
    if not isinstance(password, str) or not SHORTEST <= len(password) <= LONGEST:
        raise Refusal(f"A password needs {SHORTEST} to {LONGEST} characters.", field=field)
    guessable = [part for word in words for part in (word, *re.split(r"[_\W]+", word)) if part]
    estimate = zxcvbn(password[:_ESTIMATED], user_inputs=["flowauth", "flowkit", *guessable])
    if estimate["score"] < NEEDED_STRENGTH:
        advice = " ".join(
            text if text.endswith(".") else text + "."
            for text in (estimate["feedback"]["warning"], *estimate["feedback"]["suggestions"])
            if text
        )
        raise Refusal(f"This password is too easy to guess. {advice or 'Make it longer.'}", field=field)
    return password
