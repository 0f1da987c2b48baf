"""Compute over columnar files with Apache Spark or Sail, over Spark Connect.

Statements run on the engine, which reads the loaded days and writes intermediate results in folders that all
its hosts see. Only released rows, sets of subsets and their sketches come to the worker.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet
import shapely
import sqlalchemy as sa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from sqlalchemy.sql import FromClause, Select

from flowmachine.data import DataState
from flowmachine.executors.columnar import ColumnarExecutor
from flowmachine.settings import SPARK, Computing
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query
from flowmachine.sql.samples import stored_select
from flowmachine.sql.spark import schema_of, spelled
from flowmachine.sql.spark_geometry import EDGES, edges_of
from flowmachine.stores.base import Stored, Unreachable
from flowmachine.stores.columnar import PARTS, ColumnarSources

#: Attempts to reach the server, over about 15 seconds; the job table then tries again.
_ATTEMPTS = 5


class SparkSources(ColumnarSources):
    """Provide boundaries as lists of edges, because Spark reads no well-known binary."""

    def boundaries(self, unit: SpatialUnit) -> FromClause:
        binary = self._boundaries_path(unit)
        path = binary.with_name(binary.name.replace("boundaries", "edges", 1))
        if not path.exists():
            regions = pa.parquet.read_table(binary)
            edges = [edges_of(shapely.from_wkb(geom.as_py())) for geom in regions["geom"]]
            table = pa.table({"location": regions["location"], "geom": pa.array(edges, EDGES)})
            partial = path.with_name(f".{path.name}.{uuid4().hex}")
            pa.parquet.write_table(table, partial)
            partial.replace(path)
        return self._read([str(path)], {"location": sa.Integer(), "geom": sa.types.NullType()}, "boundaries")


class SparkExecutor(ColumnarExecutor):
    """Run statements on a Spark Connect server, in one session for each executor.

    The session begins with the first statement, and again after an error.
    """

    name = SPARK
    sources_type = SparkSources

    def __init__(self, settings: Computing, reader: str) -> None:
        super().__init__(settings, self._view, reader)
        self._url = settings.spark_url or ""
        self._session: SparkSession | None = None
        #: Views of this session by the files and columns that they read.
        self._views: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}
        self._tag = f"flowmachine-{uuid4().hex}"
        self._lock = threading.Lock()

    @contextmanager
    def storing(self, query: Query, data: DataState, connection: sa.Connection) -> Iterator[Stored]:
        with self.replacing(query.query_id) as partial:
            with self._running():
                select = stored_select(query, self.sources(data, connection))
                frame = self._frame(select)
                frame.write.mode("overwrite").parquet(_address(partial))
                if not list(partial.glob(PARTS)):
                    # Sail writes nothing of no rows, but readers need the columns.
                    partial.mkdir(exist_ok=True)
                    empty = to_arrow_schema(frame.schema).empty_table()
                    pa.parquet.write_table(empty, partial / "empty.parquet")
            yield _size(partial)

    def query(self, select: Select[Any]) -> pa.Table:
        with self._running():
            return self._frame(select).toArrow()

    def share(self, among: int) -> None:
        """Do nothing: the cluster shares its processors by itself."""

    def interrupt(self) -> None:
        session = self._session
        if session is not None:
            session.interruptTag(self._tag)

    def _frame(self, select: Select[Any]) -> DataFrame:
        return self._connected().sql(spelled(select))

    def _connected(self) -> SparkSession:
        if self._session is None:
            session = SparkSession.builder.remote(self._url).create()
            session.client.set_retry_policies([DefaultPolicy(max_retries=_ATTEMPTS)])
            session.conf.set("spark.sql.session.timeZone", "UTC")
            # Sail does not know a negative zero for zero, so that a guarded division may still be by zero.
            session.conf.set("spark.sql.ansi.enabled", "false")
            session.addTag(self._tag)
            self._session = session
        return self._session

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Run a statement.

        The views that it reads end with it, because files are replaced.
        """
        try:
            yield
        except PySparkException as error:
            self._session = None
            self._views.clear()
            if _is_unreachable(error):
                raise Unreachable("The Spark Connect server does not answer.") from error
            raise
        finally:
            while self._views and self._session is not None:
                _, name = self._views.popitem()
                self._session.catalog.dropTempView(name)

    def _view(self, paths: Sequence[str], columns: Mapping[str, Any], name: str) -> FromClause:
        """Return Parquet files as a relation with the given columns."""
        key = tuple(paths), tuple(columns)
        if key not in self._views:
            view = f"files_{uuid4().hex}"
            reader = self._connected().read
            if len(paths) > 1:
                # Files of several event types have different columns.
                reader = reader.schema(schema_of(columns))
            reader.parquet(*map(_address, paths)).createOrReplaceTempView(view)
            self._views[key] = view
        return sa.table(self._views[key], *(sa.column(n, t) for n, t in columns.items())).alias(name)


def _address(path: str | Path) -> str:
    """Return a path as an address: engines may read other file systems by default."""
    return f"file://{path}"


def _size(folder: Path) -> Stored:
    """Return rows and bytes of a stored folder."""
    parts = list(folder.glob(PARTS))
    rows = sum(pa.parquet.read_metadata(part).num_rows for part in parts)
    return Stored(rows, sum(part.stat().st_size for part in parts))


def _is_unreachable(error: PySparkException) -> bool:
    """Return whether an error is of the connection and not of the statement."""
    code = getattr(error, "getGrpcStatusCode", lambda: None)()
    return getattr(code, "name", None) in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
