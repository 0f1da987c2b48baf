"""Keep the list of revoked tokens, as a file and as a signed text.

The file has one ``jti`` a line. Rows outlive their tokens, which are deleted with their user or server. An expired token needs no line.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

import jwt
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.models import Revocation, Token
from flowauth.services import Services
from flowauth.signing import Signer

#: Allowance for API servers whose clocks are slow.
_GRACE = timedelta(hours=1)
#: API servers take no token for a list, and no list for a token.
LIST_TYPE = "revoked-tokens+jwt"
_CHANGED = "revocations_changed"
_writing = threading.Lock()


def revoke(database: Session, tokens: Iterable[Token], because: str) -> list[str]:
    """List the given tokens that still run; return their ids.

    This is part of the caller's transaction. ``because`` is shown to the tokens' owners.
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
    """Return the list in the form that API servers read."""
    ids = database.scalars(
        select(Revocation.jti).where(Revocation.expiry > clock.now() - _GRACE).order_by(Revocation.jti)
    )
    return "".join(f"{jti}\n" for jti in ids)


@lru_cache(maxsize=1)
def _signed(signer: Signer, ids: tuple[str, ...], second: int) -> str:
    # Anyone may ask, so the same list is signed only once a second.
    header = {"typ": LIST_TYPE, "kid": signer.kid}
    return jwt.encode({"iat": second, "revoked": list(ids)}, signer.key, algorithm="RS256", headers=header)


def signed_listing(database: Session, signer: Signer) -> str:
    """Return the list as a JSON Web Token: ``iat`` and the ids, ``revoked``."""
    return _signed(signer, tuple(listing(database).split()), int(clock.now().timestamp()))


def publish(services: Services, path: Path) -> None:
    """Write the list atomically; readers see the old or the new list.

    Raises
    ------
    OSError
        The file cannot be written; the old one is still there.
    """
    # Take turns, because an older list could otherwise replace a newer list.
    with _writing:
        with services.session(reading=True) as database:
            text = listing(database)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                # Token ids open nothing, and the API server may run as another user.
                os.fchmod(descriptor, 0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def is_published(services: Services, path: Path) -> bool:
    """Return whether the file holds every id, after writing the file if needed."""
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
    """Return whether this session has revoked any token."""
    return bool(database.info.get(_CHANGED))
