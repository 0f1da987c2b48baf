"""Slow down password guessing per account and per address.

Tries at a place where the account has signed in before are counted apart, so that a stranger's tries elsewhere do
not lock its owner out.

Each try beyond the allowance doubles the wait. A try is counted *before* the password is checked, so that
parallel tries cannot all slip through. Unknown accounts are counted like known accounts, so that the wait
reveals nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_babel import ngettext
from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.database import transaction
from flowauth.errors import Refusal
from flowauth.models import AuditEvent, SignInAttempts

ACCOUNT_TRIES = 5
ADDRESS_TRIES = 30
LONGEST_WAIT = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=1)
#: An address is a known place of an account for this long after a sign-in.
KNOWN_FOR = timedelta(days=90)


@dataclass(frozen=True)
class Try:
    """Identify one counted try and its number since the last success.

    ``account`` stands for the account at unknown places, or at one known place.
    """

    account: str
    address: str
    on_account: int
    on_address: int


def _account(username: str) -> str:
    # Names are hashed, because people type passwords into the wrong field.
    return "account:" + hashlib.sha256(username.encode()).hexdigest()[:64]


def _at_known(username: str, address: str) -> str:
    return f"{_known(username)}{hashlib.sha256(address.encode()).hexdigest()[:32]}"


def _known(username: str) -> str:
    return f"known:{hashlib.sha256(username.encode()).hexdigest()[:40]}:"


def _address(address: str) -> str:
    return f"address:{address}"[:80]


@transaction
def reserve(database: Session, username: str, address: str) -> Try:
    """Count one try.

    Raises
    ------
    Refusal
        429 with ``retry_after`` in seconds while the account or the address has to wait.
    """
    known = _signed_in_before(database, username, address)
    account = _at_known(username, address) if known else _account(username)
    place = _address(address)
    return Try(
        account, place, _count(database, account, ACCOUNT_TRIES), _count(database, place, ADDRESS_TRIES)
    )


def _signed_in_before(database: Session, username: str, address: str) -> bool:
    """Return whether the trail has a recent sign-in of the account at the address."""
    found = select(AuditEvent.id).where(
        AuditEvent.subject == username,
        AuditEvent.action == "sign_in.succeeded",
        AuditEvent.address == address,
        AuditEvent.at > clock.now() - KNOWN_FOR,
    )
    return bool(address) and database.scalar(found.limit(1)) is not None


def succeed(database: Session, attempt: Try) -> None:
    """Clear the account's tries and uncount this try for the address.

    The address keeps its earlier tries. Otherwise the owner of one account could guess at others without
    limit.
    """
    database.execute(delete(SignInAttempts).where(SignInAttempts.subject == attempt.account))
    _give_back(database, attempt.address, attempt.on_address, ADDRESS_TRIES)


@transaction
def give_back(database: Session, attempt: Try) -> None:
    """Uncount a try that was neither a success nor a failure."""
    _give_back(database, attempt.account, attempt.on_account, ACCOUNT_TRIES)
    _give_back(database, attempt.address, attempt.on_address, ADDRESS_TRIES)


def unlock(database: Session, username: str) -> None:
    """Clear an account's waits, at known places, too."""
    database.execute(delete(SignInAttempts).where(_of_account(username)))


def blocked_until(database: Session, username: str) -> datetime | None:
    """Return the end of an account's last wait, or None."""
    ends = select(SignInAttempts.blocked_until).where(
        _of_account(username), SignInAttempts.blocked_until > clock.now()
    )
    return max((end for end in database.scalars(ends) if end is not None), default=None)


def blocked(database: Session, usernames: Iterable[str]) -> list[str]:
    """Return the accounts that have to wait."""
    waiting = set(
        database.scalars(select(SignInAttempts.subject).where(SignInAttempts.blocked_until > clock.now()))
    )
    known = {subject.rpartition(":")[0] + ":" for subject in waiting if subject.startswith("known:")}
    return (
        [name for name in usernames if _account(name) in waiting or _known(name) in known] if waiting else []
    )


def _of_account(username: str) -> ColumnElement[bool]:
    return or_(
        SignInAttempts.subject == _account(username), SignInAttempts.subject.startswith(_known(username))
    )


def _row(database: Session, subject: str) -> SignInAttempts:
    query = select(SignInAttempts).where(SignInAttempts.subject == subject).with_for_update()
    row = database.scalars(query).one_or_none()
    if row is None:
        try:
            with database.begin_nested():
                row = SignInAttempts(subject=subject, attempts=0, last_attempt=clock.now())
                database.add(row)
        except IntegrityError:
            row = database.scalars(query).one()
    return row


def _count(database: Session, subject: str, free: int) -> int:
    row, now = _row(database, subject), clock.now()
    if row.blocked_until and row.blocked_until > now:
        wait = math.ceil((row.blocked_until - now).total_seconds())
        raise Refusal(
            ngettext("Too many tries. Wait %(num)s second.", "Too many tries. Wait %(num)s seconds.", wait),
            429,
            retry_after=wait,
        )
    if now - row.last_attempt > FORGOTTEN_AFTER:
        row.attempts = 0
    row.attempts += 1
    row.last_attempt = now
    row.blocked_until = now + _wait(row.attempts - free) if row.attempts >= free else None
    return row.attempts


def _wait(excess: int) -> timedelta:
    return min(timedelta(seconds=2 ** min(excess + 1, 20)), LONGEST_WAIT)


def _give_back(database: Session, subject: str, number: int, free: int) -> None:
    row = _row(database, subject)
    # Tries are counted only while no wait stands, so the last try set the present wait.
    is_last = row.attempts == number
    row.attempts = max(row.attempts - 1, 0)
    if is_last or row.attempts < free:
        row.blocked_until = None
