"""Log JSON lines to standard error without records, identifiers or secrets."""

import logging
import sys

import structlog


def configure_logging(level: int = logging.INFO) -> None:
    """Log one JSON object a line: time, level, event and the caller's fields."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
