"""Write structured logs: one JSON object a line.

The audit trail goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import logging
import re
import sys
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa
import structlog

from flowsettings.lookup import refusal
from flowsettings.values import LOG_LEVELS

QUERY_RUN_LOG = "flowmachine.query_run_log"
DEBUG_LOG = "flowmachine.debug"


def configure_logs(level: str = "error") -> None:
    """Set up both loggers.

    An unknown level means ``error`` and is itself logged.
    """
    name = level.upper()
    known = name in logging.getLevelNamesMapping()
    _add(QUERY_RUN_LOG, sys.stdout, logging.INFO)
    _add(DEBUG_LOG, sys.stderr, logging.getLevelNamesMapping()[name] if known else logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    if not known:
        told = refusal("FLOWMACHINE_LOG_LEVEL", level, f"one of {', '.join(LOG_LEVELS)}")
        debug_log().error("unknown log level", reason=str(told), level_used="ERROR")


def audit_log() -> Any:
    """Return the audit trail's logger, always written.

    It gets a line before and after each action, and a line for each computed part.
    """
    return structlog.get_logger(QUERY_RUN_LOG)


def debug_log() -> Any:
    """Return the logger for everything else."""
    return structlog.get_logger(DEBUG_LOG)


def about(job: sa.RowMapping) -> AbstractContextManager[None]:
    """Add the query, its user and its request to log lines and statement comments."""
    return structlog.contextvars.bound_contextvars(
        query_id=job["query_id"], request_id=job["request_id"], user=job["requested_by"]
    )


def statement_comment() -> str:
    """Return the query and request of a statement as an SQL comment.

    The comment is empty outside of both.
    """
    bound = structlog.contextvars.get_contextvars()
    named = [
        # Request ids come from outside, so strip anything that could end the comment or look like a
        # parameter.
        f"{name}={re.sub('[^0-9A-Za-z_-]', '_', str(bound[name]))[:64]}"
        for name in ("query_id", "request_id")
        if bound.get(name)
    ]
    return f"/* {' '.join(named)} */ " if named else ""


def _add(name: str, stream: Any, level: int) -> None:
    logger = logging.getLogger(name)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
