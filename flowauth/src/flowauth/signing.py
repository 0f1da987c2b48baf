"""Sign tokens for API servers and provide the public key."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask_jwt_extended import create_access_token
from jwt.algorithms import RSAAlgorithm

#: The private key for the token being signed; the settings' key where none is set.
signing_with: ContextVar[RSAPrivateKey | None] = ContextVar("signing_with", default=None)


@dataclass(frozen=True)
class Signer:
    """Hold a private key and its id."""

    kid: str
    key: RSAPrivateKey = field(repr=False)


def compress_claims(roles: Mapping[str, Sequence[str]]) -> str:
    """Pack ``{role name: sorted scopes}`` as JSON, gzipped, in base64.

    The base64 text has a line break after every 76 characters.
    """
    text = json.dumps({role: sorted(scopes) for role, scopes in roles.items()})
    return base64.encodebytes(gzip.compress(text.encode())).decode("ascii")


def claims_of(token: str) -> dict[str, list[str]]:
    """Return the roles and scopes of a token without checking its signature.

    Raises
    ------
    jwt.PyJWTError, ValueError
        It is no token, or one of another form.
    """
    packed = jwt.decode(token, options={"verify_signature": False})["user_claims"]
    roles: dict[str, list[str]] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return roles


def sign(
    signer: Signer,
    username: str,
    audience: str,
    roles: Mapping[str, Sequence[str]],
    jti: str,
    issued: datetime,
    expires: datetime,
    issuer: str | None = None,
) -> str:
    """Return a signed token; needs the app's context.

    ``exp`` is passed as a moment instead of a lifetime, so that the signed moment is the checked one.
    """
    reset = signing_with.set(signer.key)
    try:
        return create_access_token(
            identity=username,
            fresh=False,
            expires_delta=False,
            additional_claims={
                "aud": audience,
                "jti": jti,
                "iat": issued,
                "nbf": issued,
                "exp": expires,
                "user_claims": compress_claims(roles),
                **({"iss": issuer} if issuer else {}),
            },
            additional_headers={"kid": signer.kid},
        )
    finally:
        signing_with.reset(reset)


def jwk_of(public_pem: str) -> dict[str, Any]:
    """Return a public key as JSON Web Key (RFC 7517)."""
    key = RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(public_pem)
    jwk = RSAAlgorithm.to_jwk(key, as_dict=True)
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": _thumbprint(jwk), "n": jwk["n"], "e": jwk["e"]}


def kid_of(public_pem: str) -> str:
    """Return a public key's id: its thumbprint (RFC 7638)."""
    return str(jwk_of(public_pem)["kid"])


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    members = {name: jwk[name] for name in ("e", "kty", "n")}
    digest = hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def private_pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_pem(key: RSAPrivateKey) -> str:
    """Return the public key for API servers."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def new_key(bits: int = 4096) -> RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)
