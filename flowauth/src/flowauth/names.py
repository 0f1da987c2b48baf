"""Check the names of users, roles, tokens and servers."""

from __future__ import annotations

import re

from flask_babel import gettext

from flowauth.errors import Refusal

LONGEST = 75
_WORD = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_AUDIENCE = re.compile(r"[^\s/\\?#%<>\"'\x00-\x1f\x7f\ud800-\udfff]+")
#: A server's page has the server's name in its address; these names are taken or mean another folder.
_NOT_AUDIENCES = frozenset({".", "..", "new", "preview", "register"})

#: Audience of ``/api/v1`` sessions. A server with this name could mint tokens that open this app.
OWN_AUDIENCE = "urn:flowauth:api"


def check_name(value: object, field: str) -> str:
    """Return a valid name, or refuse and name the field.

    A name is 1 to 75 letters, digits and underscores.
    """
    if not isinstance(value, str) or not _WORD.fullmatch(value) or len(value) > LONGEST:
        raise Refusal(
            gettext("A name has 1 to %(longest)s letters, digits and underscores.", longest=LONGEST),
            field=field,
        )
    return value


def check_audience(value: object, field: str = "name") -> str:
    """Return a valid server name.

    Existing servers use other characters in their names, so only characters that break addresses are refused.
    """
    if not isinstance(value, str) or not _AUDIENCE.fullmatch(value) or len(value) > LONGEST:
        raise Refusal(
            gettext(
                "A server's name must be 1 to %(longest)s characters without spaces, slashes or quotes.",
                longest=LONGEST,
            ),
            field=field,
        )
    if value in _NOT_AUDIENCES:
        raise Refusal(
            gettext(
                "A server's name may not be %(not_audiences)s.",
                not_audiences=" or ".join(sorted(_NOT_AUDIENCES)),
            ),
            field=field,
        )
    if value == OWN_AUDIENCE:
        raise Refusal(gettext("%(audience)s is this app's own audience.", audience=OWN_AUDIENCE), field=field)
    return value
