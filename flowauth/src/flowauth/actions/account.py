"""A user's own account: password and second factor. Each change ends the user's other sessions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowauth import audit, clock, sessions, throttle, two_factor
from flowauth.actions.sign_in import consume_code
from flowauth.audit import Actor
from flowauth.database import transaction
from flowauth.errors import Refusal
from flowauth.models import BackupCode, Server, TwoFactor, User
from flowauth.passwords import check_strength
from flowauth.services import Services


def guessable_words(database: Session, username: str) -> list[str]:
    """What somebody guessing this user's password here would try first."""
    return [username, *database.scalars(select(Server.name))]


def hash_of_new(database: Session, services: Services, username: str, password: object, field: str) -> str:
    """The hash of a new password, if it is strong enough.

    Not for use within an action: estimating and hashing take long, and nobody shall wait for them.
    """
    words = guessable_words(database, username)
    database.rollback()
    return services.passwords.hash(check_strength(password, field, words))


def prove_identity(
    database: Session, services: Services, actor: Actor, user: User, password: str, code: str | None = None
) -> None:
    """Ask a signed-in user again for the password and, when given one, a code; tries count as at sign-in.

    Not part of the caller's transaction: a wrong try has to stay counted when the change is refused.
    """
    attempt = throttle.reserve(database, user.username, actor.address)
    stored = user.password_hash
    database.rollback()
    if not services.passwords.matches(stored, password):
        raise Refusal("This is not your present password.", field="password")
    _prove_code(database, services, user, code, attempt)


@transaction
def _prove_code(
    database: Session, services: Services, user: User, code: str | None, attempt: throttle.Try
) -> None:
    if code is not None and user.has_two_factor and not consume_code(database, services, user.id, code):
        raise Refusal("Wrong or used code.", field="two_factor_code")
    throttle.succeed(database, attempt)


def change_password(
    database: Session,
    services: Services,
    actor: Actor,
    user: User,
    old: str,
    new: str,
    session_digest: str | None,
) -> None:
    """Replace the password, given the old one."""
    prove_identity(database, services, actor, user, old)
    if old == new:
        raise Refusal("The new password is the old one.", field="new_password")
    hashed = hash_of_new(database, services, user.username, new, "new_password")
    _replace_password(database, actor, user, hashed, session_digest)


@transaction
def _replace_password(
    database: Session, actor: Actor, user: User, hashed: str, session_digest: str | None
) -> None:
    user.password_hash = hashed
    user.must_change_password = False
    sessions.end_all(database, user.id, but=session_digest)
    audit.record(database, actor, "password.changed", user.username)


@transaction
def confirm_two_factor(
    database: Session,
    services: Services,
    actor: Actor,
    user: User,
    secret: str,
    backup_codes: Sequence[str],
    code: str,
    session_digest: str | None,
) -> None:
    """Switch the second factor on with a secret whose code the user could give; replaces an earlier one."""
    step = two_factor.matching_step(
        secret, two_factor.plain(code), clock.now(), services.settings.two_factor_window
    )
    if step is None:
        raise Refusal(
            "Wrong code. Codes change every 30 seconds: try the present one.", 401, field="two_factor_code"
        )
    if user.two_factor is not None:
        database.delete(user.two_factor)
        database.flush()
    # The code that switched it on is used up: it cannot sign in as well.
    user.two_factor = TwoFactor(enabled=True, encrypted_secret=services.encrypt(secret), last_step=step)
    database.flush()
    _store_backup_codes(database, services, user.id, backup_codes)
    sessions.end_all(database, user.id, but=session_digest)
    audit.record(database, actor, "two_factor.enabled", user.username)


def disable_two_factor(
    database: Session,
    services: Services,
    actor: Actor,
    user: User,
    password: str,
    code: str,
    session_digest: str | None,
) -> None:
    """Switch the second factor off, given password and code, unless it is required."""
    if not user.has_two_factor:
        raise Refusal("Two-factor sign-in is not on.")
    if user.require_two_factor:
        raise Refusal("Two-factor sign-in is required for this account.", 403)
    prove_identity(database, services, actor, user, password, code)
    _remove_two_factor(database, actor, user, session_digest)


@transaction
def _remove_two_factor(database: Session, actor: Actor, user: User, session_digest: str | None) -> None:
    database.delete(user.two_factor)
    sessions.end_all(database, user.id, but=session_digest)
    audit.record(database, actor, "two_factor.disabled", user.username)


def replace_backup_codes(
    database: Session, services: Services, actor: Actor, user: User, password: str
) -> list[str]:
    """New backup codes in place of all old ones; they are shown this once."""
    if not user.has_two_factor:
        raise Refusal("Two-factor sign-in is not on.", 404)
    prove_identity(database, services, actor, user, password)
    return _replace_backup_codes(database, services, actor, user)


@transaction
def _replace_backup_codes(database: Session, services: Services, actor: Actor, user: User) -> list[str]:
    codes = two_factor.new_backup_codes()
    _store_backup_codes(database, services, user.id, codes)
    audit.record(database, actor, "backup_codes.replaced", user.username)
    return codes


def _store_backup_codes(database: Session, services: Services, user_id: int, codes: Sequence[str]) -> None:
    factor = database.get_one(TwoFactor, user_id)
    factor.backup_codes.clear()
    database.flush()
    factor.backup_codes.extend(
        BackupCode(digest=two_factor.backup_digest(services.settings.secret_key, user_id, code))
        for code in codes
    )
