"""Mint, renew, reveal and revoke tokens."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.orm import Session, defer, joinedload

from flowauth import audit, clock, revocation
from flowauth.actions import signing_keys
from flowauth.audit import Actor
from flowauth.database import transaction
from flowauth.errors import Checks, Refusal
from flowauth.expiry import Cap, Limit, earliest, expiry
from flowauth.models import Role, Server, Token, User
from flowauth.names import check_name
from flowauth.services import Services
from flowauth.signing import sign


def limits(server: Server, roles: Iterable[Role]) -> list[Limit]:
    """Return the server's cap and each role's cap on expiry."""
    return [
        Limit(
            gettext("server %(name)s", name=server.name),
            timedelta(minutes=server.longest_token_life_minutes),
            server.latest_token_expiry,
        ),
        *(
            Limit(
                gettext("role %(name)s", name=role.name),
                timedelta(minutes=role.longest_token_life_minutes),
                role.latest_token_expiry,
            )
            for role in roles
        ),
    ]


def servers_of(user: User) -> list[Server]:
    """Return the servers on which the user holds a role, by name."""
    return sorted({role.server for role in user.roles}, key=lambda server: server.name)


def roles_on(user: User, server: Server) -> list[Role]:
    """Return the user's roles on a server, by name."""
    return [role for role in user.roles if role.server_id == server.id]


def own_server(user: User, name: str) -> Server:
    """Return the named server.

    A server on which the user holds no role is reported as unknown.
    """
    return _named(servers_of(user), name)


def shown_servers(database: Session, user: User) -> list[Server]:
    """Return servers where the user holds a role or has made tokens, by name."""
    used = select(Server).where(
        Server.id.in_(select(Token.server_id).where(Token.user_id == user.id).distinct())
    )
    return sorted({*servers_of(user), *database.scalars(used)}, key=lambda server: server.name)


def shown_server(database: Session, user: User, name: str) -> Server:
    """Return the named server if the user may view its tokens.

    This includes servers where the user's last role is gone.
    """
    return _named(shown_servers(database, user), name)


def _named(servers: Iterable[Server], name: str) -> Server:
    for server in servers:
        if server.name == name:
            return server
    raise Refusal(gettext("There is no server '%(name)s' on which you hold a role.", name=name[:75]), 404)


def chosen_roles(user: User, server: Server, names: object) -> list[Role]:
    """Return the named roles that the user holds on this server, without repeats."""
    if not isinstance(names, Sequence) or isinstance(names, str) or not names:
        raise Refusal(gettext("Choose at least one role."), field="roles")
    if not all(isinstance(name, str) for name in names):
        raise Refusal(gettext("roles must be a list of role names."), field="roles")
    held = {role.name: role for role in roles_on(user, server)}
    if missing := sorted({name[:75] for name in names if name not in held}):
        raise Refusal(
            gettext(
                "You do not hold on %(name)s: %(missing)s.", name=server.name, missing=", ".join(missing)
            ),
            401,
            field="roles",
        )
    return [held[name] for name in sorted(set(names))]


def requested_end(
    server: Server, roles: Sequence[Role], lifetime_minutes: object, now: datetime
) -> datetime | None:
    """Return the expiry for a requested lifetime; None when none is requested."""
    if lifetime_minutes is None:
        return None
    if not isinstance(lifetime_minutes, int) or isinstance(lifetime_minutes, bool) or lifetime_minutes < 1:
        raise Refusal(gettext("lifetime_minutes must be a whole number above 0."), field="lifetime_minutes")
    cap = earliest(limits(server, roles), now)
    most = max(int((cap.at - now).total_seconds()) // 60, 0)
    if lifetime_minutes > most and cap.at > now:
        raise Refusal(
            gettext(
                "lifetime_minutes may be no more than %(most)s: the %(reason)s.", most=most, reason=cap.reason
            ),
            field="lifetime_minutes",
        )
    # When a cap has passed, every lifetime is too long; `expiry` reports this better.
    return None if cap.at <= now else now + timedelta(minutes=lifetime_minutes)


def resulting_expiry(server: Server, roles: Sequence[Role], requested: datetime | None, now: datetime) -> Cap:
    """Return the expiry that `mint` would set."""
    return expiry(limits(server, roles), now, requested)


@transaction
def mint(
    database: Session,
    services: Services,
    actor: Actor,
    user: User,
    server_name: str,
    name: object,
    role_names: object,
    *,
    lifetime_minutes: object = None,
    expires: object = None,
    checks: Checks | None = None,
) -> tuple[Token, str]:
    """Mint a token from roles that the user holds on the server; return its text.

    Raises
    ------
    Refusal
        404 for a server without own roles, 400 for a bad field, 401 for a role not held or a cap already past.
    """
    checks = checks or Checks()
    _hold(database, user)
    server = own_server(user, server_name)
    checked = checks(check_name, name, "name")
    roles = checks(chosen_roles, user, server, role_names)
    now = clock.now()
    end = checks(clock.check, expires, "expires")
    # Without roles, only the server limits what was asked for.
    if end is None:
        end = checks(requested_end, server, roles or (), lifetime_minutes, now)
    cap = checks(resulting_expiry, server, roles or (), end, now)
    checks.settle()
    return _issue(database, services, actor, user, server, checked, roles, cap.at, now, "token.minted")


@transaction
def renew(
    database: Session,
    services: Services,
    actor: Actor,
    user: User,
    token_id: int,
    lifetime_minutes: object = None,
    checks: Checks | None = None,
) -> tuple[Token, str]:
    """Mint a token with the name and roles of an earlier token.

    The earlier token stays as it is. The new token gets the roles' present scopes.
    """
    _hold(database, user)
    old = own_token(database, user, token_id)
    if old.revoked_at is not None:
        raise Refusal(gettext("A revoked token cannot be renewed."))
    if not old.role_names:
        raise Refusal(gettext("No roles are recorded for this token."))
    if lost := _lost_roles(user, old):
        raise Refusal(
            gettext(
                "You no longer hold roles of this token: %(lost)s. Make a new token.", lost=", ".join(lost)
            ),
            401,
        )
    now = clock.now()
    roles = list(old.roles)
    checks = checks or Checks()
    end = checks(requested_end, old.server, roles, lifetime_minutes, now)
    cap = checks(resulting_expiry, old.server, roles, end, now)
    checks.settle()
    return _issue(database, services, actor, user, old.server, old.name, roles, cap.at, now, "token.renewed")


def _hold(database: Session, user: User) -> None:
    """Lock the user's rights until the token is made.

    A later change of rights then finds the token and can revoke it.
    """
    for table, query in (
        (User, select(User.id)),
        (Server, select(Role.server_id).join(Role.users).where(User.id == user.id)),
        (Role, select(Role.id).join(Role.users).where(User.id == user.id)),
    ):
        row = select(table.id).order_by(table.id).with_for_update(read=True)
        database.execute(row.where(table.id == user.id if table is User else table.id.in_(query)))


def _lost_roles(user: User, token: Token) -> list[str]:
    """Return the names of the token's roles that the user no longer holds.

    Roles are compared by id, because a role may be renamed and its name reused.
    """
    lost = [role.name for role in token.roles if role not in user.roles]
    if len(token.roles) < len(token.role_names):
        lost += set(token.role_names) - {role.name for role in token.roles}
    return sorted(lost)


@transaction
def reveal(
    database: Session, services: Services, actor: Actor, user: User, token_id: int
) -> tuple[Token, str]:
    """Return the text of the user's own token; record each look.

    Where the settings have it so, the first look is the last.
    """
    token = own_token(database, user, token_id)
    if token.revoked_at is not None:
        raise Refusal(gettext("A revoked token cannot be viewed, copied or downloaded: make a new one."))
    if not token.encrypted_token:
        raise Refusal(
            gettext("The text of this token was shown once, and is not kept: make a new token."), 410
        )
    text = services.decrypt(token.encrypted_token)
    if text is None:
        raise Refusal(gettext("The key that this token was stored with is gone: make a new token."), 410)
    if services.settings.show_tokens_once:
        token.encrypted_token = ""
    audit.record(database, actor, "token.revealed", f"{token.server.name}/{token.name}", jti=token.jti)
    return token, text


def forget_if_shown_once(database: Session, services: Services, token: Token) -> None:
    """Forget the text of a token that was just sent, where the settings have it so."""
    if services.settings.show_tokens_once:
        _forget(database, token)


@transaction
def _forget(database: Session, token: Token) -> None:
    token.encrypted_token = ""


@transaction
def revoke(database: Session, actor: Actor, user: User, token_id: int) -> Token:
    """Revoke the user's own token.

    API servers get it in their list. Its text can be neither copied nor renewed.
    """
    token = own_token(database, user, token_id)
    if revocation.revoke(database, [token], "by yourself"):
        audit.record(database, actor, "token.revoked", f"{token.server.name}/{token.name}", jti=token.jti)
    return token


@transaction
def hide(
    database: Session, actor: Actor, user: User, server: Server, token_id: int | str | None = None
) -> int:
    """Hide one ended token of the user, or all on a server; return how many.

    Raises
    ------
    Refusal
        409 for a running token: it would be used unseen.
    """
    ended = [token for token in tokens_on(database, user, server) if token.has_ended and not token.is_hidden]
    if token_id is not None:
        token = own_token(database, user, token_id)
        if not token.has_ended:
            raise Refusal(gettext("A running token cannot be hidden: revoke it first."), 409)
        ended = [one for one in ended if one.id == token.id]
    for token in ended:
        token.is_hidden = True
    if ended:
        names = [token.name for token in ended]
        audit.record(database, actor, "tokens.hidden", server.name, tokens=names)
    return len(ended)


@transaction
def show_hidden(database: Session, actor: Actor, user: User, server: Server) -> int:
    """Put the user's hidden tokens on a server back into the list; return how many."""
    hidden = [token for token in tokens_on(database, user, server) if token.is_hidden]
    for token in hidden:
        token.is_hidden = False
    if hidden:
        audit.record(database, actor, "tokens.shown", server.name, tokens=[token.name for token in hidden])
    return len(hidden)


def own_token(database: Session, user: User, token_id: int | str) -> Token:
    token = database.get(Token, token_id) if isinstance(token_id, int) else None
    if token is None or token.user_id != user.id:
        raise Refusal(gettext("There is no such token."), 404)
    return token


def tokens_on(database: Session, user: User, server: Server) -> list[Token]:
    """Return the user's tokens for a server, latest expiry first."""
    return list(
        database.scalars(
            select(Token)
            .options(defer(Token.encrypted_token), joinedload(Token.server))
            .where(Token.user_id == user.id, Token.server_id == server.id)
            .order_by(Token.expiry.desc(), Token.id.desc())
        )
    )


def _issue(
    database: Session,
    services: Services,
    actor: Actor,
    user: User,
    server: Server,
    name: str,
    roles: list[Role],
    end: datetime,
    now: datetime,
    event: str,
) -> tuple[Token, str]:
    jti = str(uuid.uuid4())
    signer = signing_keys.signer(database, services)
    text = sign(
        signer,
        user.username,
        server.name,
        {role.name: role.scope_names for role in roles},
        jti,
        now,
        end,
        services.settings.token_issuer,
    )
    token = Token(
        name=name,
        encrypted_token=services.encrypt(text),
        jti=jti,
        issued=now,
        expiry=end,
        user=user,
        server=server,
        roles=roles,
        role_names=[role.name for role in roles],
    )
    database.add(token)
    database.flush()
    audit.record(
        database,
        actor,
        event,
        f"{server.name}/{name}",
        jti=jti,
        roles=token.role_names,
        expires=clock.iso(end),
    )
    return token, text
