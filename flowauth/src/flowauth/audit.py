"""The audit trail: who did what, in the same transaction as the change, chained by hashes.

Each row's hash covers its content and the hash of the row before it, so that a row changed, removed or slipped in
breaks the chain from there on; the head row keeps the chain's length and last hash.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.models import AuditEvent, AuditHead

#: Rows of `AuditAnchor`: where the trail begins, and how far it was found whole.
START, CHECKED = 1, 2


@dataclass(frozen=True)
class Actor:
    """Who acts, and from where."""

    username: str
    address: str = ""
    request_id: str = ""


#: What a command run by the operator on the server's own console is recorded as.
CONSOLE = Actor("(console)")


def record(database: Session, actor: Actor, action: str, subject: str, **detail: Any) -> None:
    """Append one event to the trail, within the caller's transaction.

    Parameters
    ----------
    action
        ``thing.verb``, such as ``role.changed``.
    detail
        What changed, before and after; never a secret.
    """
    head = database.scalars(select(AuditHead).with_for_update()).one()
    event = AuditEvent(
        at=clock.now(),
        actor=actor.username[:75],
        action=action,
        subject=subject[:200],
        detail=detail,
        address=actor.address[:60],
        request_id=actor.request_id,
        previous_hash=head.hash,
        hash="",
    )
    event.hash = hash_of(event)
    database.add(event)
    head.length += 1
    head.hash = event.hash
    # The next event of this transaction must find this one.
    database.flush()


def hash_of(event: AuditEvent) -> str:
    """What an event's hash has to be."""
    content = [
        event.previous_hash,
        clock.iso(event.at),
        event.actor,
        event.action,
        event.subject,
        event.detail,
        event.address,
        event.request_id,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
