"""Sign users in by an OpenID Connect provider's identities."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowauth import audit, clock
from flowauth.actions.sign_in import ONLY_SCRIPTS, CodeNeeded, HalfSignedIn, SignedIn, apply_policy, proof_of
from flowauth.audit import Actor
from flowauth.database import transaction
from flowauth.errors import Refusal
from flowauth.models import Identity, User
from flowauth.names import check_name
from flowauth.services import Services

_LONGEST = 255


@dataclass(frozen=True)
class Claimed:
    """Hold the provider's claims: issuer, subject and preferred user name."""

    issuer: str
    subject: str
    username: str


def of_user(database: Session, user: User) -> Sequence[Identity]:
    """Return the identities that sign in to the user's account."""
    return database.scalars(select(Identity).where(Identity.user_id == user.id)).all()


def sign_in(database: Session, services: Services, actor: Actor, claimed: Claimed) -> SignedIn:
    """Return the user of an identity; create the user if the settings allow it.

    Raises
    ------
    Refusal
        403 for an identity without account.
    CodeNeeded
        The account asks for a second factor.
    """
    # Hashing is slow, so no lock is held meanwhile. Nobody knows this password.
    unusable = services.passwords.hash(secrets.token_urlsafe(32)) if services.settings.oidc_create else None
    return _sign_in(database, services, actor, claimed, unusable)


@transaction
def _sign_in(
    database: Session, services: Services, actor: Actor, claimed: Claimed, unusable: str | None
) -> SignedIn:
    identity = database.get(Identity, (claimed.issuer, claimed.subject))
    if identity is None:
        user = _create(database, actor, claimed, unusable)
    else:
        user = database.get_one(User, identity.user_id)
    if user.is_service:
        raise Refusal(gettext(ONLY_SCRIPTS), 403)
    if user.has_two_factor:
        raise CodeNeeded(HalfSignedIn(user.id, proof_of(user)))
    own = Actor(user.username, actor.address, actor.request_id)
    apply_policy(database, services, own, user)
    audit.record(database, own, "sign_in.succeeded", user.username, provider=claimed.issuer)
    return SignedIn(user.id, user.username, 0)


def _create(database: Session, actor: Actor, claimed: Claimed, unusable: str | None) -> User:
    if unusable is None:
        raise Refusal(
            gettext(
                "No account is connected to this identity. Sign in with your password, and connect it under My account."
            ),
            403,
        )
    name = check_name(claimed.username, "preferred_username")
    taken = database.scalar(select(User.username).where(func.lower(User.username) == name.lower()))
    if taken is not None:
        # The provider's name proves nothing about an account that was here before.
        raise Refusal(
            gettext(
                "The account %(taken)s is not connected to this identity. Sign in with your password, and connect it under My account.",
                taken=taken,
            ),
            403,
        )
    user = User(username=name, password_hash=unusable)
    database.add(user)
    database.flush()
    audit.record(database, actor, "user.created", name, provider=claimed.issuer)
    _add(database, user, claimed)
    return user


def _add(database: Session, user: User, claimed: Claimed) -> None:
    if max(len(claimed.issuer), len(claimed.subject)) > _LONGEST or not claimed.subject:
        raise Refusal(
            gettext(
                "The provider's name of this identity must have 1 to %(longest)s characters.",
                longest=_LONGEST,
            )
        )
    row = Identity(issuer=claimed.issuer, subject=claimed.subject, user_id=user.id, created=clock.now())
    database.add(row)
    database.flush()


@transaction
def connect(database: Session, actor: Actor, user: User, claimed: Claimed) -> None:
    """Let an identity sign in to the user's account.

    Raises
    ------
    Refusal
        409 when it signs in to another account.
    """
    present = database.get(Identity, (claimed.issuer, claimed.subject))
    if present is not None and present.user_id != user.id:
        raise Refusal(gettext("This identity is connected to another account."), 409)
    if present is None:
        _add(database, user, claimed)
        audit.record(database, actor, "identity.connected", user.username, provider=claimed.issuer)


@transaction
def disconnect(database: Session, actor: Actor, user: User) -> None:
    """Forget all identities of the user's account."""
    for identity in of_user(database, user):
        database.delete(identity)
        audit.record(database, actor, "identity.disconnected", user.username, provider=identity.issuer)
