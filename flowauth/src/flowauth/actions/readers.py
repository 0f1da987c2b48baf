"""Decide who reads the reports of which recipients, and record each reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flask_babel import gettext
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from flowauth import audit
from flowauth.actions.changes import changes, refuse_if_changed
from flowauth.audit import Actor
from flowauth.database import all_of, transaction
from flowauth.errors import Checks, Refusal
from flowauth.models import ReportReader, User
from flowauth.published import NAME, Published, Report


def read_by(database: Session, user: User) -> list[str]:
    """Return the recipients whose reports the user reads."""
    own = select(ReportReader.recipients).where(ReportReader.user_id == user.id)
    return list(database.scalars(own.order_by(ReportReader.recipients)))


def reads_anything(database: Session, user: User) -> bool:
    """Return whether the user reads any report."""
    return (
        database.scalar(select(ReportReader.user_id).where(ReportReader.user_id == user.id).limit(1))
        is not None
    )


def readable(database: Session, user: User, published: Published, recipients: str, name: str) -> Report:
    """Return a report that the user reads.

    Raises
    ------
    Refusal
        404 for a report that is not there, and in the same words for one of other recipients.
    """
    report = published.report(recipients, name) if recipients in read_by(database, user) else None
    if report is None:
        raise Refusal(gettext("There is no report '%(name)s' that you read.", name=name[:64]), 404)
    return report


@transaction
def note_reading(
    database: Session, actor: Actor, report: Report, period: str, version: str, language: str
) -> None:
    """Record that a page is read."""
    subject = f"{report.recipients}/{report.name}"
    audit.record(database, actor, "report.read", subject, period=period, version=version, language=language)


def known(database: Session, published: Published) -> list[str]:
    """Return all recipients, those without a report included."""
    ticked = database.scalars(select(ReportReader.recipients).distinct())
    return sorted({*published.recipients(), *ticked})


def numbers(database: Session) -> dict[str, int]:
    """Return how many readers each of the recipients has."""
    counted = select(ReportReader.recipients, func.count()).group_by(ReportReader.recipients)
    return dict(database.execute(counted).tuples().all())


def check_recipients(value: str) -> str:
    """Return a name that a report's definition may give its recipients."""
    if not NAME.fullmatch(value):
        raise Refusal(gettext("There are no recipients '%(name)s'.", name=value[:64]), 404)
    return value


def of_recipients(database: Session, recipients: str) -> Sequence[User]:
    """Return the readers, by name."""
    query = select(User).join(ReportReader, ReportReader.user_id == User.id)
    return database.scalars(query.where(ReportReader.recipients == recipients).order_by(User.username)).all()


@transaction
def set_readers(
    database: Session,
    actor: Actor,
    recipients: str,
    users: Iterable[object],
    shown: dict[str, object] | None = None,
) -> None:
    """Let exactly these users read the recipients' reports."""
    checks = Checks()
    before = facts(database, recipients)
    checks(refuse_if_changed, shown, before)
    chosen = checks(_readers, database, users)
    checks.settle()
    database.execute(delete(ReportReader).where(ReportReader.recipients == recipients))
    database.add_all(ReportReader(user_id=user.id, recipients=recipients) for user in chosen)
    database.flush()
    after = facts(database, recipients)
    if before != after:
        audit.record(database, actor, "readers.changed", recipients, **changes(before, after))


def _readers(database: Session, users: Iterable[object]) -> list[User]:
    chosen = all_of(database, User, users, "users")
    if service := next((user for user in chosen if user.is_service), None):
        raise Refusal(
            gettext("%(name)s is a service user, which opens no pages.", name=service.username), field="users"
        )
    return chosen


def facts(database: Session, recipients: str) -> dict[str, object]:
    """Return the readers, as stored in the trail and sent back by the form."""
    return {"readers": [user.username for user in of_recipients(database, recipients)]}
