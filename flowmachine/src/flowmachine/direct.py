"""Use the engine from Python, beside the database.

The operator's own analysts see subscribers by pseudonym. Results are the rows that server and workers use;
stored results are not computed again.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.data import DataState, read_data_state
from flowmachine.frames import typed
from flowmachine.jobs import submitting, table
from flowmachine.jobs.table import RELEASED, Key
from flowmachine.picture import picture
from flowmachine.server.explain import explain
from flowmachine.server.geojson import result_statement
from flowmachine.settings import Computing, Database
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import Query, holds_subscribers
from flowmachine.sql.functions import in_full_order
from flowmachine.stores.base import Executor
from flowmachine.stores.choice import choose_executor
from flowmachine.worker import Worker


class QueryFailed(RuntimeError):
    """Report why a query could not be computed."""


class Session:
    """Run queries in this process.

    A session is a context manager and not thread-safe.
    """

    def __init__(self, database: Database, computing: Computing) -> None:
        self._engine = database.engine("flowmachine-direct", pool_size=2)
        self._worker = Worker(database, computing)
        self._computing = computing

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Return all connections."""
        self._worker.close()
        self._engine.dispose()

    def store(self, query: Query) -> str:
        """Compute a query if it is not stored; return its id.

        Other waiting queries may be computed on the way. Raises flowmachine.sql.events.NotBuildable where
        data lack, QueryFailed with the cause of any other failure.
        """
        self._store(query)
        return query.query_id

    def get_dataframe(self, query: Query, rows: int | None = None) -> pd.DataFrame:
        """Return the result, computed if necessary; at most ``rows`` rows.

        An aggregate returns its released rows: small counts are withheld here as everywhere. Other kinds
        return, for example, a row for each subscriber. Subscribers are pseudonyms and regions are ids, in the
        order of the kind.
        Columns have the types of the client's tables: ``datetime64`` for days and times, ``Int64`` for whole
        numbers.
        """
        _, data = self._store(query)
        with self._engine.begin() as connection:
            if isinstance(query, Aggregate):
                released = connection.execute(result_statement(query).limit(rows))
                types = query.published.columns
                # As objects, because pandas would make floats of whole numbers beside a null.
                return typed(pd.DataFrame(released.all(), columns=list(types), dtype=object), types)
            executor = self._worker.executors[self._executor(query, data)]
            select = shown(query, executor, data, connection)
            labels = select.selected_columns.items()
            types = {name: query.columns.get(name, column.type) for name, column in labels}
            return typed(executor.frame(select.limit(rows), connection), types)

    def head(self, query: Query, rows: int = 5) -> pd.DataFrame:
        """Return the first rows."""
        return self.get_dataframe(query, rows)

    def explain(self, query: Query) -> dict[str, Any]:
        """Forecast a query without computing.

        The result has the parts, the number of stored parts, days read and missing, executor, and a forecast
        in seconds.
        """
        with self._engine.begin() as connection:
            data = read_data_state(connection)
            return explain(connection, query, data, self._executor(query, data))

    def dependency_graph(self, query: Query) -> str:
        """Draw the query and its inputs as SVG; stored results are green."""
        with self._engine.begin() as connection:
            data = read_data_state(connection)
            return picture(query, table.stored_ids(connection, data.fingerprints(query)))

    def _executor(self, query: Query, data: DataState) -> str:
        return choose_executor(query, data, self._computing.choice, self._worker.executors)

    def _store(self, query: Query) -> tuple[Key, DataState]:
        with self._engine.begin() as connection:
            data = read_data_state(connection)
            data.check(query)
            store = RELEASED
            if not isinstance(query, Aggregate):
                store = self._worker.executors[self._executor(query, data)].store
            key = Key(query.query_id, store)
            submitting.submit(connection, query, data, store=store, user="direct use")
        row = self._worker.work_until_done(key)
        if row["state"] != "completed":
            cause = row["error"] or table.describe_state(row["state"])
            raise QueryFailed(f"{query.kind} {query.query_id}: {cause}")
        return key, data


def shown(query: Query, executor: Executor, data: DataState, connection: sa.Connection) -> Select[Any]:
    """Return a stored result for people, in the kind's order.

    Pseudonyms and id columns replace keys.
    """
    sources = executor.sources(data, connection)
    rows: FromClause = sources.stored(query)
    joined = rows
    columns: dict[str, sa.ColumnElement[Any]] = {}
    for name in query.columns:
        if name in query.places:
            unit = query.places[name]
            regions = sources.regions(unit).alias(f"regions_{name}")
            joined = joined.outerjoin(regions, rows.c[name] == regions.c.location)
            suffix = name.removeprefix("location")
            ids = sorted(unit.id_columns) if query.ids_by_name else unit.id_columns
            columns |= {f"{id_}{suffix}": regions.c[id_] for id_ in ids}
        elif holds_subscribers(name) and (people := executor.pseudonyms()) is not None:
            people = people.alias(f"people_{name}")
            joined = joined.outerjoin(people, rows.c[name] == people.c.subscriber_key)
            columns[name] = people.c.pseudonym
        else:
            columns[name] = rows.c[name]
    labelled = (column.label(name) for name, column in columns.items())
    return sa.select(*labelled).select_from(joined).order_by(*in_full_order(columns, query.order))
