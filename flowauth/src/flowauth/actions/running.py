"""Find running tokens, and end those that keep a right being taken away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NoReturn

from flask_babel import gettext, ngettext
from sqlalchemy import ColumnElement, Select, case, false, func, or_, select
from sqlalchemy.orm import Session, contains_eager, defer

from flowauth import audit, clock, revocation
from flowauth.audit import Actor
from flowauth.database import LARGEST_ID, transaction
from flowauth.errors import Checks, Refusal
from flowauth.models import Role, Server, Token, User, tokens_with_roles

STATES = ("running", "ended", "all")
MOST_AT_ONCE = 20_000
LONGEST_REASON = 200
#: No token is older than a century, and longer spans cannot be subtracted from now.
_LONG_AGO_DAYS = 36_500


class After(Enum):
    """Choose what happens to running tokens that keep a right their owner loses."""

    KEEP = "keep"
    REVOKE = "revoke"
    #: Refuse the change if such tokens exist, so that the caller has to decide.
    ASK = "ask"


class TokensKeepIt(Refusal):
    """Report that running tokens keep a lost right; nothing was changed."""

    def __init__(self, kept: Kept) -> None:
        super().__init__(
            kept.told + " " + gettext("Nothing is saved yet: decide what becomes of them and save again."),
            409,
            running={"tokens": kept.count, "until": clock.iso(kept.until)},
        )
        self.kept = kept


@dataclass(frozen=True)
class Kept:
    """Count the tokens that keep a lost right, and when the last one expires."""

    count: int
    until: datetime

    @property
    def told(self) -> str:
        return ngettext(
            "%(num)s running token keeps it until %(moment)s.",
            "%(num)s running tokens keep it until %(moment)s.",
            self.count,
            moment=clock.readable(self.until),
        )


@dataclass(frozen=True)
class Wanted:
    """Hold a search for tokens; an empty or None field does not restrict."""

    search: str = ""
    user: str = ""
    server: str = ""
    role: int | None = None
    state: str = "running"
    unused_days: int | None = None

    @property
    def is_everything(self) -> bool:
        """Return whether no field narrows the search below all tokens of a state."""
        return not (self.search or self.user or self.server or self.role or self.unused_days)


def is_running() -> ColumnElement[bool]:
    """Return the condition that API servers still accept a token."""
    return Token.revoked_at.is_(None) & (Token.expiry > clock.now())


def made_from(roles: Iterable[int]) -> ColumnElement[bool]:
    """Return the condition that a token was made from one of the roles."""
    return Token.id.in_(select(tokens_with_roles.c.token_id).where(tokens_with_roles.c.role_id.in_(roles)))


def of_users(users: Iterable[int]) -> ColumnElement[bool]:
    """Return the condition that a token belongs to one of these users."""
    return Token.user_id.in_(users)


def outliving(
    database: Session, owned: ColumnElement[bool], life_minutes: int, latest: datetime | None
) -> ColumnElement[bool]:
    """Return the condition that a running token outlasts the new limits."""
    life = timedelta(minutes=life_minutes)
    rows = database.execute(select(Token.id, Token.issued, Token.expiry).where(owned, is_running()))
    found = [
        row.id
        for row in rows
        if row.expiry > row.issued + life or (latest is not None and row.expiry > latest)
    ]
    return Token.id.in_(found) if found else false()


def of_each_user(server: int | None = None, users: Iterable[int] | None = None) -> Select[Any]:
    """Count running tokens for each user and server.

    Beside them stand the latest expiry of these, and the last use of any token.
    """
    query = select(
        Token.user_id,
        Token.server_id,
        func.count(case((is_running(), Token.id))).label("running"),
        func.max(case((is_running(), Token.expiry))).label("latest"),
        func.max(Token.last_used).label("last_used"),
    ).group_by(Token.user_id, Token.server_id)
    if server is not None:
        query = query.where(Token.server_id == server)
    return query if users is None else query.where(of_users(users))


def kept(database: Session, condition: ColumnElement[bool]) -> Kept | None:
    """Summarise the running tokens of a condition; None when there are none."""
    count, until = database.execute(
        select(func.count(Token.id), func.max(Token.expiry)).where(condition, is_running())
    ).one()
    return Kept(count, until) if count else None


def settle(database: Session, condition: ColumnElement[bool], after: After, because: str) -> dict[str, Any]:
    """Apply the decision to the running tokens of a condition.

    This runs in the caller's transaction.

    Returns
    -------
    What the trail tells of it: ids of the revoked ones, or how many are kept; nothing where there are none.

    Raises
    ------
    TokensKeepIt
        There are some, and nobody has decided yet.
    """
    found = kept(database, condition)
    if found is None:
        return {}
    if after is After.ASK:
        raise TokensKeepIt(found)
    if after is After.KEEP:
        return {"kept_tokens": found.count}
    return {"revoked": revocation.revoke(database, _running(database, condition), because)}


def _running(database: Session, condition: ColumnElement[bool]) -> Sequence[Token]:
    """Load the rows with a lock, so that each is revoked only once."""
    query = select(Token).options(defer(Token.encrypted_token)).where(condition, is_running())
    return database.scalars(query.order_by(Token.id).with_for_update()).all()


def search(wanted: Wanted, within: frozenset[int] | None = None) -> Select[tuple[Token]]:
    """Return the matching tokens with users and servers, without token texts.

    ``within`` are the servers that the searching user administers; None means all.
    """
    query = (
        select(Token)
        .join(Token.user)
        .join(Token.server)
        .options(contains_eager(Token.user), contains_eager(Token.server), defer(Token.encrypted_token))
    )
    if within is not None:
        query = query.where(Token.server_id.in_(within))
    if wanted.search:
        texts = (Token.name, User.username, Server.name)
        query = query.where(or_(*(text.icontains(wanted.search, autoescape=True) for text in texts)))
    if wanted.user:
        query = query.where(User.username == wanted.user)
    if wanted.server:
        query = query.where(Server.name == wanted.server)
    if wanted.role is not None:
        query = query.where(made_from([wanted.role]))
    if wanted.unused_days is not None:
        since = clock.now() - timedelta(days=min(wanted.unused_days, _LONG_AGO_DAYS))
        query = query.where(Token.issued < since, or_(Token.last_used.is_(None), Token.last_used < since))
    if wanted.state != "all":
        query = query.where(is_running() if wanted.state == "running" else ~is_running())
    return query


def check_state(value: str) -> str:
    """Return a valid search state."""
    if value not in STATES:
        raise Refusal(gettext("state must be one of %(states)s.", states=", ".join(STATES)), field="state")
    return value


@transaction
def revoke_chosen(
    database: Session,
    actor: Actor,
    identities: Sequence[object],
    reason: str = "",
    within: frozenset[int] | None = None,
    checks: Checks | None = None,
) -> list[str]:
    """Revoke the given tokens that still run; return ``user: server/name`` of each.

    Raises
    ------
    Refusal
        For an unknown id, or none at all.
    """
    checks = checks or Checks()
    chosen = checks(_reachable, database, identities, within)
    why = checks(_check_reason, reason)
    checks.settle()
    return _revoke(database, actor, select(Token).where(Token.id.in_(chosen)), {}, why)


def _reachable(database: Session, identities: Sequence[object], within: frozenset[int] | None) -> set[int]:
    """Return the ids if each is a token that the actor may revoke."""
    if not identities:
        _choose_some()
    if len(identities) > MOST_AT_ONCE:
        raise Refusal(
            gettext("No more than %(most_at_once)s tokens are revoked at once.", most_at_once=MOST_AT_ONCE),
            field="tokens",
        )
    chosen = set()
    for identity in identities:
        if type(identity) is not int or not 0 < identity <= LARGEST_ID:
            raise Refusal(
                gettext("There is no token with id %(identity)s.", identity=str(identity)[:20]),
                field="tokens",
            )
        chosen.add(identity)
    reachable = search(Wanted(state="all"), within).with_only_columns(Token.id)
    known = set(database.scalars(reachable.where(Token.id.in_(chosen))))
    if unknown := chosen - known:
        raise Refusal(
            gettext("There is no token with id %(identity)s.", identity=min(unknown)), field="tokens"
        )
    return chosen


@transaction
def revoke_found(
    database: Session,
    actor: Actor,
    wanted: Wanted,
    reason: str = "",
    within: frozenset[int] | None = None,
    checks: Checks | None = None,
) -> list[str]:
    """Revoke every running token of a user, server, role or search."""
    checks = checks or Checks()
    if wanted.is_everything and not checks.fields:
        checks(_choose_some)
    if wanted.user and not database.scalar(select(User.id).where(User.username == wanted.user)):
        checks.note(Refusal(gettext("There is no user %(name)s.", name=wanted.user[:75]), 404, field="user"))
    if wanted.server and not database.scalar(select(Server.id).where(Server.name == wanted.server)):
        told = gettext("There is no server %(server)s.", server=wanted.server[:75])
        checks.note(Refusal(told, 404, field="server"))
    if wanted.role is not None and database.get(Role, wanted.role) is None:
        told = gettext("There is no role with id %(role_id)s.", role_id=wanted.role)
        checks.note(Refusal(told, 404, field="role"))
    why = checks(_check_reason, reason)
    checks.settle()
    asked = {name: value for name, value in vars(wanted).items() if value and name != "state"}
    return _revoke(database, actor, search(wanted, within), asked, why)


def _choose_some() -> NoReturn:
    raise Refusal(gettext("Choose tokens, or a user, a server or a role."), field="tokens")


def _check_reason(reason: str) -> str:
    why = reason.strip()
    if len(why) > LONGEST_REASON:
        raise Refusal(
            gettext(
                "The reason may have at most %(longest_reason)s characters.", longest_reason=LONGEST_REASON
            ),
            field="reason",
        )
    return why


def _revoke(
    database: Session, actor: Actor, query: Select[tuple[Token]], asked: dict[str, Any], why: str
) -> list[str]:
    ids = select(query.with_only_columns(Token.id).subquery().c.id)
    tokens = _running(database, Token.id.in_(ids))
    names = [f"{token.user.username}: {token.server.name}/{token.name}" for token in tokens]
    revoked = revocation.revoke(database, tokens, f"by {actor.username}" + (f": {why}" if why else ""))
    if revoked:
        audit.record(
            database,
            actor,
            "tokens.revoked",
            "1 token" if len(revoked) == 1 else f"{len(revoked)} tokens",
            reason=why,
            asked=asked,
            tokens=names,
            revoked=revoked,
        )
    return names
