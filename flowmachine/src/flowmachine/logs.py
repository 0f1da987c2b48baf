"""Structured logs: one JSON object a line; the audit trail on standard output, everything else on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from flowdb.settings import setting

QUERY_RUN_LOG = "flowmachine.query_run_log"
DEBUG_LOG = "flowmachine.debug"


def configure_logs() -> None:
    """Set both loggers up; an unknown FLOWMACHINE_LOG_LEVEL means ERROR, and is itself logged."""
    name = setting("FLOWMACHINE_LOG_LEVEL", default="error").upper()
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
        debug_log().error("unknown log level", level_given=name, level_used="ERROR")


def audit_log() -> Any:
    """The audit trail: one line before an action and one after, always written."""
    return structlog.get_logger(QUERY_RUN_LOG)


def debug_log() -> Any:
    """Everything else."""
    return structlog.get_logger(DEBUG_LOG)


def _add(name: str, stream: Any, level: int) -> None:
    logger = logging.getLogger(name)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
