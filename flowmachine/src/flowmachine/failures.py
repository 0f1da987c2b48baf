"""Tell why a job failed: in words, and whether another attempt may succeed."""

from __future__ import annotations

import re
from collections.abc import Iterable

import sqlalchemy as sa
from psycopg2.errorcodes import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, SERIALIZATION_FAILURE

from flowmachine.data import Day
from flowmachine.spec.query import NotBuildable
from flowmachine.stores.base import Unreachable

#: A file of the engine, as the databases name it: at least a folder and a name.
_PATH = re.compile(r"(?:/[^\s/\"':]+)+(?=/[^\s/\"':])")

#: Errors about concurrent work, not about the statement.
_TRY_AGAIN = (DEADLOCK_DETECTED, SERIALIZATION_FAILURE, LOCK_NOT_AVAILABLE)


class DataChanged(Exception):
    """Report that a day was loaded again after the query's or its inputs' start."""

    def __init__(self) -> None:
        super().__init__("The days or the results that it reads changed while it was computed.")


class DamagedFiles(Exception):
    """Report columnar files that are missing or damaged."""

    def __init__(self, days: Iterable[Day]) -> None:
        self.days = sorted(days)
        shown = ", ".join(f"{event_type} of {day}" for event_type, day in self.days[:3])
        super().__init__(f"Columnar files are gone or damaged and have to be rebuilt first: {shown}.")


def may_pass(error: Exception) -> bool:
    """Return whether an error is transient: concurrent work or a broken connection."""
    return isinstance(error, Unreachable) or (
        isinstance(error, sa.exc.DBAPIError)
        and (error.connection_invalidated or getattr(error.orig, "pgcode", None) in _TRY_AGAIN)
    )


def describe(error: Exception) -> str:
    """Describe the cause in one line for users.

    It holds no statement, no values, no rows and of files only their names.
    """
    if isinstance(error, NotBuildable):
        return str(error)
    original = getattr(error, "orig", error)
    diagnostics = getattr(original, "diag", None)
    text = getattr(diagnostics, "message_primary", None) or str(original).partition("\n")[0]
    return f"{type(original).__name__}: {_PATH.sub('…', text)[:300]}"
