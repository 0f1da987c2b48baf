"""Manage roles: sets of one server's scopes, with limits and members."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask_babel import gettext
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from flowauth import audit, clock, sessions
from flowauth.actions import running
from flowauth.actions.changes import changes, refuse_if_changed
from flowauth.actions.running import After
from flowauth.actions.servers import check_latest, check_life
from flowauth.audit import Actor
from flowauth.database import all_of, transaction
from flowauth.errors import Checks, Refusal
from flowauth.models import Role, Scope, Server, User
from flowauth.names import check_name


def find_role(database: Session, role_id: int) -> Role:
    role = database.get(Role, role_id)
    if role is None:
        raise Refusal(gettext("There is no role with id %(role_id)s.", role_id=role_id), 404)
    return role


def _locked(database: Session, role_id: int) -> Role:
    """Return the role's current row, locked until the transaction ends."""
    # Do not lock memberships, which refer to this row. Two forms that change a membership from its two ends
    # would deadlock.
    role = database.get(Role, role_id, with_for_update={"key_share": True}, populate_existing=True)
    if role is None:
        raise Refusal(gettext("There is no role with id %(role_id)s.", role_id=role_id), 404)
    return role


@transaction
def save_role(
    database: Session,
    actor: Actor,
    server: Server,
    role: Role | None,
    *,
    name: object,
    scopes: Sequence[str],
    users: Sequence[object],
    longest_token_life_minutes: object,
    latest_token_expiry: object,
    shown: dict[str, Any] | None = None,
    after: After = After.KEEP,
    checks: Checks | None = None,
) -> Role:
    """Create a role (``role`` None) or replace one that still is as ``shown``.

    Raises
    ------
    Refusal
        For a scope of another server, an unknown user, a name taken on this server, or a limit beyond the server's.
    TokensKeepIt
        Running tokens keep what the role or a member loses, and nobody has decided what becomes of them.
    """
    checks = checks or Checks()
    if role is not None:
        role = _locked(database, role.id)
        checks(refuse_if_changed, shown, role_facts(role))
    before = role_facts(role) if role else None
    checked = checks(_free_name, database, server, role, name)
    life = checks(_life, server, longest_token_life_minutes)
    latest = checks(_latest, server, role, latest_token_expiry)
    members = checks(all_of, database, User, users, "users")
    chosen = checks(_scopes, server, scopes)
    checks.settle()
    if role is None:
        role = Role(server=server)
        database.add(role)
    lost = {user.id for user in role.users} - {user.id for user in members}
    role.name = checked
    role.longest_token_life_minutes, role.latest_token_expiry = life, latest
    role.scopes, role.users = chosen, members
    database.flush()
    for user_id in lost:
        sessions.end_all(database, user_id)
    saved = role_facts(role)
    subject = f"{server.name}/{role.name}"
    if before is None:
        audit.record(database, actor, "role.created", subject, **saved)
    elif before != saved:
        losing = _losing(database, role, lost, narrowed=bool(set(before["scopes"]) - set(saved["scopes"])))
        ended = running.settle(
            database, losing, after, f"role {role.name} gives less now, or is not yours any more"
        )
        audit.record(database, actor, "role.changed", subject, **changes(before, saved), **ended)
    return role


def _losing(database: Session, role: Role, lost: set[int], *, narrowed: bool) -> ColumnElement[bool]:
    """Return the condition that a token keeps a right its owner loses by the change."""
    own = running.made_from([role.id])
    if narrowed:
        return own
    longer = running.outliving(database, own, role.longest_token_life_minutes, role.latest_token_expiry)
    return longer | (own & running.of_users(lost)) if lost else longer


@transaction
def delete_role(database: Session, actor: Actor, role: Role, after: After = After.KEEP) -> None:
    """Delete a role.

    Tokens made from the role keep its name. They stay valid until they expire or are revoked.
    """
    role = _locked(database, role.id)
    subject, facts = f"{role.server.name}/{role.name}", role_facts(role)
    members = [user.id for user in role.users]
    ended = running.settle(database, running.made_from([role.id]), after, f"role {role.name} is deleted")
    database.delete(role)
    database.flush()
    for user_id in members:
        sessions.end_all(database, user_id)
    audit.record(database, actor, "role.deleted", subject, **facts, **ended)


def _free_name(database: Session, server: Server, role: Role | None, name: object) -> str:
    checked = check_name(name, "name")
    clash = select(Role).where(Role.name == checked, Role.server_id == server.id)
    if database.scalars(clash).one_or_none() not in (None, role):
        raise Refusal(
            gettext("%(name)s has a role %(checked)s already.", name=server.name, checked=checked),
            field="name",
        )
    return checked


def _life(server: Server, value: object) -> int:
    life = check_life(value, server.longest_token_life_minutes)
    if life > server.longest_token_life_minutes:
        raise Refusal(
            gettext(
                "The longest life may be no more than the server's %(longest_token_life_minutes)s minutes.",
                longest_token_life_minutes=server.longest_token_life_minutes,
            ),
            field="longest_token_life_minutes",
        )
    return life


def _latest(server: Server, role: Role | None, value: object) -> datetime | None:
    latest = check_latest(value, role.latest_token_expiry if role else None)
    if server.latest_token_expiry is not None and (latest is None or latest > server.latest_token_expiry):
        raise Refusal(
            gettext(
                "The latest expiry may be no later than the server's %(latest_token_expiry)s.",
                latest_token_expiry=clock.iso(server.latest_token_expiry),
            ),
            field="latest_token_expiry",
        )
    return latest


def _scopes(server: Server, names: Sequence[str]) -> list[Scope]:
    offered = {scope.name: scope for scope in server.scopes}
    if strange := sorted({str(name)[:120] for name in names if name not in offered}):
        raise Refusal(
            gettext("%(name)s does not offer the scope %(strange)s.", name=server.name, strange=strange[0]),
            field="scopes",
        )
    if not names:
        raise Refusal(gettext("Choose at least one scope."), field="scopes")
    return [offered[name] for name in sorted(set(names))]


def role_facts(role: Role) -> dict[str, Any]:
    """Return the role's properties, as stored in the trail and sent back by forms."""
    return {
        "name": role.name,
        "scopes": sorted(scope.name for scope in role.scopes),
        "users": sorted(user.username for user in role.users),
        "longest_token_life_minutes": role.longest_token_life_minutes,
        "latest_token_expiry": role.latest_token_expiry and clock.iso(role.latest_token_expiry),
    }
