"""Do over the columnar store what its executors have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet
import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.data import DataState
from flowmachine.ledger.inputs import Stores
from flowmachine.ledger.releasing import release
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import Query
from flowmachine.spec.subsets import SubscriberSet
from flowmachine.stores.base import Stored
from flowmachine.stores.cache_tables import copy_table
from flowmachine.stores.columnar import ColumnarStore, Folders, Reader

if TYPE_CHECKING:
    import pandas as pd


class ColumnarExecutor(ColumnarStore, ABC):
    """Compute over files; ``query`` runs a statement on the executor's engine.

    ``reader`` is the role that may read released results.
    """

    def __init__(self, settings: Folders, read: Reader, reader: str) -> None:
        super().__init__(settings, read)
        self._reader = reader

    @abstractmethod
    def query(self, select: Select[Any]) -> pa.Table:
        """Return the rows of a statement."""

    @contextmanager
    def storing_set(
        self, query: SubscriberSet, members: Sequence[int], connection: sa.Connection
    ) -> Iterator[Stored]:
        table = pa.table({name: pa.array(members, pa.int64()) for name in query.columns})
        with self.replacing(query.query_id) as partial:
            pa.parquet.write_table(table, partial, compression="lz4")
            yield Stored(table.num_rows, partial.stat().st_size)

    def release(self, query: Aggregate, data: DataState, connection: sa.Connection) -> Stored:
        stores = Stores(self.sources(data, connection), lambda part: self.stored_exists(part, connection))
        return release(query, data, stores, self._fill, connection, self._reader)

    def _fill(self, connection: sa.Connection, table: sa.Table, select: Select[Any]) -> None:
        rows = self.query(select)
        table.create(connection)
        copy_table(connection, table, rows)

    def pseudonyms(self) -> FromClause | None:
        columns = {"subscriber_key": sa.BigInteger(), "pseudonym": sa.Text()}
        pattern = str(self._settings.columnar_path / "subscribers" / "*.parquet")
        # A repeated load may have written its pairs twice.
        return sa.select(self._read([pattern], columns, "dictionary")).distinct().subquery("pseudonyms")

    def frame(self, select: Select[Any], connection: sa.Connection) -> pd.DataFrame:
        # As objects, because pandas would make floats of whole numbers beside a null.
        return self.query(select).to_pandas(integer_object_nulls=True)

    def rows(self, query: Query, data: DataState, connection: sa.Connection) -> list[tuple[Any, ...]]:
        stored = self.sources(data, connection).stored(query)
        return [tuple(row.values()) for row in self.query(sa.select(stored)).to_pylist()]
