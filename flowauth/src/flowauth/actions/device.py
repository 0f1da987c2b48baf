"""Give tokens to programs without a browser (RFC 8628).

The program shows a short code. A signed-in user enters the code, chooses roles, and so mints the token for
which the program asks again and again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from flask_babel import gettext
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from flowauth import audit, clock
from flowauth.actions import tokens
from flowauth.audit import Actor
from flowauth.database import transaction
from flowauth.errors import Refusal
from flowauth.models import DeviceGrant, Server, Token, User
from flowauth.services import Services
from flowauth.sessions import digest_of

LIFE = timedelta(minutes=10)
#: Seconds between two questions of a program.
INTERVAL = 2
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
#: Without vowels, so that codes are no words, and without letters that look alike.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8
_MOST_FROM_ADDRESS, _MOST = 20, 2_000


class NotGranted(Refusal):
    """Refuse a program; ``error`` is the code of RFC 8628."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message, 400, error=error)


@transaction
def begin(database: Session, server_name: str, client: str, address: str) -> tuple[DeviceGrant, str]:
    """Start a grant; return it and the secret device code.

    Raises
    ------
    Refusal
        404 for an unknown server, 429 when too many programs wait.
    """
    now = clock.now()
    database.execute(delete(DeviceGrant).where(DeviceGrant.expires <= now))
    server = database.scalars(select(Server).where(Server.name == server_name)).one_or_none()
    if server is None:
        raise Refusal(
            gettext("There is no server '%(name)s'.", name=server_name[:75]),
            404,
            field="audience",
        )
    waiting = select(func.count()).select_from(DeviceGrant)
    here = database.scalar(waiting.where(DeviceGrant.address == address)) or 0
    if here >= _MOST_FROM_ADDRESS or (database.scalar(waiting) or 0) >= _MOST:
        wait = int(LIFE.total_seconds())
        raise Refusal(gettext("Too many programs wait for a code. Try again later."), 429, retry_after=wait)
    device_code = secrets.token_urlsafe(32)
    grant = DeviceGrant(
        digest=digest_of(device_code),
        user_code="".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)),
        server=server,
        client=client[:75],
        address=address[:60],
        created=now,
        expires=now + LIFE,
    )
    database.add(grant)
    database.flush()
    return grant, device_code


def shown_code(grant: DeviceGrant) -> str:
    """Return the user code in two groups."""
    return f"{grant.user_code[:4]}-{grant.user_code[4:]}"


def waiting(database: Session, user_code: str) -> DeviceGrant:
    """Return the grant that waits for this code, written in any form.

    Raises
    ------
    Refusal
        404 when there is none.
    """
    plain = "".join(letter for letter in user_code.upper() if letter in _LETTERS)
    grant = database.scalars(
        select(DeviceGrant).where(
            DeviceGrant.user_code == plain,
            DeviceGrant.expires > clock.now(),
            DeviceGrant.token_id.is_(None),
            ~DeviceGrant.denied,
        )
    ).one_or_none()
    if grant is None:
        raise Refusal(
            gettext("No program waits for this code. Codes end after 10 minutes."), 404, field="code"
        )
    return grant


@transaction
def approve(
    database: Session,
    services: Services,
    actor: Actor,
    user: User,
    user_code: str,
    name: object,
    roles: Sequence[str],
) -> Token:
    """Mint a token for the program that waits for this code."""
    grant = _locked(database, user_code)
    token, _ = tokens.mint(database, services, actor, user, grant.server.name, name, roles)
    grant.token = token
    audit.record(
        database,
        actor,
        "device.approved",
        f"{grant.server.name}/{token.name}",
        jti=token.jti,
        client=grant.client,
        device_address=grant.address,
    )
    return token


@transaction
def deny(database: Session, actor: Actor, user_code: str) -> None:
    """Refuse the program that waits for this code."""
    grant = _locked(database, user_code)
    grant.denied = True
    audit.record(
        database,
        actor,
        "device.denied",
        grant.server.name,
        client=grant.client,
        device_address=grant.address,
    )


def _locked(database: Session, user_code: str) -> DeviceGrant:
    digest = waiting(database, user_code).digest
    # Only one of two concurrent decisions may find the grant undecided.
    database.get(DeviceGrant, digest, with_for_update=True, populate_existing=True)
    return waiting(database, user_code)


def collect(database: Session, services: Services, device_code: str) -> tuple[Token, str]:
    """Return the token that was approved, once, and its text.

    Raises
    ------
    NotGranted
        With the error of RFC 8628 while no token is there.
    """
    token, refusal = _collect(database, digest_of(device_code))
    if refusal is not None:
        raise refusal
    assert token is not None
    text = services.decrypt(token.encrypted_token)
    if text is None:
        raise Refusal(gettext("This token cannot be read any more: its key is gone from the settings."), 410)
    tokens.forget_if_shown_once(database, services, token)
    return token, text


@transaction
def _collect(database: Session, digest: str) -> tuple[Token | None, NotGranted | None]:
    # Returned instead of raised, because raising would undo what is stored.
    grant = database.get(DeviceGrant, digest, with_for_update=True)
    now = clock.now()
    if grant is None or grant.expires <= now:
        return None, NotGranted("expired_token", "This code has ended or its token was collected.")
    if grant.denied:
        database.delete(grant)
        return None, NotGranted("access_denied", "The user refused this program.")
    if grant.token is not None:
        token = grant.token
        database.delete(grant)
        return token, None
    asked, grant.last_poll = grant.last_poll, now
    if asked is not None and now - asked < timedelta(seconds=1):
        return None, NotGranted("slow_down", f"Ask every {INTERVAL} seconds.")
    return None, NotGranted("authorization_pending", "The user has not yet approved this code.")
