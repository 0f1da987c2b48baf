"""Check password and second factor at sign-in; count each try."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from flask_babel import gettext
from sqlalchemy import Delete, Update, delete, func, or_, select, update
from sqlalchemy.orm import Session

from flowauth import audit, clock, throttle, two_factor
from flowauth.audit import Actor
from flowauth.database import transaction
from flowauth.errors import Checks, Refusal
from flowauth.language import mark
from flowauth.models import AuditEvent, BackupCode, TwoFactor, User
from flowauth.services import Services
from flowauth.throttle import Try

WRONG = mark("Wrong user name, password or code.")
ONLY_SCRIPTS = mark("This is a service user: it signs in by scripts only.")


@dataclass(frozen=True)
class SignedIn:
    """Hold the signed-in user and the number of failed tries since the last success.

    ``backup_codes_left`` is the number of unused backup codes if one was used up now.
    """

    user_id: int
    username: str
    failures_before: int
    backup_codes_left: int | None = None


@dataclass(frozen=True)
class HalfSignedIn:
    """Hold a user who gave the right password and still needs a code.

    The state is void once the password changes.
    """

    user_id: int
    proof: str


class CodeNeeded(Refusal):
    """Report that the password is right and the code is missing."""

    def __init__(self, half: HalfSignedIn) -> None:
        super().__init__(
            gettext("A two-factor code is needed."), field="two_factor_code", need_two_factor=True
        )
        self.half = half


def sign_in(
    database: Session,
    services: Services,
    actor: Actor,
    username: str,
    password: str,
    code: str | None = None,
    *,
    by_script: bool = False,
) -> SignedIn:
    """Check a user's name, password and, where the second factor is on, code.

    Service users sign in by scripts only.

    Raises
    ------
    Refusal
        400 for an empty name or password; 401 for a wrong name, password or code, in the same words; 403 for a
        service user that signs in to pages; 429 after too many tries.
    CodeNeeded
        400 when the password is right and the code missing.
    """
    checks = Checks()
    if not username:
        checks.note(Refusal(gettext("Type your user name."), field="username"))
    if not password:
        checks.note(Refusal(gettext("Type your password."), field="password"))
    checks.settle()
    attempt = throttle.reserve(database, username, actor.address)
    user = database.scalars(select(User).where(User.username == username)).one_or_none()
    stored = user.password_hash if user else None
    # Hashing is slow, so no lock is held meanwhile.
    database.rollback()
    if not services.passwords.matches(stored, password) or user is None:
        _failed(database, actor, username if user else "(unknown)", "password")
        raise Refusal(gettext(WRONG), 401)
    if stored is not None and services.passwords.is_outdated(stored):
        _rehash(database, user, stored, services.passwords.hash(password))
    if user.is_service and not by_script:
        _failed(database, actor, username, "service user")
        raise Refusal(gettext(ONLY_SCRIPTS), 403)
    if user.has_two_factor and not code:
        throttle.give_back(database, attempt)
        raise CodeNeeded(HalfSignedIn(user.id, proof_of(user)))
    return _finish(database, services, actor, user, code, attempt)


def sign_in_with_code(
    database: Session, services: Services, actor: Actor, half: HalfSignedIn, code: str
) -> SignedIn:
    """Check the code of a user whose password was right a moment ago."""
    if not code:
        raise Refusal(gettext("Type a code of your app, or a backup code."), field="two_factor_code")
    user = database.get(User, half.user_id)
    if user is None or proof_of(user) != half.proof:
        raise Refusal(gettext(WRONG), 401)
    attempt = throttle.reserve(database, user.username, actor.address)
    return _finish(database, services, actor, user, code, attempt)


def proof_of(user: User) -> str:
    """Return a text that changes with the user's password."""
    return hashlib.sha256(user.password_hash.encode()).hexdigest()


def _finish(
    database: Session, services: Services, actor: Actor, user: User, code: str | None, attempt: Try
) -> SignedIn:
    before = _backup_codes(database, user)
    if user.has_two_factor and not _second_factor(database, services, user.id, code or ""):
        _failed(database, actor, user.username, "code")
        raise Refusal(gettext(WRONG), 401, field="two_factor_code", need_two_factor=True)
    left = _backup_codes(database, user)
    done = _succeeded(database, services, actor, user, attempt)
    return replace(done, backup_codes_left=left if left < before else None)


def _backup_codes(database: Session, user: User) -> int:
    """Return how many backup codes of the user are unused."""
    unused = select(func.count()).select_from(BackupCode).where(BackupCode.auth_id == user.id)
    return database.scalar(unused) or 0


@transaction
def _failed(database: Session, actor: Actor, username: str, what: str) -> None:
    audit.record(database, actor, "sign_in.failed", username, wrong=what)


@transaction
def _rehash(database: Session, user: User, stored: str, hashed: str) -> None:
    # Skip the new hash if the password was changed while the old one was rehashed.
    unchanged = (User.id == user.id) & (User.password_hash == stored)
    database.execute(update(User).where(unchanged).values(password_hash=hashed))


@transaction
def _succeeded(database: Session, services: Services, actor: Actor, user: User, attempt: Try) -> SignedIn:
    throttle.succeed(database, attempt)
    failures = _failures(database, user.username)
    own = Actor(user.username, actor.address, actor.request_id)
    apply_policy(database, services, own, user)
    audit.record(database, own, "sign_in.succeeded", user.username)
    return SignedIn(user.id, user.username, failures)


def apply_policy(database: Session, services: Services, own: Actor, user: User) -> None:
    """Require a second factor of a person who signs in, where the settings have it so."""
    if services.settings.require_two_factor and not user.require_two_factor and not user.is_service:
        user.require_two_factor = True
        audit.record(database, own, "two_factor.required", user.username, by="FLOWAUTH_REQUIRE_TWO_FACTOR")


def _failures(database: Session, username: str) -> int:
    """Count failed tries since the last success or unlock, from the trail.

    The throttle forgets tries, the trail does not.
    """
    events = select(AuditEvent.id).where(AuditEvent.subject == username)
    last = database.scalar(
        events.where(AuditEvent.action.in_(("sign_in.succeeded", "user.unlocked")))
        .order_by(AuditEvent.id.desc())
        .limit(1)
    )
    since = events.where(AuditEvent.action == "sign_in.failed", AuditEvent.id > (last or 0))
    return database.scalar(select(func.count()).select_from(since.subquery())) or 0


@transaction
def _second_factor(database: Session, services: Services, user_id: int, code: str) -> bool:
    return consume_code(database, services, user_id, code)


def consume_code(database: Session, services: Services, user_id: int, code: str) -> bool:
    """Accept a code once: the authenticator's first, then a backup code.

    Each code is consumed by one conditional statement, so that only one of two concurrent requests succeeds.
    """
    factor = database.get(TwoFactor, user_id)
    if factor is None or not factor.enabled:
        return False
    secret = services.decrypt(factor.encrypted_secret)
    step = None
    # Without the secret's key, only backup codes can sign in.
    if secret is not None:
        step = two_factor.matching_step(
            secret, two_factor.plain(code), clock.now(), services.settings.two_factor_window
        )
    if step is not None:
        unused = or_(TwoFactor.last_step.is_(None), TwoFactor.last_step < step)
        statement = update(TwoFactor).where(TwoFactor.user_id == user_id, unused).values(last_step=step)
        return _changed_one(database, statement)
    digest = two_factor.backup_digest(services.settings.secret_key, user_id, code)
    return _changed_one(
        database, delete(BackupCode).where(BackupCode.auth_id == user_id, BackupCode.digest == digest)
    )


def _changed_one(database: Session, statement: Update | Delete) -> bool:
    return bool(database.execute(statement).rowcount == 1)  # type: ignore[attr-defined]
