"""Keep the personal credentials with which scripts use ``/api/v1``."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from flask_babel import gettext
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from flowauth import audit, clock
from flowauth.audit import Actor
from flowauth.database import transaction
from flowauth.errors import Checks, Refusal
from flowauth.language import mark
from flowauth.models import ApiCredential, User
from flowauth.names import check_name
from flowauth.sessions import digest_of

PREFIX = "flowauth_"
READ, TOKENS, ADMINISTER = "read", "tokens", "administer"
RIGHTS = {
    READ: mark("See your servers, roles and tokens, not the tokens' texts"),
    TOKENS: mark("Make, renew, show and revoke your tokens"),
    ADMINISTER: mark("Administer servers, roles, users and tokens"),
}
LONGEST_DAYS = 366
_MOST = 50
_NOTE_EVERY = timedelta(hours=1)


def may_administer(user: User) -> bool:
    """Return whether the user has any administrator's or auditor's right."""
    return user.is_admin or user.is_auditor or bool(user.administers)


def of_user(database: Session, user: User) -> Sequence[ApiCredential]:
    """Return the user's credentials, newest first."""
    own = select(ApiCredential).where(ApiCredential.user_id == user.id)
    return database.scalars(own.order_by(ApiCredential.id.desc())).all()


@transaction
def make(
    database: Session, actor: Actor, user: User, name: object, rights: Sequence[str], days: object
) -> tuple[ApiCredential, str]:
    """Make a credential; its text is returned once and stored nowhere."""
    own, checks = of_user(database, user), Checks()
    if len(own) >= _MOST:
        raise Refusal(gettext("You have %(most)s credentials: delete one first.", most=_MOST), 409)
    checked = checks(_free_name, own, name)
    life = checks(_life, days)
    checks(_check_rights, user, rights)
    checks.settle()
    text, now = PREFIX + secrets.token_urlsafe(32), clock.now()
    credential = ApiCredential(
        name=checked,
        digest=digest_of(text),
        user_id=user.id,
        rights=sorted(set(rights)),
        created=now,
        expires=now + life,
    )
    database.add(credential)
    database.flush()
    audit.record(
        database,
        actor,
        "credential.made",
        checked,
        rights=credential.rights,
        expires=clock.iso(credential.expires),
    )
    return credential, text


def _free_name(own: Sequence[ApiCredential], name: object) -> str:
    checked = check_name(name, "name")
    if checked in {credential.name for credential in own}:
        raise Refusal(gettext("You have a credential %(checked)s already.", checked=checked), field="name")
    return checked


def _life(days: object) -> timedelta:
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= LONGEST_DAYS:
        raise Refusal(
            gettext("A credential lasts from 1 to %(longest_days)s days.", longest_days=LONGEST_DAYS),
            field="days",
        )
    return timedelta(days=days)


def _check_rights(user: User, rights: Sequence[str]) -> None:
    if not rights or not set(rights) <= RIGHTS.keys():
        raise Refusal(gettext("Choose at least one of %(rights)s.", rights=", ".join(RIGHTS)), field="rights")
    if ADMINISTER in rights and not may_administer(user):
        raise Refusal(
            gettext("Only administrators may make a credential that administers."), 403, field="rights"
        )


@transaction
def remove(database: Session, actor: Actor, user: User, credential_id: int) -> None:
    """Delete one of the user's credentials."""
    credential = database.get(ApiCredential, credential_id)
    if credential is None or credential.user_id != user.id:
        raise Refusal(gettext("There is no such credential."), 404)
    audit.record(database, actor, "credential.deleted", credential.name)
    database.delete(credential)


def remove_all(database: Session, user_id: int) -> None:
    """Delete a user's credentials, within the caller's transaction."""
    database.execute(delete(ApiCredential).where(ApiCredential.user_id == user_id))


def found(database: Session, text: str) -> ApiCredential:
    """Return the credential of a text.

    Raises
    ------
    Refusal
        401 when it is unknown or has ended.
    """
    credential = database.scalars(
        select(ApiCredential).where(ApiCredential.digest == digest_of(text))
    ).one_or_none()
    now = clock.now()
    if credential is None or credential.expires <= now:
        raise Refusal(gettext("This credential is unknown or has ended."), 401)
    if credential.last_used is None or now - credential.last_used >= _NOTE_EVERY:
        _note(database, credential.id)
    return credential


@transaction
def _note(database: Session, credential_id: int) -> None:
    used = update(ApiCredential).where(ApiCredential.id == credential_id).values(last_used=clock.now())
    database.execute(used)
