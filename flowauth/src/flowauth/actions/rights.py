"""Explain who can do what, and why a request is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
from flask_babel import gettext
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from flowauth.actions.running import of_each_user
from flowauth.errors import Refusal
from flowauth.models import Role, Scope, Server, Token, User, scopes_in_role, users_with_roles
from flowauth.scopes import ANYWHERE, EXTREMES, NONSPATIAL, is_scope, lacking
from flowauth.services import Services
from flowauth.signing import claims_of
from flowauth.told_scopes import is_query_id, scopes_of_query

LARGEST_SPEC = 1024 * 1024
_MOST_SCOPES = 2000
#: Requests with a spec, each with the simple scope that it needs beside the query's scopes.
ASKED = {"run": "run", "explain": "run", "fetch": "get_result", "cancel": "cancel", "poll": None}


@dataclass(frozen=True)
class Verdict:
    """List the needed scopes that one role lacks."""

    role: str
    lacking: list[str]


@dataclass(frozen=True)
class Explanation:
    """Explain whether a request is allowed, and what is missing if not.

    ``held`` are the user's roles that count, fewest missing scopes first. ``giving`` are the server's roles
    that hold every needed scope.
    """

    needed: list[str]
    held: list[Verdict]
    giving: list[str]
    unknown: list[str]

    @property
    def is_allowed(self) -> bool:
        return any(not one.lacking for one in self.held)


def holders(server: int, scope: str = "", user: str = "") -> Select[tuple[int, str, int, int]]:
    """List users with rights on a server: id, name, number of roles and of scopes."""
    query = (
        select(
            User.id,
            User.username,
            func.count(Role.id.distinct()).label("roles"),
            func.count(Scope.id.distinct()).label("scopes"),
        )
        .select_from(User)
        .join(users_with_roles, users_with_roles.c.user_id == User.id)
        .join(Role, Role.id == users_with_roles.c.role_id)
        .join(scopes_in_role, scopes_in_role.c.role_id == Role.id)
        .join(Scope, Scope.id == scopes_in_role.c.scope_id)
        .where(Role.server_id == server, Scope.enabled)
        .group_by(User.id, User.username)
    )
    return _narrowed(query, scope, user)


def every_right(
    server: int | None, scope: str = "", user: str = ""
) -> Select[tuple[str, str, str, str, datetime | None, datetime | None]]:
    """Select user, server, role and scope: a row for each right held through a role.

    The end of the user's last running token on the server follows, and the last use of any token there.
    """
    tokens = of_each_user(server).subquery()
    query = (
        select(User.username, Server.name, Role.name, Scope.name, tokens.c.latest, tokens.c.last_used)
        .select_from(User)
        .join(users_with_roles, users_with_roles.c.user_id == User.id)
        .join(Role, Role.id == users_with_roles.c.role_id)
        .join(Server, Server.id == Role.server_id)
        .join(scopes_in_role, scopes_in_role.c.role_id == Role.id)
        .join(Scope, Scope.id == scopes_in_role.c.scope_id)
        .outerjoin(tokens, (tokens.c.user_id == User.id) & (tokens.c.server_id == Server.id))
        .where(Scope.enabled)
        .order_by(User.username, Server.name, Role.name, Scope.name)
    )
    if server is not None:
        query = query.where(Role.server_id == server)
    return _narrowed(query, scope, user)


def _narrowed(query: Any, scope: str, user: str) -> Any:
    for word in scope.split():
        query = query.where(Scope.name.icontains(word, autoescape=True))
    return query.where(User.username.icontains(user, autoescape=True)) if user else query


def roles_of(database: Session, server: int, users: Iterable[int]) -> dict[int, list[str]]:
    """Return the names of the roles that the users hold on a server."""
    rows = database.execute(
        select(users_with_roles.c.user_id, Role.name)
        .join(Role, Role.id == users_with_roles.c.role_id)
        .where(Role.server_id == server, users_with_roles.c.user_id.in_(list(users)))
        .order_by(Role.name)
    )
    found: dict[int, list[str]] = {}
    for user, role in rows:
        found.setdefault(user, []).append(role)
    return found


@dataclass(frozen=True)
class FirstSteps:
    """Say what a new installation has already."""

    server: bool
    role: bool
    member: bool
    token: bool

    @property
    def are_done(self) -> bool:
        return self.server and self.role and self.member and self.token


def first_steps(database: Session) -> FirstSteps:
    """Return how far the first administrator has come."""
    tables = (Server.id, Role.id, users_with_roles.c.user_id, Token.id)
    found = [database.scalar(select(column).limit(1)) is not None for column in tables]
    return FirstSteps(*found)


def check_asked(value: str) -> str:
    """Return a kind of request that needs a spec."""
    if value not in ASKED:
        raise Refusal(gettext("Choose one of %(asked)s.", asked=", ".join(ASKED)), field="asked")
    return value


def check_pasted(value: str) -> str:
    """Return a pasted text that is neither empty nor too long."""
    if not value.strip() or len(value) > LARGEST_SPEC:
        raise Refusal(gettext("Paste a query id, a query spec, the API's refusal or scopes."), field="pasted")
    return value


def needed_for(server: Server, pasted: str, asked: str, told: Sequence[Path] = ()) -> frozenset[str]:
    """Return the scopes that a pasted text needs.

    The text is a query id, a query spec, an API's refusal, or scopes with spaces between them. ``told`` are the
    files in which API servers tell the scopes of queries.

    Raises
    ------
    Refusal
        It is none of these, or its kinds and unit are none of the server's.
    """
    check_pasted(pasted)
    simple = frozenset([one] if (one := ASKED.get(asked)) else [])
    if is_query_id(pasted.strip()):
        return _needed_by_query(pasted.strip(), told) | simple
    try:
        content = json.loads(pasted)
    except (ValueError, RecursionError):
        return _listed(pasted.replace(",", " ").split())
    if not isinstance(content, dict):
        raise Refusal(gettext("This is JSON, but neither a query spec nor an API's refusal."), field="pasted")
    payload = content.get("payload")
    if isinstance(payload, dict) and isinstance(payload.get("missing_scopes"), list):
        missing = [str(one) for one in payload["missing_scopes"]]
        # The API refuses before it reads the spec when no role has any right to the kind.
        if kind := next((one.split(":")[1] for one in missing if one.startswith("<unit>:")), None):
            raise Refusal(
                gettext(
                    "No role of the token lets its holder ask for %(kind)s at any unit. Paste the query's spec to see "
                    "which scopes it needs.",
                    kind=kind[:64],
                ),
                field="pasted",
            )
        return _listed(missing)
    return _needed_by_spec(server, content) | simple


def _needed_by_query(query_id: str, told: Sequence[Path]) -> frozenset[str]:
    if not told:
        raise Refusal(
            gettext(
                "No API server tells this app about queries: FLOWAUTH_QUERY_SCOPES_FILES is not set. Paste the "
                "query's spec or the API's refusal."
            ),
            field="pasted",
        )
    scopes = scopes_of_query(told, query_id)
    if scopes is None:
        raise Refusal(
            gettext(
                "No API server has told this app about query %(query_id)s. It tells a query once a minute, after "
                "somebody has run or asked for it. Try again in a minute, or paste the query's spec or the API's refusal.",
                query_id=query_id,
            ),
            field="pasted",
        )
    return scopes


def _listed(words: list[str]) -> frozenset[str]:
    wrong = [word for word in words if not is_scope(word)]
    if wrong or len(words) > _MOST_SCOPES:
        raise Refusal(
            gettext(
                "'%(words)s' is not a scope, and what was pasted is no JSON. A query id has 32 digits and letters from a to f.",
                words=(wrong or words)[0][:80],
            ),
            field="pasted",
        )
    return frozenset(words)


def _needed_by_spec(server: Server, spec: Mapping[str, Any]) -> frozenset[str]:
    top = spec.get("query_kind")
    if not isinstance(top, str):
        raise Refusal(gettext("The spec names no query_kind."), field="pasted")
    offered = [parts for scope in server.scopes if len(parts := scope.name.split(":")) == 3]
    units = {parts[0] for parts in offered if parts[1] == top}
    if not units:
        raise Refusal(
            gettext("%(name)s does not offer the kind %(top)s.", name=server.name, top=top[:64]),
            field="pasted",
        )
    kinds, subset_kinds, told, placed = _walk(spec)
    unit = NONSPATIAL if units == {NONSPATIAL} else next((one for one in told if one in units), None)
    if unit is None:
        raise Refusal(
            gettext(
                "The spec names none of the units of %(top)s: %(units)s.",
                top=top[:64],
                units=", ".join(sorted(units)),
            ),
            field="pasted",
        )
    own = {f"{unit}:{top}:{kind}" for kind in kinds}
    if unit in _UNITS:
        finer = _UNITS[_UNITS.index(unit) + 1 :]
        own |= {f"{of_part}:{top}:{kind}" for of_part, kind in placed if of_part in finer}
    extremes = {EXTREMES} if _publishes_extremes(spec) else set()
    return frozenset(own | {f"{ANYWHERE}{kind}" for kind in subset_kinds} | extremes)


def _publishes_extremes(spec: Mapping[str, Any]) -> bool:
    """Return whether the engine asks for the scope of single values."""
    bins = spec.get("bins")
    if isinstance(bins, dict):
        return "n_bins" in bins and spec.get("range") is None
    return spec.get("query_kind") == "joined_spatial_aggregate" and spec.get("method") in (
        "max",
        "min",
        "mode",
    )


#: Spatial units, each finer than the one before.
_UNITS = ("admin0", "admin1", "admin2", "admin3", "lon-lat")

#: The field of places of which only distances are taken.
_DISTANCES = "reference_location"


def _walk(spec: Mapping[str, Any]) -> tuple[set[str], set[str], list[str], set[tuple[str, str]]]:
    """Return kinds outside and within subsets, units, and units with their kinds.

    Units are listed outermost first.
    """
    placed: set[tuple[str, str]] = set()
    kinds: set[str] = set()
    subset_kinds: set[str] = set()
    units: list[str] = []
    pending: list[tuple[Any, bool, bool]] = [(spec, False, False)]
    while pending:
        node, within, measured = pending.pop(0)
        if isinstance(node, list):
            pending.extend((item, within, measured) for item in node)
        elif isinstance(node, dict):
            if isinstance(kind := node.get("query_kind"), str):
                (subset_kinds if within else kinds).add(kind)
            if isinstance(unit := node.get("aggregation_unit"), str) and not within:
                units.append(unit)
                if isinstance(kind, str) and not measured:
                    placed.add((unit, kind))
            pending.extend(
                (value, within or key == "subscriber_subset", measured or key == _DISTANCES)
                for key, value in node.items()
            )
    return kinds, subset_kinds, units, placed


def explain(
    database: Session, server: Server, needed: frozenset[str], held: Mapping[str, Iterable[str]]
) -> Explanation:
    """Compare needed scopes with roles.

    As in the API, one role must hold every needed scope.
    """
    verdicts = [Verdict(role, sorted(lacking(set(scopes), needed))) for role, scopes in held.items()]
    rows = database.execute(
        select(Role.name, Scope.name)
        .join(scopes_in_role, scopes_in_role.c.role_id == Role.id)
        .join(Scope, Scope.id == scopes_in_role.c.scope_id)
        .where(Role.server_id == server.id, Scope.enabled)
    )
    present: dict[str, set[str]] = {}
    for role, scope in rows:
        present.setdefault(role, set()).add(scope)
    offered = {scope.name for scope in server.scopes if scope.enabled}
    return Explanation(
        needed=sorted(needed),
        held=sorted(verdicts, key=lambda one: (len(one.lacking), one.role)),
        giving=sorted(role for role, scopes in present.items() if not lacking(scopes, needed)),
        unknown=sorted(lacking(offered, needed)),
    )


def find_named_user(database: Session, username: str) -> User:
    if not username:
        raise Refusal(gettext("Type the name of a user."), field="user")
    user = database.scalars(select(User).where(User.username == username)).one_or_none()
    if user is None:
        raise Refusal(gettext("There is no user %(name)s.", name=username[:75]), 404, field="user")
    return user


def held_by_user(user: User, server: Server) -> dict[str, list[str]]:
    """Return a user's roles on a server with the scopes a new token would have."""
    return {role.name: role.scope_names for role in user.roles if role.server_id == server.id}


def held_by_token(services: Services, token: Token) -> dict[str, list[str]]:
    """Return a token's roles and scopes as minted; roles may have changed since."""
    text = services.decrypt(token.encrypted_token)
    try:
        return claims_of(text or "")
    except (jwt.PyJWTError, ValueError):
        raise Refusal(gettext("The text of this token cannot be read any more."), 410) from None


def find_token(database: Session, token_id: int) -> Token:
    token = database.get(Token, token_id)
    if token is None:
        raise Refusal(gettext("There is no token with id %(identity)s.", identity=token_id), 404)
    return token


def find_any_server(database: Session, name: str) -> Server | None:
    """Return the named server, or the first server for an empty name, or None."""
    query = select(Server).order_by(Server.name).limit(1)
    server = database.scalars(query.where(Server.name == name) if name else query).one_or_none()
    if server is None and name:
        raise Refusal(gettext("There is no server '%(name)s'.", name=name[:75]), 404, field="server")
    return server
