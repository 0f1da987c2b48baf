"""Make tokens for tests, signed like the auth app's, with any claim altered."""

from __future__ import annotations

import base64
import gzip
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LIFETIME_SECONDS = 300


def pack_roles(roles: Mapping[str, Sequence[str]]) -> str:
    """Pack a token's ``user_claims``: base64 in MIME style of gzip of JSON."""
    text = json.dumps({role: sorted(scopes) for role, scopes in roles.items()})
    return base64.encodebytes(gzip.compress(text.encode())).decode()


@dataclass(frozen=True)
class TokenBuilder:
    """Mint tokens for ``audience`` with ``private_key``."""

    private_key: RSAPrivateKey
    audience: str

    @classmethod
    def create(cls, audience: str) -> TokenBuilder:
        """Build a minter with a new key."""
        return cls(generate_private_key(public_exponent=65537, key_size=2048), audience)

    @property
    def public_key(self) -> str:
        """Return the PEM text that verifies these tokens."""
        public_key = self.private_key.public_key()
        return public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def token(
        self, roles: Mapping[str, Sequence[str]], *, lifetime: float = LIFETIME_SECONDS, **claims: Any
    ) -> str:
        """Return a token of the user ``test`` with these roles.

        ``lifetime`` is in seconds, negative for an expired token. ``claims`` replace claims of the token, or
        remove claims whose value is None.
        """
        now = int(time.time())
        payload = {
            "iat": now - 3600,
            "nbf": now - 3600,
            "exp": now + lifetime,
            "jti": str(uuid.uuid4()),
            "sub": "test",
            "aud": self.audience,
            "user_claims": pack_roles(roles),
            **claims,
        }
        present = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(present, self.private_key, algorithm="RS256")

    def header(
        self, roles: Mapping[str, Sequence[str]], *, lifetime: float = LIFETIME_SECONDS, **claims: Any
    ) -> dict[str, str]:
        """Return the ``Authorization`` header with such a token."""
        return {"Authorization": f"Bearer {self.token(roles, lifetime=lifetime, **claims)}"}
