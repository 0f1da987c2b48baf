"""Append to the audit trail in the transaction of the change it describes.

Each row's hash covers its content and the previous row's hash. A row changed, removed or inserted breaks the
chain from there on. The head row keeps the chain's length and last hash.
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

#: Rows of `AuditAnchor`: the trail's start, and how far it was verified.
START, CHECKED = 1, 2


@dataclass(frozen=True)
class Actor:
    """Hold an event's author and address."""

    username: str
    address: str = ""
    request_id: str = ""


#: Actor recorded for commands on the server's own console.
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
    # The next event of this transaction must find this row.
    database.flush()


def hash_of(event: AuditEvent) -> str:
    """Compute the hash of an event."""
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
