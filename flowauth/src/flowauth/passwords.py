"""Hash passwords with argon2id and check the strength of new passwords."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask_babel import gettext
from zxcvbn import zxcvbn

from flowauth.errors import Refusal
from flowauth.language import mark
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


#: What the estimator says; `check_strength` shows it in the reader's language.
_ADVICE = (
    mark("Use a few words, avoid common phrases."),
    mark("No need for symbols, digits, or uppercase letters."),
    mark("Add another word or two. Uncommon words are better."),
    mark("Straight rows of keys are easy to guess."),
    mark("Short keyboard patterns are easy to guess."),
    mark("Use a longer keyboard pattern with more turns."),
    mark('Repeats like "aaa" are easy to guess.'),
    mark('Repeats like "abcabcabc" are only slightly harder to guess than "abc".'),
    mark("Avoid repeated words and characters."),
    mark('Sequences like "abc" or "6543" are easy to guess.'),
    mark("Avoid sequences."),
    mark("Recent years are easy to guess."),
    mark("Avoid recent years."),
    mark("Avoid years that are associated with you."),
    mark("Dates are often easy to guess."),
    mark("Avoid dates and years that are associated with you."),
    mark("This is a top-10 common password."),
    mark("This is a top-100 common password."),
    mark("This is a very common password."),
    mark("This is similar to a commonly used password."),
    mark("A word by itself is easy to guess."),
    mark("Names and surnames by themselves are easy to guess."),
    mark("Common names and surnames are easy to guess."),
    mark("Capitalization doesn't help very much."),
    mark("All-uppercase is almost as easy to guess as all-lowercase."),
    mark("Reversed words aren't much harder to guess."),
    mark("Predictable substitutions like '@' instead of 'a' don't help very much."),
    mark("Make it longer."),
)


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
        raise Refusal(
            gettext(
                "A password needs %(shortest)s to %(longest)s characters.", shortest=SHORTEST, longest=LONGEST
            ),
            field=field,
        )
    guessable = [part for word in words for part in (word, *re.split(r"[_\W]+", word)) if part]
    estimate = zxcvbn(password[:_ESTIMATED], user_inputs=["flowauth", "flowkit", *guessable])
    if estimate["score"] < NEEDED_STRENGTH:
        advice = " ".join(
            gettext(one)
            for text in (estimate["feedback"]["warning"], *estimate["feedback"]["suggestions"])
            if (one := text.rstrip(".") + ".") != "."
        )
        raise Refusal(
            gettext("This password is too easy to guess.") + " " + (advice or gettext("Make it longer.")),
            field=field,
        )
    return password
