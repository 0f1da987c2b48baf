"""What an executor is, and what all share."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.data import DataState, Day
from flowmachine.spec.query import Aggregate, Query, Sources


@dataclass(frozen=True)
class Stored:
    """Size of a stored result."""

    rows: int
    bytes: int


class Executor(Protocol):
    """One store with its way to compute. Not safe for use by several threads, but for ``interrupt``."""

    name: str

    def storing(
        self, query: Query, data: DataState, connection: sa.Connection
    ) -> AbstractContextManager[Stored]:
        """Compute a query; its result is stored under its id when the context ends without an error.

        ``connection`` is a transaction of the caller's. Whether the result is still wanted is found out inside the
        context: a worker that was given up while it computed must not replace what another has stored since.
        """
        ...

    def release(self, query: Aggregate, data: DataState, connection: sa.Connection) -> Stored:
        """Compute what may leave of a query, into a table of schema ``cache`` made in the caller's transaction."""
        ...

    def damaged(self, days: Iterable[Day], data: DataState) -> set[Day]:
        """Those of the days whose copy in this store is gone or not what it was when it was written."""
        ...

    def can_read(self, query: Query, data: DataState) -> bool:
        """Whether the store has all events that the query and its sub-queries read, undamaged."""
        ...

    def stored_exists(self, query: Query, connection: sa.Connection) -> bool:
        """Whether the stored result is really there."""
        ...

    def discard(self, query_id: str, connection: sa.Connection) -> None:
        """Remove a stored result if there is one."""
        ...

    def held(self, connection: sa.Connection) -> set[str]:
        """Ids of all results that are really there."""
        ...

    def tidy(self, cells_version: int, connection: sa.Connection) -> list[str]:
        """Remove the maps that nobody will ask for again and what killed workers left unfinished; returns names."""
        ...

    def share(self, among: int) -> None:
        """Use only one of so many equal parts of the threads, as others compute on this host at the same time."""
        ...

    def interrupt(self) -> None:
        """Stop the statement that runs now, if any; callable from another thread."""
        ...

    def sources(self, data: DataState, connection: sa.Connection) -> Sources:
        """The relations that statements of this executor read."""
        ...

    def pseudonyms(self) -> FromClause | None:
        """``subscriber_key`` and ``pseudonym``; None where subscribers are stored as pseudonyms."""
        ...

    def frame(self, select: Select[Any], connection: sa.Connection) -> pd.DataFrame:
        """The rows of a statement."""
        ...

    def rows(self, query: Query, data: DataState, connection: sa.Connection) -> list[tuple[Any, ...]]:
        """The stored result's rows, in the internal columns."""
        ...
