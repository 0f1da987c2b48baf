"""Read bearer tokens: signature, time, audience and roles."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from flowapi.scopes import lacking_scopes

LEEWAY_SECONDS = 30
LARGEST_CLAIMS = 4 * 1024 * 1024
_GZIP_WINDOW = 16 + zlib.MAX_WBITS

Roles = Mapping[str, frozenset[str]]


class TokenError(Exception):
    """Refuse a token; ``event`` is the name under which the refusal is logged."""

    event = "INVALID_TOKEN"

    def __init__(self, message: str, claims: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.claims = claims


class NoToken(TokenError):
    """Report that the request carried no token."""

    event = "UNAUTHORISED"


class ExpiredToken(TokenError):
    """Report an expired token; ``claims`` are its verified claims."""

    event = "EXPIRED_TOKEN"


class RevokedToken(TokenError):
    """Report a revoked token."""

    event = "REVOKED_TOKEN"


@dataclass(frozen=True)
class Caller:
    """Identify a caller; ``roles`` maps a role's name to its scopes."""

    name: str
    token_id: str
    roles: Roles = field(repr=False)

    def roles_holding(self, scopes: frozenset[str]) -> list[str]:
        """Return the names of roles that hold all of ``scopes``.

        Scopes of several roles are never added up.
        """
        return sorted(role for role, held in self.roles.items() if not lacking_scopes(held, scopes))

    def digest(self) -> str:
        """Return a short fingerprint of the whole role map, for the logs."""
        text = json.dumps({role: sorted(held) for role, held in sorted(self.roles.items())})
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def bearer_token(authorization: str | None) -> str:
    """Return the token in an ``Authorization`` header.

    Raises
    ------
    NoToken
        There is no header.
    TokenError
        The header is not ``Bearer <one word>``.
    """
    if not authorization:
        raise NoToken("Missing Authorization header.")
    words = authorization.split()
    if len(words) != 2 or words[0].lower() != "bearer":
        raise TokenError("The Authorization header must be 'Bearer <token>'.")
    return words[1]


def read_roles(user_claims: Any) -> Roles:
    """Return the roles of a token's ``user_claims``.

    ``user_claims`` is a JSON object, or base64 of gzip of its text. An absent claim (None) means no roles.
    """
    if user_claims is None:
        return {}
    if isinstance(user_claims, str):
        user_claims = _unpack(user_claims)
    if not isinstance(user_claims, dict):
        raise TokenError("The token's user_claims are not a map of roles.")
    roles = {}
    for role, scopes in user_claims.items():
        if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
            raise TokenError("The token's user_claims do not give each role a list of scopes.")
        roles[role] = frozenset(scopes)
    return roles


def _unpack(text: str) -> Any:
    try:
        packed = base64.b64decode("".join(text.split()), validate=True)
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        content = unpacker.decompress(packed, LARGEST_CLAIMS)
        # A few kilobytes of gzip can expand to gigabytes, so limit the unpacked size.
        if unpacker.unconsumed_tail:
            raise TokenError(f"The token's user_claims are larger than {LARGEST_CLAIMS} bytes.")
        if not unpacker.eof:
            raise TokenError("The token's user_claims are cut short.")
        return json.loads(content)
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        raise TokenError("The token's user_claims cannot be unpacked.") from None


@dataclass(frozen=True)
class TokenReader:
    """Verify tokens for one server.

    ``audience`` is the server's name; ``issuer`` is checked if given.
    """

    public_keys: tuple[RSAPublicKey, ...]
    audience: str
    issuer: str | None = None
    revoked: Container[str] = frozenset()

    def read(self, authorization: str | None) -> Caller:
        """Return the caller behind an ``Authorization`` header.

        Raises
        ------
        TokenError
            The token must not be accepted; one of its subclasses if there is none or it is expired.
        """
        claims = self._verify(bearer_token(authorization))
        if claims.get("type", "access") != "access":
            raise TokenError(f"A token of type {claims['type']!r} cannot be used here.")
        if not claims["sub"]:
            raise TokenError("The token names no user.")
        token_id = claims["jti"]
        if not token_id:
            raise TokenError("The token has no id (claim jti), so that it could not be revoked.")
        if token_id in self.revoked:
            raise RevokedToken("The token has been revoked.")
        return Caller(
            name=claims["sub"],
            token_id=token_id,
            roles=read_roles(claims.get("user_claims")),
        )

    def _verify(self, token: str) -> dict[str, Any]:
        signature_error: jwt.InvalidTokenError | None = None
        for key in self.public_keys:
            try:
                return self._decode(token, key)
            except jwt.InvalidSignatureError as error:
                signature_error = error
            except jwt.ExpiredSignatureError:
                raise ExpiredToken("The token has expired.", self._expired_claims(token, key)) from None
            except jwt.ImmatureSignatureError:
                raise TokenError(
                    "The token is not valid yet: the clocks of the auth app and of this server differ by more than "
                    f"{LEEWAY_SECONDS} seconds. Try again in a minute, and have the clocks set."
                ) from None
            except jwt.InvalidAudienceError:
                raise TokenError(f"The token is for another server; this one is {self.audience}.") from None
            except (jwt.InvalidTokenError, RecursionError) as error:
                raise TokenError(f"The token is not valid: {error}.") from None
        raise TokenError(f"The token is not valid: {signature_error}.")

    def _decode(self, token: str, key: RSAPublicKey) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=self.audience,
            issuer=self.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "aud", "sub", "jti"], "strict_aud": True},
        )

    @staticmethod
    def _expired_claims(token: str, key: RSAPublicKey) -> dict[str, Any]:
        """Return an expired token's verified claims, for the logs only."""
        unchecked = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
        return jwt.decode(token, key, algorithms=["RS256"], options=unchecked)  # type: ignore[arg-type]
