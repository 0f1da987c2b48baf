"""Load the demo: one server, two roles, two users.

The demo password is printed in the documentation, so the strength rule is skipped. A database that holds any
other account is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.actions.roles import save_role
from flowauth.actions.servers import change_limits, register_server, update_scopes
from flowauth.api_description import ApiDescription
from flowauth.audit import CONSOLE, record
from flowauth.database import transaction
from flowauth.errors import Refusal
from flowauth.models import Role, Server, User
from flowauth.services import Services

PASSWORD = "DUMMY_PASSWORD"
USERS = {"TEST_USER": False, "TEST_ADMIN": True}
#: Simple scopes of each demo role; each role also gets every complex scope.
ROLES = {
    "viewer": ("get_result", "get_available_dates", "get_qa_checks", "extremes"),
    "runner": ("run", "get_available_dates", "cancel", "extremes"),
}
_SERVER_DAYS, _SERVER_LATEST_DAYS, _ROLE_DAYS = 31, 365, 30
_DAY_MINUTES = 24 * 60


class OtherUsersError(Refusal):
    """Report that people have accounts in this database."""


def load_demo(database: Session, services: Services, description: ApiDescription) -> Server:
    """Load the demo data or update them to a newer description.

    Demo users' passwords are reset.
    """
    rows = database.execute(select(User.username, User.password_hash)).all()
    present = {row.username: row.password_hash for row in rows}
    database.rollback()
    hashes = {
        username: services.passwords.hash(PASSWORD)
        for username in USERS
        if not services.passwords.matches(present.get(username), PASSWORD)
    }
    return _load_demo(database, hashes, description)


@transaction
def _load_demo(database: Session, hashes: Mapping[str, str], description: ApiDescription) -> Server:
    strangers = database.scalars(select(User.username).where(User.username.not_in(USERS))).all()
    if strangers:
        raise OtherUsersError(
            f"Demo data are refused: this database has other users, such as {min(strangers)}.", 409
        )
    now = clock.now()
    latest = now + timedelta(days=_SERVER_LATEST_DAYS)
    server = database.scalars(select(Server).where(Server.name == description.audience)).one_or_none()
    if server is None:
        server = register_server(database, CONSOLE, description, _SERVER_DAYS * _DAY_MINUTES, latest)
    else:
        update_scopes(database, CONSOLE, server, description)
        change_limits(database, CONSOLE, server, _SERVER_DAYS * _DAY_MINUTES, latest)
    users = [
        _user(database, hashes.get(username), username, is_admin) for username, is_admin in USERS.items()
    ]
    for name, simple in ROLES.items():
        offered = set(description.scopes)
        scopes = [scope for scope in description.scopes if ":" in scope]
        scopes += [scope for scope in simple if scope in offered]
        save_role(
            database,
            CONSOLE,
            server,
            database.scalars(
                select(Role).where(Role.name == name, Role.server_id == server.id)
            ).one_or_none(),
            name=name,
            scopes=scopes,
            users=[user.id for user in users],
            longest_token_life_minutes=_ROLE_DAYS * _DAY_MINUTES,
            latest_token_expiry=now + timedelta(days=_ROLE_DAYS),
        )
    return server


def _user(database: Session, hashed: str | None, username: str, is_admin: bool) -> User:
    """Return the demo user; a given hash replaces the stored password."""
    user = database.scalars(select(User).where(User.username == username)).one_or_none()
    if user is None:
        user = User(username=username, is_admin=is_admin, password_hash=hashed)
        database.add(user)
        database.flush()
        record(database, CONSOLE, "user.created", username, is_admin=is_admin, demo=True)
    elif hashed is not None:
        user.password_hash = hashed
        record(database, CONSOLE, "user.changed", username, password=True, demo=True)
    return user
