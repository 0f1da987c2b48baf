"""Log JSON lines to standard output.

Each logged field is named, so that no form or header slips in.
"""

from __future__ import annotations

import logging
import re
import sys
import uuid
from collections.abc import Sequence

import structlog

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def request_id(given: Sequence[str] = ()) -> str:
    """Return a new id of a request, which begins with a plain id of the caller.

    It ends in random digits, as in the API, so that two requests never share an id.
    """
    unique = str(uuid.uuid4())
    if len(given) == 1 and _PLAIN_ID.fullmatch(given[0]):
        return f"{given[0]}.{unique.replace('-', '')}"
    return unique


def configure(level: str) -> None:
    """Send our events and the libraries' to standard output, one JSON object a line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("flowauth").setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def logger() -> structlog.stdlib.BoundLogger:
    return structlog.stdlib.get_logger("flowauth")
