"""Collect what the app holds about a user."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.actions import credentials, identities, readers, trail
from flowauth.actions.users import user_facts
from flowauth.models import AuditEvent, Token, User


def my_data(database: Session, user: User) -> dict[str, Any]:
    """Return what is stored about the user.

    Passwords, secrets and the texts of tokens are left out.
    """
    tokens = select(Token).where(Token.user_id == user.id).order_by(Token.id)
    about = trail.about(trail.names_of(database, user.username))
    return {
        "account": {**user_facts(user), "language": user.language},
        "reads_reports_of": readers.read_by(database, user),
        "identities": [
            {"provider": one.issuer, "subject": one.subject, "connected": _iso(one.created)}
            for one in identities.of_user(database, user)
        ],
        "credentials": [
            {
                "name": one.name,
                "rights": one.rights,
                "created": _iso(one.created),
                "expires": _iso(one.expires),
                "last_used": _iso(one.last_used),
            }
            for one in credentials.of_user(database, user)
        ],
        "tokens": [
            {
                "name": one.name,
                "server": one.server.name,
                "roles": one.role_names,
                "issued": _iso(one.issued),
                "expires": _iso(one.expiry),
                "last_used": _iso(one.last_used),
                "revoked": _iso(one.revoked_at),
                "revoked_because": one.revoked_because,
            }
            for one in database.scalars(tokens)
        ],
        "events": [
            {
                "at": _iso(one.at),
                "actor": one.actor,
                "action": one.action,
                "subject": one.subject,
                "detail": one.detail,
                "address": one.address,
            }
            for one in database.scalars(select(AuditEvent).where(about).order_by(AuditEvent.id))
        ],
    }


def _iso(moment: datetime | None) -> str | None:
    return clock.iso(moment) if moment else None
