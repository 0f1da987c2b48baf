"""Let users choose a password by a one-time link.

No administrator knows the password.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowauth import audit, clock, sessions
from flowauth.actions import credentials
from flowauth.actions.account import check_repeated, strong_password
from flowauth.actions.users import find_user
from flowauth.audit import Actor
from flowauth.database import transaction
from flowauth.errors import Checks, Refusal
from flowauth.models import AccountLink, User
from flowauth.services import Services
from flowauth.sessions import digest_of

LIFE = timedelta(days=3)


@transaction
def make(database: Session, actor: Actor, user_id: int) -> tuple[AccountLink, str]:
    """Make a user's link; return it and its secret text.

    An earlier link of the user ends. The present password stays until the link is used.
    """
    user = find_user(database, user_id)
    if user.username == actor.username:
        raise Refusal(gettext("Change your own password and second factor under My account."), 403)
    if user.is_service:
        raise Refusal(gettext("%(name)s is a service user, which opens no pages.", name=user.username), 403)
    text = secrets.token_urlsafe(32)
    link = database.merge(AccountLink(user_id=user.id, digest=digest_of(text), expires=clock.now() + LIFE))
    audit.record(database, actor, "user.link_made", user.username, expires=clock.iso(link.expires))
    return link, text


@transaction
def withdraw(database: Session, actor: Actor, user_id: int) -> User:
    """End a user's link."""
    user = find_user(database, user_id)
    if (link := database.get(AccountLink, user_id)) is not None:
        database.delete(link)
        audit.record(database, actor, "user.link_withdrawn", user.username)
    return user


def waiting(database: Session, user: User) -> AccountLink | None:
    """Return the user's link if it can still be used."""
    link = database.get(AccountLink, user.id)
    return link if link is not None and link.expires > clock.now() else None


def owner(database: Session, text: str) -> User:
    """Return the user of a link.

    Raises
    ------
    Refusal
        404 for a link that is unknown, used or over.
    """
    known = select(AccountLink).where(
        AccountLink.digest == digest_of(text), AccountLink.expires > clock.now()
    )
    link = database.scalars(known).one_or_none()
    if link is None:
        raise Refusal(gettext("This link is used or has ended. Ask your administrator for a new one."), 404)
    return link.user


def choose(database: Session, services: Services, actor: Actor, text: str, new: str, repeated: str) -> str:
    """Set the password of a link's user, once; return the user's name."""
    user, checks = owner(database, text), Checks()
    checks(strong_password, database, user.username, new, "new_password")
    checks(check_repeated, new, repeated)
    checks.settle()
    return _choose(database, actor, text, services.passwords.hash(new))


@transaction
def _choose(database: Session, actor: Actor, text: str, hashed: str) -> str:
    # Only one of two concurrent requests finds the link.
    user = database.get_one(User, owner(database, text).id, with_for_update=True, populate_existing=True)
    owner(database, text)
    database.delete(database.get_one(AccountLink, user.id))
    user.password_hash, user.must_change_password = hashed, False
    # Somebody else may have made them.
    credentials.remove_all(database, user.id)
    sessions.end_all(database, user.id)
    own = Actor(user.username, actor.address, actor.request_id)
    audit.record(database, own, "password.chosen", user.username)
    return user.username
