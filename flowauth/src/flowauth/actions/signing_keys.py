"""Keep the keys that sign tokens: one active, at most one next, others retired.

The key of the settings is the first active key. A key of the settings that is not yet recorded replaces the
active key, so that an administrator of the host can always put a new key in force.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask_babel import gettext
from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from flowauth import audit, clock
from flowauth.audit import Actor
from flowauth.database import transaction
from flowauth.errors import Refusal
from flowauth.models import SigningKey, Token
from flowauth.services import Services
from flowauth.signing import Signer, kid_of, new_key, private_pem, public_pem

ACTIVE, NEXT, RETIRED = "active", "next", "retired"


def signer(database: Session, services: Services) -> Signer:
    """Return the active key; part of the caller's transaction.

    Raises
    ------
    Refusal
        500 when the key's encryption key is no longer in the settings.
    """
    return _holder(_active(database, services), services)


def reading_signer(database: Session, services: Services) -> Signer:
    """Return the active key without recording a new key of the settings.

    Raises
    ------
    Refusal
        500 when the key's encryption key is no longer in the settings.
    """
    return _holder(next(key for key in published(database, services) if key.state == ACTIVE), services)


def _holder(active: SigningKey, services: Services) -> Signer:
    if active.encrypted_private is None:
        return Signer(active.kid, services.settings.private_key)
    pem = services.decrypt(active.encrypted_private)
    if pem is None:
        raise Refusal(
            gettext("The signing key cannot be read: FLOWAUTH_FERNET_KEY does not hold its key."), 500
        )
    return Signer(active.kid, _parsed(pem))


@lru_cache(maxsize=2)
def _parsed(pem: str) -> RSAPrivateKey:
    # Parsing checks the key and takes longer than signing.
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, RSAPrivateKey)
    return key


def enrol(services: Services) -> None:
    """Record the key of the settings; concurrent processes may do so at once."""
    with services.session() as database, contextlib.suppress(IntegrityError):
        transaction(_active)(database, services)


def _active(database: Session, services: Services) -> SigningKey:
    """Return the row of the active key, after recording a new key of the settings."""
    pem = public_pem(services.settings.private_key)
    kid = kid_of(pem)
    present = database.scalars(select(SigningKey).where(SigningKey.state == ACTIVE)).one_or_none()
    if database.get(SigningKey, kid) is None:
        if present is not None:
            _retire(present)
        present = SigningKey(kid=kid, state=ACTIVE, public_pem=pem, created=clock.now())
        database.add(present)
        database.flush()
    if present is None:
        raise Refusal(gettext("There is no active signing key."), 500)
    return present


def _retire(key: SigningKey) -> None:
    key.state = RETIRED
    key.retired = clock.now()
    # A retired key signs nothing any more.
    key.encrypted_private = None


def published(database: Session, services: Services) -> list[SigningKey]:
    """Return active, next, and retired keys with running tokens."""
    unexpired = exists().where(Token.issued <= SigningKey.retired, Token.expiry > clock.now())
    keys = list(
        database.scalars(
            select(SigningKey)
            .where((SigningKey.state != RETIRED) | unexpired)
            .order_by(SigningKey.state, SigningKey.created.desc(), SigningKey.kid)
        )
    )
    pem = public_pem(services.settings.private_key)
    if database.get(SigningKey, kid_of(pem)) is None:
        # The first token will record this key as the active key.
        keys.insert(0, SigningKey(kid=kid_of(pem), state=ACTIVE, public_pem=pem, created=clock.now()))
    return keys


def public_pems(database: Session, services: Services) -> str:
    """Return the text for PUBLIC_JWT_SIGNING_KEY: a PEM block for each key."""
    return "".join(key.public_pem for key in published(database, services))


def prepare(database: Session, services: Services, actor: Actor) -> SigningKey:
    """Make the next key; it signs nothing until it is activated.

    Raises
    ------
    Refusal
        409 when there is a next key already.
    """
    # Making a key takes a second, so no lock is held meanwhile.
    return _prepare(database, services, actor, new_key())


@transaction
def _prepare(database: Session, services: Services, actor: Actor, key: RSAPrivateKey) -> SigningKey:
    _active(database, services)
    if _next(database) is not None:
        raise Refusal(gettext("There is a next key already: activate or discard it first."), 409)
    pem = public_pem(key)
    row = SigningKey(
        kid=kid_of(pem),
        state=NEXT,
        public_pem=pem,
        encrypted_private=services.encrypt(private_pem(key)),
        created=clock.now(),
    )
    database.add(row)
    database.flush()
    audit.record(database, actor, "signing_key.prepared", row.kid)
    return row


@transaction
def activate(database: Session, services: Services, actor: Actor) -> SigningKey:
    """Sign new tokens with the next key and retire the active key.

    Raises
    ------
    Refusal
        409 when there is no next key.
    """
    active, following = _active(database, services), _next(database)
    if following is None:
        raise Refusal(gettext("There is no next key: make one first and give it to the API servers."), 409)
    _retire(active)
    following.state = ACTIVE
    database.flush()
    audit.record(database, actor, "signing_key.activated", following.kid, retired=active.kid)
    return following


@transaction
def discard(database: Session, actor: Actor) -> None:
    """Delete the next key.

    Raises
    ------
    Refusal
        409 when there is no next key.
    """
    following = _next(database)
    if following is None:
        raise Refusal(gettext("There is no next key."), 409)
    audit.record(database, actor, "signing_key.discarded", following.kid)
    database.delete(following)


def _next(database: Session) -> SigningKey | None:
    # Locked, because two administrators may activate and discard it at the same moment.
    return database.scalars(
        select(SigningKey).where(SigningKey.state == NEXT).with_for_update()
    ).one_or_none()
