"""Import tokens' last uses from API servers: a ``jti`` and a moment a line."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.database import transaction
from flowauth.models import Token
from flowauth.services import Services

#: An API server never writes more than this.
LARGEST_FILE = 64 * 1024 * 1024
#: Tokens in each transaction, so that other writers can run in between.
_AT_ONCE = 500
_LINE = re.compile(r"([\x21-\x7e]{1,36}) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
_taking_up = threading.Lock()
_versions: dict[Path, tuple[int, int]] = {}


def take_up(services: Services) -> None:
    """Store new lines of the API servers; skip a file that did not change."""
    with _taking_up:
        for path in services.settings.token_use_files:
            with contextlib.suppress(OSError, OperationalError):
                _take_up(services, path)


def _take_up(services: Services, path: Path) -> None:
    status = path.stat()
    version = (status.st_mtime_ns, status.st_size)
    if version == _versions.get(path) or status.st_size > LARGEST_FILE:
        return
    moments = list(_read(path))
    with services.session() as database:
        for first in range(0, len(moments), _AT_ONCE):
            _store(database, dict(moments[first : first + _AT_ONCE]))
    _versions[path] = version


def _read(path: Path) -> Iterator[tuple[str, datetime]]:
    for line in path.read_text(errors="replace").splitlines():
        if found := _LINE.fullmatch(line):
            with contextlib.suppress(ValueError):
                yield found[1], clock.parse(found[2])


@transaction
def _store(database: Session, moments: dict[str, datetime]) -> None:
    stored = database.execute(select(Token.id, Token.jti, Token.last_used).where(Token.jti.in_(moments)))
    newer = [
        {"id": row.id, "last_used": moments[row.jti]}
        for row in stored
        if row.last_used is None or row.last_used < moments[row.jti]
    ]
    if newer:
        database.execute(update(Token), newer)
