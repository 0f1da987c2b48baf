"""Read the audit trail, verify its hash chain and delete old events."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

from flask_babel import gettext
from sqlalchemy import Select, Text, cast, delete, func, or_, select
from sqlalchemy.orm import Session

from flowauth import audit, clock
from flowauth.actions.changes import changes
from flowauth.audit import CHECKED, START, Actor
from flowauth.database import transaction
from flowauth.errors import Refusal
from flowauth.models import AuditAnchor, AuditEvent, AuditHead

_AT_ONCE = 1000
_SHOWN = 5


@dataclass(frozen=True)
class Question:
    """Hold a search for events; an empty or None field does not restrict."""

    search: str = ""
    #: A user, under any past name.
    who: str = ""
    first: datetime | None = None
    #: Exclusive.
    last: datetime | None = None


def events(database: Session, question: Question) -> Select[tuple[AuditEvent]]:
    """Return the matching events."""
    query = select(AuditEvent)
    if question.search:
        texts: tuple[Any, ...] = (
            AuditEvent.actor,
            AuditEvent.action,
            AuditEvent.subject,
            cast(AuditEvent.detail, Text),
            AuditEvent.request_id,
        )
        # One text is put into lower case in half the time of five. No search has the line break between.
        line = reduce(lambda found, text: found + "\n" + text, texts)
        query = query.where(line.icontains(question.search, autoescape=True))
    if question.who:
        query = query.where(about(names_of(database, question.who)))
    if question.first is not None:
        query = query.where(AuditEvent.at >= question.first)
    if question.last is not None:
        query = query.where(AuditEvent.at < question.last)
    return query


def about(names: Collection[str]) -> Any:
    """Return the condition that an event is by or about a user of these names."""
    return or_(AuditEvent.actor.in_(names), AuditEvent.subject.in_(names))


def names_of(database: Session, name: str) -> set[str]:
    """Return every name that the user of this name has had, from the trail."""
    names, new = {name}, {name}
    while new:
        told = cast(AuditEvent.detail, Text)
        mentioned = or_(*(told.contains(f'"username": "{one}"', autoescape=True) for one in new))
        renamed = select(AuditEvent.detail).where(AuditEvent.action == "user.changed", mentioned)
        found: set[str] = set()
        for detail in database.scalars(renamed):
            pair = {detail.get(side, {}).get("username") for side in ("before", "after")} - {None}
            if pair & new:
                found |= pair
        new = found - names
        names |= new
    return names


def told(event: AuditEvent) -> list[tuple[str, str]]:
    """Return an event's detail for people: of a change, only the differences.

    Each difference is a name and a text.
    """
    detail = dict(event.detail)
    before, after = detail.get("before"), detail.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        del detail["before"], detail["after"]
        if before.keys() <= after.keys():
            detail = {**changes(before, after), **detail}
    return [(gettext(key.replace("_", " ")), _text(value)) for key, value in detail.items()]


def _text(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"before", "after"}:
        return f"{_plain(value['before'])} → {_plain(value['after'])}"
    if isinstance(value, dict) and value.keys() == {"added", "removed"}:
        parts = [f"{sign}{item}" for sign, key in (("+", "added"), ("-", "removed")) for item in value[key]]
        return _few(parts)
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return _few([str(item) for item in value]) or gettext("none")
    if isinstance(value, dict):
        return _few([f"{key}: {_plain(one)}" for key, one in value.items()]) or gettext("none")
    return gettext("none") if value is None else str(value)


def _few(parts: list[str]) -> str:
    more = len(parts) - _SHOWN
    rest = " " + gettext("and %(number)s more", number=more) if more > 0 else ""
    return ", ".join(parts[:_SHOWN]) + rest


def check(database: Session, *, everything: bool = False) -> str | None:
    """Return None when the chain is whole, else a sentence with the first break.

    Unless ``everything`` is set, events verified before are not hashed again. Only their count and last hash
    are compared.
    """
    begin = database.get_one(AuditAnchor, START if everything else CHECKED)
    start = database.get_one(AuditAnchor, START)
    if begin.event_id < start.event_id:
        begin = start
    if begin.event_id != start.event_id:
        known = database.get(AuditEvent, begin.event_id)
        count = database.scalar(select(func.count(AuditEvent.id)).where(AuditEvent.id <= begin.event_id)) or 0
        if known is None or known.hash != begin.hash or known.hash != audit.hash_of(known):
            return gettext("The trail does not hold at event %(id)s.", id=begin.event_id)
        if start.length + count != begin.length:
            return gettext(
                "Up to event %(id)s the trail should have %(expected)s events and has %(found)s.",
                id=begin.event_id,
                expected=begin.length - start.length,
                found=count,
            )
    previous, count, last = begin.hash, begin.length, begin.event_id
    while True:
        query = select(AuditEvent).where(AuditEvent.id > last).order_by(AuditEvent.id).limit(_AT_ONCE)
        found = database.scalars(query).all()
        for event in found:
            if event.previous_hash != previous or event.hash != audit.hash_of(event):
                return gettext("The trail does not hold from event %(id)s on.", id=event.id)
            previous, count, last = event.hash, count + 1, event.id
            database.expunge(event)
        if len(found) < _AT_ONCE:
            break
    head = database.scalars(select(AuditHead)).one()
    if (head.length, head.hash) != (count, previous):
        return gettext(
            "The trail should have %(expected)s events and has %(found)s.",
            expected=head.length - start.length,
            found=count - start.length,
        )
    if last != database.get_one(AuditAnchor, CHECKED).event_id:
        _remember(database, last, count, previous)
    return None


@transaction
def _remember(database: Session, event_id: int, length: int, last_hash: str) -> None:
    anchor = database.get_one(AuditAnchor, CHECKED)
    anchor.event_id, anchor.length, anchor.hash = event_id, length, last_hash


@transaction
def forget(database: Session, actor: Actor, before: datetime) -> int:
    """Delete the events before a moment; return how many were deleted.

    The chain before that moment is verified first. The hash of the last deleted event is kept, so that the
    chain continues.

    Raises
    ------
    Refusal
        409 when the chain is broken: then nothing is deleted.
    """
    problem = check(database, everything=True)
    if problem:
        raise Refusal(gettext("%(problem)s Nothing is deleted.", problem=problem), 409)
    youngest = select(func.min(AuditEvent.id)).where(AuditEvent.at >= before).scalar_subquery()
    last = database.scalars(
        select(AuditEvent)
        .where(or_(AuditEvent.id < youngest, youngest.is_(None)))
        .order_by(AuditEvent.id.desc())
        .limit(1)
    ).one_or_none()
    if last is None:
        return 0
    count = database.scalar(select(func.count(AuditEvent.id)).where(AuditEvent.id <= last.id)) or 0
    start = database.get_one(AuditAnchor, START, with_for_update=True)
    start.event_id, start.length, start.hash = last.id, start.length + count, last.hash
    # Record this before deleting, because SQLite would reuse the id of a deleted last event.
    audit.record(database, actor, "audit.forgotten", f"{count} events", before=clock.iso(before))
    database.execute(delete(AuditEvent).where(AuditEvent.id <= start.event_id))
    return count
