"""Ask the server with a report's rights and limits."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowclient.connection import Connection
from flowclient.errors import (
    AuthenticationError,
    FlowclientConnectionError,
    PermissionDeniedError,
    QueryCancelledError,
    QueryFailedError,
    QueryValidationError,
)
from flowclient.exchange import Operation
from flowclient.pages import PageTooLargeError
from flowclient.transport import Reply

#: Reasons that readers see.
REASONS = ("connection", "right", "refused", "size", "limits", "cell", "verification", "other")
#: Name of the setting that bounds the questions of a run.
MOST_QUERIES = "REPORT_QUERIES"
#: A server that is busy, or whose parts are being started, is as one that cannot be reached.
_BUSY = (429, 500, 502, 503, 504)


class ReportError(RuntimeError):
    """Report that no version was made: a reason of :data:`REASONS`, and the details."""

    def __init__(self, reason: str, told: str) -> None:
        super().__init__(told)
        self.reason = reason


class BoundedConnection(Connection):
    """Connect to a server for a bounded number of queries."""

    def __init__(self, *, most: int | None, **settings: Any) -> None:
        super().__init__(**settings)
        self._most, self._asked = most, 0

    def post(
        self, route: str, data: Any, expected: int = 202, *, idempotent: bool = False
    ) -> Operation[Reply]:
        """POST JSON as :class:`Connection` does; refuse a query beyond the bound."""
        if route == "run":
            self._asked += 1
            if self._most is not None and self._asked > self._most:
                raise ReportError("limits", f"It asks more than {self._most} queries.")
        return super().post(route, data, expected, idempotent=idempotent)


def connection() -> Connection:
    """Connect to the server of the settings; notebooks of reports ask through it.

    The settings are ``FLOWAPI_URL``, ``FLOWAPI_TOKEN_FILE`` and ``SSL_CERTIFICATE_FILE``.

    Raises
    ------
    ReportError
        If the file of the token cannot be read.
    """
    most = os.environ.get(MOST_QUERIES)
    return BoundedConnection(
        most=int(most) if most else None,
        url=os.environ["FLOWAPI_URL"],
        token=token(),
        ssl_certificate=os.environ.get("SSL_CERTIFICATE_FILE"),
    )


def token() -> str:
    """Return the token in the file of the settings; raises as :func:`connection`."""
    file = Path(os.environ["FLOWAPI_TOKEN_FILE"])
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ReportError(
            "right", f"FLOWAPI_TOKEN_FILE = '{file}': the file cannot be read ({error.strerror})."
        ) from None


@contextlib.contextmanager
def reasons(memory_mb: int | None = None) -> Iterator[None]:
    """Turn what goes wrong into the reasons that readers see."""
    try:
        yield
    except (AuthenticationError, PermissionDeniedError) as error:
        raise ReportError("right", str(error)) from None
    except (QueryValidationError, QueryFailedError, QueryCancelledError, FileNotFoundError) as error:
        raise ReportError("refused", str(error)) from None
    except FlowclientConnectionError as error:
        away = error.status_code is None or error.status_code in _BUSY
        raise ReportError("connection" if away else "refused", str(error)) from None
    except PageTooLargeError as error:
        raise ReportError("size", str(error)) from None
    except MemoryError:
        most = f"{memory_mb} MB" if memory_mb else "the memory"
        raise ReportError("limits", f"It took more than {most}.") from None
    except ValueError as error:
        raise ReportError("refused", str(error)) from None
