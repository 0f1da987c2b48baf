"""The list of revoked tokens, which API servers read: one token id (``jti``) a line.

Its rows outlive those of the tokens, which go with their user or server. A token that has expired needs no line.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.models import Revocation, Token
from flowauth.services import Services

#: API servers' clocks may be late.
_GRACE = timedelta(hours=1)
_CHANGED = "revocations_changed"
_writing = threading.Lock()


def revoke(database: Session, tokens: Iterable[Token], because: str) -> list[str]:
    """List those of the tokens that still run; their ids. Part of the caller's transaction.

    ``because`` is for the tokens' owners.
    """
    now = clock.now()
    database.execute(delete(Revocation).where(Revocation.expiry <= now - _GRACE))
    running = [token for token in tokens if token.revoked_at is None and token.expiry > now]
    for token in running:
        token.revoked_at = now
        token.revoked_because = because[:300]
        database.add(Revocation(jti=token.jti, expiry=token.expiry))
    database.info[_CHANGED] = True
    return sorted(token.jti for token in running)


def listing(database: Session) -> str:
    """The list as API servers read it."""
    ids = database.scalars(
        select(Revocation.jti).where(Revocation.expiry > clock.now() - _GRACE).order_by(Revocation.jti)
    )
    return "".join(f"{jti}\n" for jti in ids)


def publish(services: Services, path: Path) -> None:
    """Write the list; a reader sees the old one or the new one, never a part.

    Raises
    ------
    OSError
        The file cannot be written; the old one is still there.
    """
    # One at a time, or an older list could replace a newer one.
    with _writing:
        with services.session(reading=True) as database:
            text = listing(database)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                # Ids of tokens open nothing, and the API server may run as somebody else.
                os.fchmod(descriptor, 0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def is_published(services: Services, path: Path) -> bool:
    """Whether the file has every id of the list, after writing it if it has not."""
    with services.session(reading=True) as database:
        ids = set(listing(database).split())
    with contextlib.suppress(OSError):
        if ids <= set(path.read_text().split()):
            return True
    try:
        publish(services, path)
    except OSError:
        return False
    return True


def changed(database: Session) -> bool:
    """Whether this session has revoked anything."""
    return bool(database.info.get(_CHANGED))
