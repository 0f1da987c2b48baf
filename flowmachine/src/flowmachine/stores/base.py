"""Define the interface of executors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.data import DataState, Day
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import Query, Sources
from flowmachine.spec.subsets import SubscriberSet

if TYPE_CHECKING:
    import pandas as pd


class Unreachable(Exception):
    """Report that an executor's engine does not answer; another attempt may succeed."""


@dataclass(frozen=True)
class Stored:
    """Hold the size of a stored result, and the metadata of a released one."""

    rows: int
    bytes: int
    metadata: Mapping[str, list[str]] | None = None


class Executor(Protocol):
    """Compute into one store.

    Only ``interrupt`` is thread-safe.
    """

    name: str
    #: Where it keeps intermediate results; executors of one store read each other's.
    store: str

    def storing(
        self, query: Query, data: DataState, connection: sa.Connection
    ) -> AbstractContextManager[Stored]:
        """Compute a query and store its result under its id at the end of the context.

        An error in the context stores nothing. ``connection`` is a transaction of the caller. The caller
        checks inside the context whether the result is still wanted, because a worker that lost its job must
        not replace a newer result.
        """
        ...

    def storing_set(
        self, query: SubscriberSet, members: Sequence[int], connection: sa.Connection
    ) -> AbstractContextManager[Stored]:
        """Store other subscribers than its own as a set's result, by their keys.

        The rest is as in ``storing``.
        """
        ...

    def release(self, query: Aggregate, data: DataState, connection: sa.Connection) -> Stored:
        """Compute a query's released rows into a table of schema ``cache``.

        The table is created in the caller's transaction.
        """
        ...

    def damaged(self, days: Iterable[Day], data: DataState) -> set[Day]:
        """Return the days whose copy in this store is missing or damaged."""
        ...

    def damaged_tallies(self, days: Iterable[Day], data: DataState) -> set[Day]:
        """Return the days whose counts by cell and hour are missing or damaged.

        Their events are read instead.
        """
        ...

    def can_read(self, query: Query, data: DataState) -> bool:
        """Return whether the store has all events of the query, undamaged.

        Sub-queries are included.
        """
        ...

    def stored_exists(self, query: Query, connection: sa.Connection) -> bool:
        """Return whether the stored result really exists."""
        ...

    def discard(self, query_id: str, connection: sa.Connection) -> None:
        """Remove a stored result if there is one."""
        ...

    def held(self, connection: sa.Connection) -> set[str]:
        """Return the ids of all results that really exist."""
        ...

    def tidy(self, cells_version: int, connection: sa.Connection) -> list[str]:
        """Remove outdated maps and unfinished files of killed workers; return names."""
        ...

    def share(self, among: int) -> None:
        """Use only one of ``among`` equal parts of the threads.

        Other workers on this host use the rest.
        """
        ...

    def interrupt(self) -> None:
        """Stop what runs outside the database, if anything; callable from another thread."""
        ...

    def sources(self, data: DataState, connection: sa.Connection) -> Sources:
        """Return the relations that statements of this executor read."""
        ...

    def pseudonyms(self) -> FromClause | None:
        """Return ``subscriber_key`` and ``pseudonym``.

        None where subscribers are stored as pseudonyms.
        """
        ...

    def frame(self, select: Select[Any], connection: sa.Connection) -> pd.DataFrame:
        """Return the rows of a statement."""
        ...

    def rows(self, query: Query, data: DataState, connection: sa.Connection) -> list[tuple[Any, ...]]:
        """Return the stored result's rows, in the internal columns."""
        ...
