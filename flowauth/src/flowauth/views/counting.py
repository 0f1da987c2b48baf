"""Count related rows for all rows of a list in one statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from flowauth.access import database
from flowauth.models import Role, Scope, scopes_in_role, users_with_roles


def _by(key: Any) -> dict[int, int]:
    return dict(database().execute(select(key, func.count()).group_by(key)).tuples().all())


def scopes_of_servers() -> dict[int, int]:
    return _by(Scope.server_id)


def roles_of_servers() -> dict[int, int]:
    return _by(Role.server_id)


def scopes_of_roles() -> dict[int, int]:
    return _by(scopes_in_role.c.role_id)


def members_of_roles() -> dict[int, int]:
    return _by(users_with_roles.c.role_id)
