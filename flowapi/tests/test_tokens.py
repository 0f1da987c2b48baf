"""Check which tokens are accepted and what is read from them."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from flowapi.revocation import RevokedTokens
from flowapi.settings import parse_public_keys
from flowapi.testing import TokenBuilder, pack_roles
from flowapi.tokens import (
    LARGEST_CLAIMS,
    ExpiredToken,
    NoToken,
    RevokedToken,
    TokenError,
    TokenReader,
    read_roles,
)

ROLES = {"analyst": ["run", "admin3:flows:flows"], "catalogue": ["get_qa_checks"]}

PUBLISHED_CLAIMS = (
    "H4sIAJDcA2sC/1RMywrCMBD8lbJnb73lV6QsY7LW4Jpgs1GK9N9Nigi9zDDPDyE8YhoZCboWIzec\n"
    "f5a7an4XFxB1Zc0eFnOi03CMd+zuLMaLlKrW1VITTY3bCprnKvtx7+DVDnFR4QCT//QJ9jfx90LT\n"
    "9gUAAP//AwDSzPiklQAAAA==\n"
)
PUBLISHED_ROLES = {
    "admin3_analyst": {"admin3:flows:daily_location", "admin3:flows:flows", "get_result", "run"},
    "catalogue": {"get_available_dates", "get_qa_checks"},
}


@pytest.fixture
def reader(tokens: TokenBuilder) -> TokenReader:
    return TokenReader(parse_public_keys(tokens.public_key), tokens.audience)


def header(token: str) -> str:
    return f"Bearer {token}"


def test_a_good_token_names_user_roles_and_id(reader: TokenReader, tokens: TokenBuilder) -> None:
    caller = reader.read(header(tokens.token(ROLES, sub="ada", jti="b3f0")))
    assert (caller.name, caller.token_id) == ("ada", "b3f0")
    assert caller.roles == {role: frozenset(scopes) for role, scopes in ROLES.items()}


@pytest.mark.parametrize("claims", [PUBLISHED_CLAIMS, PUBLISHED_CLAIMS.replace("\n", "")])
def test_the_published_test_vector_unpacks(claims: str) -> None:
    assert read_roles(claims) == PUBLISHED_ROLES


def test_our_packing_unpacks() -> None:
    assert read_roles(pack_roles(ROLES)) == {role: set(scopes) for role, scopes in ROLES.items()}


def test_uncompressed_roles_are_read_as_they_are(reader: TokenReader, tokens: TokenBuilder) -> None:
    assert reader.read(header(tokens.token({}, user_claims=ROLES))).roles.keys() == ROLES.keys()


def test_a_token_without_roles_holds_none(reader: TokenReader, tokens: TokenBuilder) -> None:
    assert reader.read(header(tokens.token({}, user_claims=None))).roles == {}


def _packed(content: bytes) -> str:
    return base64.encodebytes(gzip.compress(content, mtime=0)).decode()


@pytest.mark.parametrize(
    "claims",
    [
        ["run"],
        7,
        {"analyst": "run"},
        {"analyst": [1]},
        "not base64!",
        base64.b64encode(b"not gzip").decode(),
        _packed(b"not json"),
        _packed(b'["run"]'),
        base64.b64encode(gzip.compress(b'{"a": ["run"]}', mtime=0)[:-12]).decode(),
        _packed(b"[" * 100_000),
        _packed(b"\xff"),
    ],
    ids=lambda value: str(value)[:24].strip(),
)
def test_roles_in_any_other_form_are_refused(claims: Any) -> None:
    with pytest.raises(TokenError, match="user_claims"):
        read_roles(claims)


def test_a_small_token_cannot_unpack_to_a_huge_one() -> None:
    packed = _packed(b'{"a":["' + b"0" * LARGEST_CLAIMS + b'"]}')
    assert len(packed) < 8_192
    with pytest.raises(TokenError, match="larger than"):
        read_roles(packed)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another_server"},
        {"aud": None},
        {"aud": ["test_server"]},
        {"exp": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"nbf": 4_000_000_000},
        {"type": "refresh"},
        {"user_claims": ["run"]},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(
    reader: TokenReader, tokens: TokenBuilder, claims: dict[str, Any]
) -> None:
    with pytest.raises(TokenError) as refusal:
        reader.read(header(tokens.token(ROLES, **claims)))
    assert refusal.value.event == "INVALID_TOKEN"


def test_an_access_token_may_say_so(reader: TokenReader, tokens: TokenBuilder) -> None:
    assert reader.read(header(tokens.token(ROLES, type="access"))).name == "test"


def test_an_expired_token_is_told_apart_and_leaves_its_claims(
    reader: TokenReader, tokens: TokenBuilder
) -> None:
    with pytest.raises(ExpiredToken) as refusal:
        reader.read(header(tokens.token(ROLES, lifetime=-60, sub="ada")))
    assert refusal.value.claims is not None
    assert refusal.value.claims["sub"] == "ada"


def test_clocks_may_differ_by_half_a_minute(reader: TokenReader, tokens: TokenBuilder) -> None:
    assert reader.read(header(tokens.token(ROLES, lifetime=-20))).name == "test"


def test_a_foreign_key_is_refused(reader: TokenReader, foreign_tokens: TokenBuilder) -> None:
    with pytest.raises(TokenError, match="Signature verification failed"):
        reader.read(header(foreign_tokens.token(ROLES)))


def test_unsigned_and_symmetric_tokens_are_refused(reader: TokenReader, tokens: TokenBuilder) -> None:
    claims = jwt.decode(tokens.token(ROLES), options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, algorithm="none")
    # Key confusion attack: the public key's text used as a shared secret.
    body = unsigned.split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()).decode().rstrip("=")
    hmac_key = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = hmac_key.sign(f"{head}.{body}".encode(), tokens.public_key.encode())
    symmetric = f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    for token in (unsigned, symmetric):
        with pytest.raises(TokenError):
            reader.read(header(token))


def test_during_a_change_of_keys_both_are_accepted(
    tokens: TokenBuilder, foreign_tokens: TokenBuilder
) -> None:
    keys = parse_public_keys(foreign_tokens.public_key + tokens.public_key)
    reader = TokenReader(keys, tokens.audience)
    for builder in (tokens, foreign_tokens):
        assert reader.read(header(builder.token(ROLES))).name == "test"
    with pytest.raises(ExpiredToken):
        reader.read(header(tokens.token(ROLES, lifetime=-60)))


def test_the_issuer_is_checked_where_one_is_set(tokens: TokenBuilder) -> None:
    reader = TokenReader(parse_public_keys(tokens.public_key), tokens.audience, issuer="flowauth")
    assert reader.read(header(tokens.token(ROLES, iss="flowauth"))).name == "test"
    for issuer in ("another", None):
        with pytest.raises(TokenError):
            reader.read(header(tokens.token(ROLES, iss=issuer)))


def test_revoked_tokens_are_refused_as_soon_as_the_list_says_so(tokens: TokenBuilder, tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    path.write_text("# taken back in March\n\nfirst # lost laptop\n")
    reader = TokenReader(parse_public_keys(tokens.public_key), tokens.audience, revoked=RevokedTokens(path))
    first, second = (header(tokens.token(ROLES, jti=token_id)) for token_id in ("first", "second"))
    with pytest.raises(RevokedToken):
        reader.read(first)
    assert reader.read(second).token_id == "second"
    path.write_text("first\nsecond\n")
    with pytest.raises(RevokedToken):
        reader.read(second)
    path.unlink()
    with pytest.raises(RevokedToken):
        reader.read(first)


def test_no_header_is_no_token(reader: TokenReader) -> None:
    with pytest.raises(NoToken):
        reader.read(None)


@pytest.mark.parametrize("value", ["Bearer", "Basic dGVzdDp0ZXN0", "Bearer a b", "Bearer x", "Bearer a.b.c"])
def test_other_headers_are_refused(reader: TokenReader, value: str) -> None:
    with pytest.raises(TokenError) as refusal:
        reader.read(value)
    assert refusal.value.event == "INVALID_TOKEN"


def test_the_caller_does_not_print_its_roles(reader: TokenReader, tokens: TokenBuilder) -> None:
    assert "admin3" not in repr(reader.read(header(tokens.token(ROLES))))


def test_rights_of_different_roles_are_not_added_up(reader: TokenReader, tokens: TokenBuilder) -> None:
    caller = reader.read(header(tokens.token({"one": ["a"], "two": ["b"], "both": ["a", "b", "c"]})))
    assert caller.roles_holding(frozenset({"a", "b"})) == ["both"]
    assert caller.roles_holding(frozenset({"a"})) == ["both", "one"]
    assert caller.roles_holding(frozenset({"d"})) == []


def test_keys_may_come_as_base64_of_pem(tokens: TokenBuilder) -> None:
    assert len(parse_public_keys(base64.b64encode(tokens.public_key.encode()).decode())) == 1


def test_a_private_key_is_no_public_key(tokens: TokenBuilder) -> None:
    pem = tokens.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ValueError, match="RSA public keys of 2048 bits or more"):
        parse_public_keys(pem)
