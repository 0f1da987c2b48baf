"""Read a token's claims.

The server checks the signature; the client only needs the claims.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import jwt

from flowclient.errors import FlowclientConnectionError

#: Unpacked role maps beyond this are not worth showing.
_LARGEST_ROLE_MAP = 4 * 1024 * 1024


@dataclass(frozen=True)
class TokenClaims:
    """Hold a token's user, expiry and the scopes of each role."""

    user: str
    expires: datetime | None
    permissions: dict[str, list[str]]


def read_token(token: str) -> TokenClaims:
    """Decode a token without checking its signature.

    Raises
    ------
    FlowclientConnectionError
        If it is not a JSON Web Token or names no user. The text holds nothing of the token.
    """
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        # The cause is dropped on purpose: it may quote the token.
        raise FlowclientConnectionError(
            "Unable to decode token: it is not a JSON Web Token. Was all of it copied?"
        ) from None
    if not claims.get("sub"):
        raise FlowclientConnectionError("Token does not contain user identity.")
    return TokenClaims(
        user=str(claims["sub"]),
        expires=_instant(claims.get("exp")),
        permissions=_role_map(claims.get("user_claims")),
    )


def _instant(seconds: Any) -> datetime | None:
    if not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, tz=timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


def _role_map(claim: Any) -> dict[str, list[str]]:
    """Unpack base64 of gzip of JSON.

    Anything unreadable counts as no roles, because the server decides anyway.
    """
    if isinstance(claim, str):
        try:
            packed = base64.b64decode(claim)
            text = gzip.GzipFile(fileobj=io.BytesIO(packed)).read(_LARGEST_ROLE_MAP)
            claim = json.loads(text)
        except (ValueError, OSError, EOFError):
            return {}
    if not isinstance(claim, dict):
        return {}
    return {
        str(role): [str(scope) for scope in scopes]
        for role, scopes in claim.items()
        if isinstance(scopes, list)
    }
