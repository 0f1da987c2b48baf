"""Administer users."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from flask_babel import gettext
from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from flowauth import audit, revocation, sessions, throttle
from flowauth.actions import credentials, running
from flowauth.actions.account import strong_password
from flowauth.actions.changes import refuse_if_changed
from flowauth.actions.running import After
from flowauth.audit import Actor
from flowauth.database import all_of, transaction
from flowauth.errors import Checks, Refusal
from flowauth.models import Role, Server, User
from flowauth.names import check_name
from flowauth.services import Services


def find_user(database: Session, user_id: int) -> User:
    user = database.get(User, user_id, options=[selectinload(User.roles).joinedload(Role.server)])
    if user is None:
        raise Refusal(gettext("There is no user with id %(user_id)s.", user_id=user_id), 404)
    return user


def _locked(database: Session, user_id: int, *, with_tokens: bool = False) -> User:
    """Return the user's row, locked until the transaction ends.

    With tokens, the lock waits for a token being made and blocks new ones.
    """
    # Tokens and memberships refer to this row; only the full lock blocks new references.
    lock = {"key_share": not with_tokens}
    user = database.get(User, user_id, with_for_update=lock, populate_existing=True)
    if user is None:
        raise Refusal(gettext("There is no user with id %(user_id)s.", user_id=user_id), 404)
    return user


def create_user(
    database: Session,
    services: Services,
    actor: Actor,
    username: object,
    password: object,
    *,
    with_link: bool = False,
    is_admin: bool = False,
    is_auditor: bool = False,
    is_service: bool = False,
    administers: Sequence[object] = (),
    require_two_factor: bool = False,
    must_change_password: bool = True,
    roles: Sequence[object] = (),
    checks: Checks | None = None,
) -> User:
    """Create a user.

    The administrator chose the password, so the user must change it at first sign-in unless told otherwise.
    ``with_link`` takes no password: the user gets a link to choose one.
    """
    checks = checks or Checks()
    checks(_free_name, database, username)
    if is_service:
        office = is_admin or is_auditor or bool(administers)
        checks(_check_service, office=office, two_factor=require_two_factor, link=with_link)
    if with_link:
        # Nobody knows this password.
        password = secrets.token_urlsafe(32)
    user = User(
        password_hash=_hash_of(database, services, username, password, checks),
        is_admin=is_admin,
        is_auditor=is_auditor,
        is_service=is_service,
        require_two_factor=require_two_factor,
        must_change_password=must_change_password and not is_service,
    )
    return _add_user(database, actor, user, username, roles, administers, checks)


def _check_service(*, office: bool, two_factor: bool, link: bool = False) -> None:
    """Refuse a service user with what only people can use."""
    if office or two_factor or link:
        raise Refusal(
            gettext(
                "A service user has roles and a password alone: it administers and audits nothing, and has neither "
                "two-factor sign-in nor a one-time link."
            ),
            field="is_service",
        )


def _hash_of(
    database: Session, services: Services, username: object, password: object, checks: Checks
) -> str | None:
    """Return the hash of a new password; None if it is refused.

    Call this outside an action: estimating and hashing are slow and must not hold locks.
    """
    strong = checks(strong_password, database, str(username), password, "password")
    return None if strong is None else services.passwords.hash(strong)


@transaction
def _add_user(
    database: Session,
    actor: Actor,
    user: User,
    username: object,
    roles: Sequence[object],
    administers: Sequence[object],
    checks: Checks,
) -> User:
    name = checks(_free_name, database, username)
    held = checks(all_of, database, Role, roles, "roles")
    servers = checks(all_of, database, Server, administers, "administers")
    checks.settle()
    user.username, user.roles, user.administers = name, held, servers
    database.add(user)
    database.flush()
    audit.record(database, actor, "user.created", user.username, **user_facts(user))
    return user


def change_user(
    database: Session,
    services: Services,
    actor: Actor,
    user_id: int,
    *,
    username: object = None,
    password: object = None,
    is_admin: bool | None = None,
    is_auditor: bool | None = None,
    is_service: bool | None = None,
    administers: Sequence[object] | None = None,
    require_two_factor: bool | None = None,
    remove_two_factor: bool = False,
    roles: Sequence[object] | None = None,
    session_digest: str | None = None,
    shown: dict[str, Any] | None = None,
    after: After = After.KEEP,
) -> User:
    """Change the given fields if the user still is as ``shown``.

    An empty password leaves the password. A change ends the user's sessions except the session with the given
    digest, which is the actor's. Own password and own second factor are changed under My account, where both
    are asked for.
    """
    present = find_user(database, user_id).username
    if actor.username == present and (password or remove_two_factor):
        raise Refusal(gettext("Change your own password and second factor under My account."), 403)
    checks = Checks()
    name = present if username is None else username
    if name != present:
        checks(_free_name, database, name, user_id)
    hashed = _hash_of(database, services, name, password, checks) if password else None
    return _change_user(
        database,
        actor,
        user_id,
        username=username,
        password_hash=hashed,
        is_admin=is_admin,
        is_auditor=is_auditor,
        is_service=is_service,
        administers=administers,
        require_two_factor=require_two_factor,
        remove_two_factor=remove_two_factor,
        roles=roles,
        session_digest=session_digest,
        shown=shown,
        after_loss=after,
        checks=checks,
    )


@transaction
def _change_user(
    database: Session,
    actor: Actor,
    user_id: int,
    *,
    username: object,
    password_hash: str | None,
    is_admin: bool | None,
    is_auditor: bool | None,
    is_service: bool | None,
    administers: Sequence[object] | None,
    require_two_factor: bool | None,
    remove_two_factor: bool,
    roles: Sequence[object] | None,
    session_digest: str | None,
    shown: dict[str, Any] | None,
    after_loss: After,
    checks: Checks,
) -> User:
    if is_admin is False:
        # Lock all administrators first; every action locks them in this order.
        _administrators(database)
    user = _locked(database, user_id)
    before = user_facts(user)
    checks(refuse_if_changed, shown, before)
    name = user.username
    if username not in (None, name):
        name = checks(_free_name, database, username, user_id)
    if is_admin is False and user.is_admin:
        checks(_keep_an_administrator, database, user, "is_admin")
    held = user.roles if roles is None else checks(all_of, database, Role, roles, "roles")
    servers = (
        user.administers
        if administers is None
        else checks(all_of, database, Server, administers, "administers")
    )
    is_service = user.is_service if is_service is None else is_service
    if is_service:
        office = (user.is_admin if is_admin is None else is_admin) or bool(servers)
        office = office or (user.is_auditor if is_auditor is None else is_auditor)
        required = user.require_two_factor if require_two_factor is None else require_two_factor
        kept = user.has_two_factor and not remove_two_factor
        checks(_check_service, office=office, two_factor=required or kept)
    checks.settle()
    user.username, user.is_service = name, is_service
    if is_service:
        user.must_change_password = False
    if password_hash is not None:
        user.password_hash = password_hash
        user.must_change_password = not is_service
        # Somebody else may have made them.
        credentials.remove_all(database, user.id)
    if is_admin is not None:
        user.is_admin = is_admin
    if is_auditor is not None:
        user.is_auditor = is_auditor
    user.administers = servers
    if require_two_factor is not None:
        user.require_two_factor = require_two_factor
    if remove_two_factor and user.two_factor is not None:
        database.delete(user.two_factor)
        user.two_factor = None
    lost = {role.id for role in user.roles} - {role.id for role in held}
    user.roles = held
    keeping = running.made_from(lost) & running.of_users([user.id])
    ended = (
        running.settle(database, keeping, after_loss, "you no longer hold one of its roles") if lost else {}
    )
    database.flush()
    after = user_facts(user)
    if password_hash is not None or after != before:
        sessions.end_all(database, user.id, but=session_digest)
        audit.record(
            database,
            actor,
            "user.changed",
            user.username,
            before=before,
            after=after,
            password=password_hash is not None,
            **ended,
        )
    return user


@transaction
def delete_user(database: Session, actor: Actor, user_id: int) -> str:
    """Delete a user with the second factor and token history.

    Tokens that still run are revoked.
    """
    user = find_user(database, user_id)
    if user.is_admin:
        _keep_an_administrator(database, user, None)
    user = _locked(database, user_id, with_tokens=True)
    name, facts = user.username, {**user_facts(user), "tokens": len(user.tokens)}
    facts["revoked"] = revocation.revoke(database, user.tokens, "the user is deleted")
    database.delete(user)
    database.flush()
    audit.record(database, actor, "user.deleted", name, **facts)
    return name


@transaction
def revoke_tokens(database: Session, actor: Actor, user_id: int) -> tuple[User, int]:
    """Revoke every running token of a user; return the user and the count."""
    user = _locked(database, user_id, with_tokens=True)
    revoked = revocation.revoke(database, user.tokens, f"by {actor.username}: all of yours")
    audit.record(database, actor, "user.tokens_revoked", user.username, revoked=revoked)
    return user, len(revoked)


@transaction
def unlock_user(database: Session, actor: Actor, user_id: int) -> User:
    """Clear the failed tries of an account."""
    user = find_user(database, user_id)
    throttle.unlock(database, user.username)
    audit.record(database, actor, "user.unlocked", user.username)
    return user


def _free_name(database: Session, username: object, own: int | None = None) -> str:
    name = check_name(username, "username")
    # Names that differ only in case look the same in lists and in the audit trail.
    like = select(User.username).where(func.lower(User.username) == name.lower(), User.id != own)
    if taken := database.scalars(like).first():
        raise Refusal(gettext("The user name %(taken)s is taken.", taken=taken), field="username")
    return name


def _administrators(database: Session) -> Sequence[int]:
    """Lock and return the administrators' ids.

    The lock stops two administrators from demoting each other at the same moment.
    """
    return database.scalars(select(User.id).where(User.is_admin).order_by(User.id).with_for_update()).all()


def _keep_an_administrator(database: Session, user: User, field: str | None) -> None:
    if [identity for identity in _administrators(database) if identity != user.id] == []:
        raise Refusal(gettext("The last administrator can be neither deleted nor demoted."), field=field)


def user_facts(user: User) -> dict[str, Any]:
    """Return the user's properties, as stored in the trail and sent back by forms."""
    return {
        "username": user.username,
        "is_admin": user.is_admin,
        "is_auditor": user.is_auditor,
        "is_service": user.is_service,
        "administers": sorted(server.name for server in user.administers),
        "require_two_factor": user.require_two_factor,
        "has_two_factor": user.has_two_factor,
        "roles": sorted(f"{role.server.name}/{role.name}" for role in user.roles),
    }
