"""Log JSON lines to standard error without records, identifiers or secrets."""

import logging
import sys

import structlog

from flowetl.errors import LoadError


class _Foreseen(logging.Filter):
    """Leave out the stack of calls of an error that says what to do."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], LoadError):
            record.exc_info = None
            record.exc_text = None
        return True


def configure_logging(level: int = logging.INFO) -> None:
    """Log one JSON object a line: time, level, event and the caller's fields.

    Prefect's lines on runs tell an error of the data without the stack of calls.
    """
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Foreseen) for one in logger.filters):
            logger.addFilter(_Foreseen())
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
