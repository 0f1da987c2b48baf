"""Change a user's own password and second factor.

Each change ends the user's other sessions.
"""

from __future__ import annotations

from collections.abc import Sequence

from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowauth import audit, clock, sessions, throttle, two_factor
from flowauth.actions.sign_in import consume_code
from flowauth.audit import Actor
from flowauth.database import transaction
from flowauth.errors import Checks, Refusal
from flowauth.language import LANGUAGES
from flowauth.models import BackupCode, Server, TwoFactor, User
from flowauth.passwords import check_strength
from flowauth.services import Services


def guessable_words(database: Session, username: str) -> list[str]:
    """Return words that an attacker would try first for this user."""
    return [username, *database.scalars(select(Server.name))]


def strong_password(database: Session, username: str, password: object, field: str) -> str:
    """Return a new password that is strong enough for this user.

    Call this outside an action: estimating is slow and must not hold locks.
    """
    words = guessable_words(database, username)
    database.rollback()
    return check_strength(password, field, words)


def check_repeated(new: str, repeated: str) -> None:
    """Refuse a new password that was not repeated as it is."""
    if repeated != new:
        raise Refusal(gettext("The two new passwords differ."), field="new_password_again")


def prove_identity(
    database: Session, services: Services, actor: Actor, user: User, password: str, code: str | None = None
) -> None:
    """Check a signed-in user's password and, if given, code; count failed tries.

    This runs outside the caller's transaction, so that a failed try stays counted when the change is refused.
    The code is looked at only after the right password: a wrong try must tell nothing about the code.
    """
    checks = Checks()
    if not password:
        checks.note(Refusal(gettext("Type your present password."), field="password"))
    if code == "":
        checks.note(Refusal(gettext("Type a code of your app, or a backup code."), field="two_factor_code"))
    checks.settle()
    attempt = throttle.reserve(database, user.username, actor.address)
    stored = user.password_hash
    database.rollback()
    if not services.passwords.matches(stored, password):
        raise Refusal(gettext("This is not your present password."), field="password")
    _prove_code(database, services, user, code, attempt)


@transaction
def choose_language(database: Session, actor: Actor, user: User, chosen: str) -> None:
    """Set the language of the user's pages; an empty text follows the browser."""
    if chosen and chosen not in LANGUAGES:
        raise Refusal(
            gettext("Choose one of %(languages)s.", languages=", ".join(LANGUAGES)), field="language"
        )
    if (user.language or "") == chosen:
        return
    before, user.language = user.language, chosen or None
    audit.record(
        database, actor, "account.language_chosen", user.username, before=before, after=chosen or None
    )


@transaction
def _prove_code(
    database: Session, services: Services, user: User, code: str | None, attempt: throttle.Try
) -> None:
    if code is not None and user.has_two_factor and not consume_code(database, services, user.id, code):
        raise Refusal(gettext("Wrong or used code."), field="two_factor_code")
    throttle.succeed(database, attempt)


def change_password(
    database: Session,
    services: Services,
    actor: Actor,
    user: User,
    old: str,
    new: str,
    session_digest: str | None,
    repeated: str | None = None,
) -> None:
    """Replace the password, given the present one; a form has the new one repeated."""
    checks = Checks()
    checks(prove_identity, database, services, actor, user, old)
    if old == new:
        checks.note(Refusal(gettext("The new password is the old one."), field="new_password"))
    checks(strong_password, database, user.username, new, "new_password")
    if repeated is not None:
        checks(check_repeated, new, repeated)
    checks.settle()
    _replace_password(database, actor, user, services.passwords.hash(new), session_digest)


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
    """Switch two-factor sign-in on with a secret after checking a code from it.

    An earlier secret is replaced.
    """
    step = two_factor.matching_step(
        secret, two_factor.plain(code), clock.now(), services.settings.two_factor_window
    )
    if step is None:
        raise Refusal(
            gettext("Wrong code. Codes change every 30 seconds: try the present one."),
            401,
            field="two_factor_code",
        )
    if user.two_factor is not None:
        database.delete(user.two_factor)
        database.flush()
    # This code is used up, so that it cannot sign in as well.
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
    """Switch two-factor sign-in off, given password and code, unless required."""
    if not user.has_two_factor:
        raise Refusal(gettext("Two-factor sign-in is not on."))
    if user.require_two_factor:
        raise Refusal(gettext("Two-factor sign-in is required for this account."), 403)
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
    """Replace all backup codes; the new ones are shown only once."""
    if not user.has_two_factor:
        raise Refusal(gettext("Two-factor sign-in is not on."), 404)
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
