"""The names of users, roles, tokens and servers."""

from __future__ import annotations

import re

from flowauth.errors import Refusal

LONGEST = 75
_WORD = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_AUDIENCE = re.compile(r"[^\s/\\?#%<>\"'\x00-\x1f\x7f\ud800-\udfff]+")
#: A server's page has its name as address: these are taken, or mean another folder.
_NOT_AUDIENCES = frozenset({".", "..", "new", "preview", "register"})

#: Audience of the scripted sessions of ``/api/v1``. No server may take it, or its tokens would open this app.
OWN_AUDIENCE = "urn:flowauth:api"


def check_name(value: object, field: str) -> str:
    """A name of 1 to 75 letters, digits and underscores, or a `Refusal` that names the field."""
    if not isinstance(value, str) or not _WORD.fullmatch(value) or len(value) > LONGEST:
        raise Refusal(f"{field} must be 1 to {LONGEST} letters, digits and underscores.", field=field)
    return value


def check_audience(value: object, field: str = "name") -> str:
    """A server's name. Servers in the field carry other marks in theirs, so only what breaks addresses is refused."""
    if not isinstance(value, str) or not _AUDIENCE.fullmatch(value) or len(value) > LONGEST:
        raise Refusal(
            f"A server's name must be 1 to {LONGEST} characters without spaces, slashes or quotes.",
            field=field,
        )
    if value in _NOT_AUDIENCES:
        raise Refusal(f"A server's name may not be {' or '.join(sorted(_NOT_AUDIENCES))}.", field=field)
    if value == OWN_AUDIENCE:
        raise Refusal(f"{OWN_AUDIENCE} is this app's own audience.", field=field)
    return value
