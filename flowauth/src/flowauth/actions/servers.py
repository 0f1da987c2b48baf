"""Register API servers and keep their scopes up to date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from flowauth import audit, clock, revocation
from flowauth.actions import running
from flowauth.actions.running import After
from flowauth.api_description import ApiDescription
from flowauth.audit import Actor
from flowauth.database import transaction
from flowauth.errors import Checks, Refusal
from flowauth.expiry import LONGEST_LIFE_MINUTES
from flowauth.models import Role, Scope, Server, Token, User, scopes_in_role, tokens_with_roles
from flowauth.names import check_audience

DEFAULT_LIFE_MINUTES = 1440


@dataclass(frozen=True)
class Difference:
    """Describe the effect of a description: scopes added, removed and lost by roles."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    roles: dict[str, tuple[str, ...]]

    @property
    def is_empty(self) -> bool:
        return not self.added and not self.removed


def find_server(database: Session, name: str) -> Server:
    server = database.scalars(select(Server).where(Server.name == name)).one_or_none()
    if server is None:
        raise Refusal(gettext("There is no server '%(name)s'.", name=name[:75]), 404)
    return server


def difference(server: Server | None, description: ApiDescription) -> Difference:
    """Compare a server, or None for a new server, with a description.

    Raises
    ------
    Refusal
        When the description is of another server: a server's name is the audience of its tokens and stays.
    """
    if server is None:
        return Difference(description.scopes, (), {})
    if description.audience != server.name:
        raise Refusal(
            gettext(
                "This description is of server %(audience)s, not of %(name)s.",
                audience=description.audience,
                name=server.name,
            ),
            field="description",
        )
    present, offered = {scope.name for scope in server.scopes}, set(description.scopes)
    removed = present - offered
    roles = {
        role.name: lost
        for role in server.roles
        if (lost := tuple(sorted(removed & {scope.name for scope in role.scopes})))
    }
    return Difference(tuple(sorted(offered - present)), tuple(sorted(removed)), roles)


def check_free(database: Session, description: ApiDescription) -> str:
    """Return the name of a described server that is not registered yet."""
    name = check_audience(description.audience, "description")
    if database.scalars(select(Server.id).where(Server.name == name)).first() is not None:
        raise Refusal(
            gettext("Server %(name)s is registered already: open it to update its scopes.", name=name),
            field="description",
        )
    return name


def check_life(value: object, most: int = LONGEST_LIFE_MINUTES) -> int:
    """Return the longest token lifetime in minutes.

    ``most`` is told; the caller compares.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LONGEST_LIFE_MINUTES:
        raise Refusal(
            gettext(
                "The longest life must be a whole number of minutes from 1 to %(longest_life_minutes)s.",
                longest_life_minutes=most,
            ),
            field="longest_token_life_minutes",
        )
    return value


def check_latest(value: object, present: datetime | None = None) -> datetime | None:
    """Return the latest expiry, which must be in the future or unchanged."""
    latest = clock.check(value, "latest_token_expiry")
    if latest is not None and latest != present and latest <= clock.now():
        raise Refusal(gettext("The latest expiry must be in the future."), field="latest_token_expiry")
    return latest


@transaction
def register_server(
    database: Session,
    actor: Actor,
    description: ApiDescription,
    longest_token_life_minutes: object = DEFAULT_LIFE_MINUTES,
    latest_token_expiry: object = None,
    checks: Checks | None = None,
) -> Server:
    """Register a server from its description."""
    checks = checks or Checks()
    # A script's description may be refused already.
    name = checks(check_free, database, description) if "description" not in checks.fields else ""
    life = checks(check_life, longest_token_life_minutes)
    latest = checks(check_latest, latest_token_expiry)
    checks.settle()
    server = Server(
        name=name,
        longest_token_life_minutes=life,
        latest_token_expiry=latest,
        scopes=[Scope(name=scope) for scope in description.scopes],
        kind_sentences=dict(description.sentences),
    )
    database.add(server)
    database.flush()
    audit.record(database, actor, "server.registered", name, **_facts(server), scopes=len(description.scopes))
    return server


@transaction
def update_scopes(
    database: Session,
    actor: Actor,
    server: Server,
    description: ApiDescription,
    after: After = After.KEEP,
) -> Difference:
    """Replace the server's scopes by the description's.

    Scopes that stay remain in their roles. Removed scopes leave all roles.
    """
    _lock(database, server)
    change = difference(server, description)
    server.kind_sentences = dict(description.sentences)
    if change.is_empty:
        return change
    ended = running.settle(
        database, holding_removed(server, change), after, "the server no longer offers a scope of its roles"
    )
    removed = set(change.removed)
    server.scopes = [scope for scope in server.scopes if scope.name not in removed]
    server.scopes.extend(Scope(name=name) for name in change.added)
    database.flush()
    for role in server.roles:
        database.expire(role, ["scopes"])
    audit.record(
        database,
        actor,
        "server.scopes_changed",
        server.name,
        added=list(change.added),
        removed=list(change.removed),
        roles={name: list(lost) for name, lost in change.roles.items()},
        **ended,
    )
    return change


def holding_removed(server: Server, change: Difference) -> ColumnElement[bool]:
    """Return the condition that a token's role loses scopes by the change."""
    return running.made_from([role.id for role in server.roles if role.name in change.roles])


def _lock(database: Session, server: Server) -> None:
    """Lock the server until the transaction ends; wait for tokens being made."""
    query = select(Server.id).where(Server.id == server.id)
    database.execute(query.with_for_update(key_share=True))


@transaction
def change_limits(
    database: Session,
    actor: Actor,
    server: Server,
    longest_token_life_minutes: object,
    latest_token_expiry: object,
    after: After = After.KEEP,
) -> Server:
    """Set new limits.

    Roles with higher limits stay valid, because the earliest cap applies. The page lists them.
    """
    _lock(database, server)
    before, checks = _facts(server), Checks()
    life = checks(check_life, longest_token_life_minutes)
    latest = checks(check_latest, latest_token_expiry, server.latest_token_expiry)
    checks.settle()
    server.longest_token_life_minutes, server.latest_token_expiry = life, latest
    changed = _facts(server)
    if before != changed:
        longer = running.outliving(
            database,
            Token.server_id == server.id,
            server.longest_token_life_minutes,
            server.latest_token_expiry,
        )
        ended = running.settle(database, longer, after, "the server's limits are shorter now")
        audit.record(
            database, actor, "server.limits_changed", server.name, before=before, after=changed, **ended
        )
    return server


@transaction
def enable_scopes(
    database: Session, actor: Actor, server: Server, enabled: set[str], after: After = After.KEEP
) -> None:
    """Enable exactly these scopes.

    New tokens omit disabled scopes.
    """
    _lock(database, server)
    changed = [scope for scope in server.scopes if scope.enabled != (scope.name in enabled)]
    for scope in changed:
        scope.enabled = not scope.enabled
    if changed:
        off = [scope.id for scope in changed if not scope.enabled]
        holders = select(scopes_in_role.c.role_id).where(scopes_in_role.c.scope_id.in_(off))
        losing = Token.id.in_(
            select(tokens_with_roles.c.token_id).where(tokens_with_roles.c.role_id.in_(holders))
        )
        ended = running.settle(database, losing, after, "a scope of its roles is switched off")
        audit.record(
            database,
            actor,
            "server.scopes_switched",
            server.name,
            on=sorted(scope.name for scope in changed if scope.enabled),
            off=sorted(scope.name for scope in changed if not scope.enabled),
            **ended,
        )


@transaction
def delete_server(database: Session, actor: Actor, server: Server) -> None:
    """Delete a server with its scopes, roles and token history.

    Tokens that still run are revoked.
    """
    # A token being made refers to this row, so the lock waits for the token and then sees it.
    locked = database.get(Server, server.id, with_for_update=True, populate_existing=True)
    if locked is None:
        raise Refusal(gettext("There is no server '%(name)s'.", name=server.name), 404)
    facts = {**_facts(server), **goes_with(database, server)}
    facts["revoked"] = len(revocation.revoke(database, server.tokens, "the server is deleted"))
    name = server.name
    database.delete(server)
    database.flush()
    audit.record(database, actor, "server.deleted", name, **facts)


def goes_with(database: Session, server: Server) -> dict[str, Any]:
    """Count what deleting the server removes."""
    holders = select(User.username).join(User.roles).where(Role.server_id == server.id).distinct()
    return {
        "roles": [role.name for role in server.roles],
        "scopes": database.scalar(select(func.count(Scope.id)).where(Scope.server_id == server.id)) or 0,
        "tokens": database.scalar(select(func.count(Token.id)).where(Token.server_id == server.id)) or 0,
        "users": list(database.scalars(holders.order_by(User.username))),
    }


def exceeding_roles(server: Server) -> list[Role]:
    """Return the roles whose limits exceed the server's and have no effect."""
    return [
        role
        for role in server.roles
        if role.longest_token_life_minutes > server.longest_token_life_minutes
        or (
            server.latest_token_expiry is not None
            and (role.latest_token_expiry is None or role.latest_token_expiry > server.latest_token_expiry)
        )
    ]


def _facts(server: Server) -> dict[str, Any]:
    return {
        "longest_token_life_minutes": server.longest_token_life_minutes,
        "latest_token_expiry": server.latest_token_expiry and clock.iso(server.latest_token_expiry),
    }
