"""Write JSON log lines: requests, answers and faults.

``access`` and ``query`` are the audit trail: always written, at level info, to standard output. ``debug``
goes to standard error from the configured level on. No line ever holds a token.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from flowapi.record import current_record_or_none

LARGEST_LOGGED_SPEC = 16 * 1024
LOGGED_HEAD = 2 * 1024

EventDict = MutableMapping[str, Any]


def bounded(value: Any) -> Any:
    """Return ``value`` if its JSON is small, else its size, digest and beginning.

    A refused body comes from an unknown caller, who must not be able to fill the disk.
    """
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if len(text) <= LARGEST_LOGGED_SPEC:
        return value
    return {
        "characters": len(text),
        "sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        "head": text[:LOGGED_HEAD],
    }


def _add_request(_logger: Any, _method: str, event: EventDict) -> EventDict:
    record = current_record_or_none()
    if record is not None:
        event["request"] = record.identity()
    return event


class _LibraryHandler(logging.Handler):
    """Pass records of :mod:`logging` from libraries to the debug logger."""

    def __init__(self, debug: Any) -> None:
        super().__init__()
        self._debug = debug

    def emit(self, record: logging.LogRecord) -> None:
        self._debug.log(
            record.levelno,
            "library",
            source=record.name,
            detail=record.getMessage(),
            exc_info=record.exc_info,
        )


class Logs:
    """Hold the API's three structlog loggers, each writing one JSON object per line."""

    def __init__(
        self, level: str = "error", audit: TextIO | None = None, debug: TextIO | None = None
    ) -> None:
        audit_stream = sys.stdout if audit is None else audit
        debug_stream = sys.stderr if debug is None else debug
        self.access = self._logger("flowapi.access", audit_stream, "info")
        self.query = self._logger("flowapi.query", audit_stream, "info")
        self.debug = self._logger("flowapi.debug", debug_stream, level)

    @staticmethod
    def _logger(name: str, stream: TextIO, level: str) -> Any:
        return structlog.wrap_logger(
            structlog.WriteLogger(stream),
            processors=[
                _add_request,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(default=str),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        ).bind(logger=name)

    def adopt_libraries(self) -> None:
        """Route libraries' warnings and errors to the debug logger as JSON lines."""
        logging.basicConfig(handlers=[_LibraryHandler(self.debug)], level=logging.WARNING, force=True)
