"""Record what is known of the request being answered."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RequestRecord:
    """Hold one request as the logs show it.

    ``duration`` and ``engine_seconds`` are seconds, ``bytes`` is the size of the body sent. ``at_end`` holds
    clean-up for the end of the request in every case, because a body that is never iterated cannot clean up
    after itself.
    """

    method: str
    path: str
    src_ip: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    user: str | None = None
    token_id: str | None = None
    route: str | None = None
    status: int = 500
    rows: int | None = None
    bytes: int = 0
    complete: bool = False
    engine_seconds: float = 0.0
    at_end: list[Callable[[], None]] = field(default_factory=list, repr=False)

    def identity(self) -> dict[str, Any]:
        """Return the fields under ``request`` of every log line."""
        return {
            "request_id": self.request_id,
            "path": self.path,
            "src_ip": self.src_ip,
            "user": self.user,
            "jti": self.token_id,
        }


_current: ContextVar[RequestRecord | None] = ContextVar("flowapi_request", default=None)


def current_record() -> RequestRecord:
    """Return the record of the request being answered."""
    record = _current.get()
    if record is None:
        raise LookupError("No request is being answered.")
    return record


def current_record_or_none() -> RequestRecord | None:
    """Return the record of the request being answered, or None outside requests."""
    return _current.get()


def begin(record: RequestRecord) -> Token[RequestRecord | None]:
    """Make this the record of the request being answered, until `end`."""
    return _current.set(record)


def end(token: Token[RequestRecord | None]) -> None:
    """End the request that `begin` returned the token for."""
    _current.reset(token)
