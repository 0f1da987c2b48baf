"""Define the server's actions: a few database reads and at most one write each.

An action gets its parameters and returns its payload, or raises ``Refused`` with the message and payload of
the error reply. No action computes a query.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import marshmallow as ma
import sqlalchemy as sa

from flowmachine import __version__, metrics, tables
from flowmachine.approved import is_approved
from flowmachine.data import DataState, NamedTables, read_data_state
from flowmachine.jobs import submitting, table
from flowmachine.jobs.specs import query_of
from flowmachine.jobs.table import RELEASED, Key
from flowmachine.logs import debug_log
from flowmachine.queries.catalogue import load, submittable_kinds
from flowmachine.queries.schema import query_schemas
from flowmachine.server.explain import explain
from flowmachine.server.geojson import as_text, feature_statement, geography_statement, result_statement
from flowmachine.server.loads import days_not_loaded, read_loads
from flowmachine.server.requests import ACTIONS, NAMED_QUERY, VALUES, params_problems
from flowmachine.settings import Choice, Limits
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.limits import check_limits
from flowmachine.spec.nested import finer_within, kinds_within
from flowmachine.spec.places import CELLS, SpatialUnit
from flowmachine.spec.query import NotBuildable, Query
from flowmachine.stores.choice import choose_executor
from flowmachine.tables import quality_checks, result_name

Params = Mapping[str, Any]
Payload = dict[str, Any]

#: Version of this protocol; raised when a reply changes its meaning.
PROTOCOL = 1

#: A worker not seen for this long counts as dead.
ALIVE = timedelta(seconds=30)

#: Seconds for which a parsed spec is kept, because the API first asks for the spec's scopes and then submits
#: the spec.
SAME_REQUEST = 2.0
MOST_PARSED = 4

#: With fewer parts, each poll counts them; with more, one count serves all polls within some seconds.
MANY_PARTS = 100
POLLED_FOR = 0.3


class Refused(Exception):
    """Reply with an error."""

    def __init__(self, message: str, payload: Payload | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.payload = payload or {}


class Actions:
    """Perform the actions over one database."""

    def __init__(
        self,
        engine: sa.Engine,
        queue_limit: int = 1000,
        choice: Choice | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._engine = engine
        self._limits = limits or Limits.model_validate({})
        self._queue_limit = queue_limit
        self._choice = choice or Choice()
        self._polled: dict[str, tuple[float, Payload]] = {}
        self._parsed: dict[bytes, tuple[float, Aggregate]] = {}

    def perform(
        self, action: str, params: Params, *, user: str | None = None, request_id: str | None = None
    ) -> Payload:
        """Perform one action; raises Refused."""
        schema = ACTIONS[action]
        if schema is not None:
            _check_params(action, schema, params)
        if action == "run_query":
            return self.run_query(params, user=user, request_id=request_id)
        if action == "cancel_query":
            return self.cancel_query(params, user=user)
        payload: Payload = getattr(self, action)(params)
        return payload

    def canonical(self, action: str, params: Params) -> Params:
        """Return the parameters with their spec in its canonical form.

        Repeats are dropped, defaults are filled in and subsets named by ids are given whole. Raises Refused.
        """
        spec = params.get("spec") if action == "authorise" else params
        if ACTIONS[action] is not None or not isinstance(spec, dict):
            return params
        with self._engine.connect() as connection:
            canonical = self._load(connection, spec).spec()
        return {"spec": canonical} if action == "authorise" else canonical

    def ping(self, params: Params) -> Payload:
        return {}

    def health(self, params: Params) -> Payload:
        """Report the health of ``database``, ``workers``, ``folders`` and ``loading``.

        Each is ``ok`` or says what is wrong. The action is never refused: a silent database is itself an
        answer. A worker is one seen lately. The folders are those of columnar files and intermediate results,
        as the workers see them.
        """
        jobs_, seen = tables.jobs.c, tables.workers.c
        try:
            with self._engine.connect() as connection:
                counts = connection.execute(
                    sa.select(
                        sa.func.count().filter(jobs_.state == "queued").label("queued"),
                        sa.func.count().filter(jobs_.state == "executing").label("running"),
                    ).where(jobs_.state.in_(("queued", "executing")))
                ).one()
                ills = (
                    connection.execute(
                        sa.select(seen.ill)
                        .where(seen.seen > sa.func.clock_timestamp() - ALIVE)
                        .order_by(seen.name)
                    )
                    .scalars()
                    .all()
                )
                not_loaded = days_not_loaded(connection)
        except sa.exc.OperationalError:
            return {
                "protocol": PROTOCOL,
                "version": __version__,
                "database": "does not answer",
                "workers": "unknown",
                "folders": "unknown",
                "loading": "unknown",
            }
        if ills:
            folders = next((ill for ill in ills if ill is not None), "ok")
        else:
            folders = "unknown"
        return {
            "protocol": PROTOCOL,
            "version": __version__,
            "database": "ok",
            "workers": "ok" if ills else f"none was seen in the last {ALIVE.total_seconds():g} seconds",
            "folders": folders,
            "loading": "ok" if not not_loaded else f"{not_loaded} days held back or failed",
            "alive": len(ills),
            "queued": counts.queued,
            "running": counts.running,
        }

    def get_available_queries(self, params: Params) -> Payload:
        return {"available_queries": submittable_kinds()}

    def get_query_schemas(self, params: Params) -> Payload:
        return {"query_schemas": query_schemas()}

    def get_aggregation_unit(self, params: Params) -> Payload:
        with self._engine.connect() as connection:
            query = self._load(connection, params)
        return {"aggregation_unit": None if query.unit is None else query.unit.name}

    def authorise(self, params: Params) -> Payload:
        """Return what a right to a query depends on.

        The reply has the unit, the kind, the kinds within, those at finer units, the kinds in subsets, further
        scopes and the canonical spec. The parameter is a ``spec`` or the ``query_id`` of a submitted query. Both use the
        whole query with subsets looked up by id, so that every caller gets the same answer at any time.
        """
        if params.keys() == {"spec"} and isinstance(params["spec"], dict):
            with self._engine.connect() as connection:
                query = self._load(connection, params["spec"])
        else:
            _check_params("authorise", NAMED_QUERY, params)
            with self._engine.connect() as connection:
                found = query_of(self._known(connection, params["query_id"]))
                assert isinstance(found, Aggregate)
                query = found
        own, in_subsets = kinds_within(query)
        return {
            "query_kind": query.kind,
            "aggregation_unit": None if query.unit is None else query.unit.name,
            "kinds": sorted(own),
            "subset_kinds": sorted(in_subsets),
            "finer_kinds": finer_within(query),
            "further_scopes": list(query.further_scopes),
            "spec": query.spec(),
        }

    def run_query(self, params: Params, *, user: str | None, request_id: str | None) -> Payload:
        with self._engine.begin() as connection:
            query = self._load(connection, params)
            data = read_data_state(connection)
            _check_data(query, data)
            try:
                row = submitting.submit(
                    connection,
                    query,
                    data,
                    user=user,
                    request_id=request_id,
                    queue_limit=self._queue_limit,
                )
            except submitting.QueueFull:
                raise Refused(
                    f"The queue is full: {self._queue_limit} queries are waiting or running. Try again later.",
                    {"code": "queue_full", "limit": self._queue_limit},
                ) from None
            metrics.submitted(stored=row["state"] == "completed")
            progress = submitting.progress_of(connection, row)
        return {"query_id": query.query_id, "progress": progress.as_dict()}

    def explain_query(self, params: Params) -> Payload:
        """Forecast a spec: parts, stored parts, days read and missing, and seconds."""
        with self._engine.connect() as connection:
            query = self._load(connection, params)
            data = read_data_state(connection)
            _check_data(query, data)
            return explain(connection, query, data, choose_executor(query, data, self._choice))

    def state(self, query_id: str) -> str | None:
        """Return the state of a submitted query, or None if unknown."""
        with self._engine.connect() as connection:
            state = table.state(connection, Key(query_id, RELEASED))
        if state not in table.PENDING:
            self._polled.pop(query_id, None)
        return state

    def poll_query(self, params: Params) -> Payload:
        """Return state and progress.

        The server holds the request for up to ``wait`` seconds until the state changes.
        """
        query_id = params["query_id"]
        until, latest = self._polled.get(query_id, (0.0, {}))
        if time.monotonic() < until:
            return latest
        with self._engine.connect() as connection:
            row = self._known(connection, query_id, table.summary)
            progress = submitting.progress_of(connection, row)
        payload = {
            "query_id": row["query_id"],
            "query_kind": row["kind"],
            "query_state": row["state"],
            "progress": progress.as_dict(),
        }
        self._polled.pop(query_id, None)
        if progress.eligible >= MANY_PARTS:
            self._polled[query_id] = (time.monotonic() + POLLED_FOR, payload)
        return payload | ({"cause": row["error"]} if row["state"] == "errored" else {})

    def get_query_kind(self, params: Params) -> Payload:
        with self._engine.connect() as connection:
            row = self._known(connection, params["query_id"])
        return {"query_id": row["query_id"], "query_kind": row["kind"]}

    def get_query_params(self, params: Params) -> Payload:
        with self._engine.connect() as connection:
            row = self._known(connection, params["query_id"])
        return {"query_id": row["query_id"], "query_params": row["spec"]}

    def get_sql_for_query_result(self, params: Params) -> Payload:
        query, metadata = self._ready(params["query_id"])
        return {
            "query_id": query.query_id,
            "query_state": "completed",
            "sql": as_text(result_statement(query)),
            "metadata": metadata,
        }

    def get_geo_sql_for_query_result(self, params: Params) -> Payload:
        query, metadata = self._ready(params["query_id"])
        if query.unit is None or query.unit == CELLS or not query.geographic:
            raise Refused(
                f"Query with id '{query.query_id}' has no geography.",
                {"query_id": query.query_id, "query_state": "errored"},
            )
        return {
            "query_id": query.query_id,
            "query_state": "completed",
            "sql": as_text(feature_statement(query)),
            "metadata": metadata,
            "aggregation_unit": query.unit.name,
        }

    def get_geography(self, params: Params) -> Payload:
        unit = SpatialUnit(params["aggregation_unit"])
        return {"query_state": "completed", "sql": as_text(geography_statement(unit))}

    def get_available_dates(self, params: Params) -> Payload:
        with self._engine.connect() as connection:
            loads = read_data_state(connection).loads
        found: dict[str, list[str]] = {}
        for event_type, day in sorted(loads):
            found.setdefault(event_type, []).append(day.isoformat())
        return found

    def get_loads(self, params: Params) -> Payload:
        with self._engine.connect() as connection:
            return read_loads(connection)

    def list_qa_checks(self, params: Params) -> Payload:
        columns = (quality_checks.c.cdr_type, quality_checks.c.type_of_query_or_check)
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).distinct().order_by(*columns)).mappings().all()
        return {"available_qa_checks": [dict(row) for row in rows]}

    def get_qa_checks(self, params: Params) -> Payload:
        checks, wanted = quality_checks.c, VALUES["get_qa_checks"].load(params)
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(checks.outcome, checks.cdr_date, checks.type_of_query_or_check)
                .where(
                    checks.cdr_type == wanted["cdr_type"].lower(),
                    checks.type_of_query_or_check == wanted["check_type"].lower(),
                    checks.cdr_date.between(wanted["start_date"], wanted["end_date"]),
                )
                .order_by(checks.cdr_date)
            ).mappings()
            found = [dict(row) | {"cdr_date": row["cdr_date"].isoformat()} for row in rows]
        return {"qa_checks": found}

    def cancel_query(self, params: Params, *, user: str | None) -> Payload:
        """Stop a query, unless another user than ``user`` also submitted the query."""
        with self._engine.begin() as connection:
            row = self._known(connection, params["query_id"])
            if row["state"] in table.PENDING and _asked_by_others(connection, row, user):
                raise Refused(
                    f"Query with id '{row['query_id']}' cannot be cancelled: somebody else asked for it.",
                    {"code": "asked_by_others", "query_id": row["query_id"], "query_state": row["state"]},
                )
            state = submitting.cancel(connection, params["query_id"])
        self._polled.pop(params["query_id"], None)
        return {"query_id": params["query_id"], "query_state": state}

    def _load(self, connection: sa.Connection, params: Params) -> Aggregate:
        """Return a submitted spec's query, parsed once within ``SAME_REQUEST`` seconds."""
        key = hashlib.sha256(json.dumps(params, sort_keys=True, default=str).encode()).digest()
        now = time.monotonic()
        until, known = self._parsed.get(key, (0.0, None))
        if known is not None and now < until:
            return known
        query = self._parse(connection, params)
        kept = [(name, entry) for name, entry in list(self._parsed.items()) if entry[0] > now and name != key]
        self._parsed = dict(kept[1 - MOST_PARSED :]) | {key: (now + SAME_REQUEST, query)}
        return query

    def _parse(self, connection: sa.Connection, params: Params) -> Aggregate:
        """Parse a submitted spec and look up the queries and tables that it names."""

        def find_spec(query_id: str) -> Any | None:
            return connection.execute(
                sa.select(tables.jobs.c.spec).where(tables.jobs.c.query_id == query_id).limit(1)
            ).scalar_one_or_none()

        try:
            query = load(params, find_spec=find_spec, tables=NamedTables(connection))
            check_limits(query, self._limits, partial(is_approved, connection))
            return query
        except ma.ValidationError as error:
            raise Refused(
                "Parameter validation failed.",
                {"params": dict(params), "validation_error_messages": error.normalized_messages()},
            ) from None
        except NotBuildable as error:
            raise Refused("Unable to create query object.", {"exception": str(error)}) from None
        except sa.exc.SQLAlchemyError:
            raise
        except Exception as error:
            debug_log().exception("a kind's own code failed", submodule="actions", error=type(error).__name__)
            raise Refused(
                f"Internal error while the query was read: {error}",
                {"params": dict(params), "orig_error_msg": str(error)},
            ) from None

    @staticmethod
    def _known(
        connection: sa.Connection,
        query_id: str,
        read: Callable[[sa.Connection, Key], sa.RowMapping | None] = table.find,
    ) -> Mapping[Any, Any]:
        """Return a submitted query's row with its state for clients."""
        row = read(connection, Key(query_id, RELEASED))
        if row is None:
            raise Refused(f"Unknown query id: '{query_id}'", {"query_id": query_id, "query_state": "awol"})
        return {**row, "state": table.shown_state(row)}

    def _ready(self, query_id: str) -> tuple[Aggregate, Payload | None]:
        """Return the query and its metadata if its released result can be read now.

        A result of an earlier version has no metadata. A query whose result was dropped is merely known.
        """
        with self._engine.begin() as connection:
            row = self._known(connection, query_id)
            state = row["state"]
            if state == "completed":
                if sa.inspect(connection).has_table(result_name(query_id), schema="cache"):
                    # Losing this count in a crash is harmless, so do not wait for the disk.
                    connection.execute(sa.select(sa.func.set_config("synchronous_commit", "off", True)))
                    table.touch(connection, Key(query_id, RELEASED))
                    query = query_of(row)
                    assert isinstance(query, Aggregate)
                    return query, row["metadata"]
                table.trigger(connection, Key(query_id, RELEASED), "reset")
                table.trigger(connection, Key(query_id, RELEASED), "finish_resetting")
                state = "known"
        cause = f" {row['error']}" if state == "errored" else ""
        raise Refused(
            f"Query with id '{query_id}' {table.describe_state(state)}.{cause}",
            {"query_id": query_id, "query_state": state},
        )


def _asked_by_others(connection: sa.Connection, row: Mapping[Any, Any], user: str | None) -> bool:
    """Return whether another user also asked for a pending query.

    Only requests since the query was queued count. The row has only the first user; the audit trail has all
    users.
    """
    if row["requested_by"] != user:
        return True
    asked = tables.audit.c
    others = sa.exists().where(
        asked.at >= row["queued_at"],
        asked.action == "run_query",
        asked.query_id == row["query_id"],
        asked.status == "success",
        asked.username.is_distinct_from(user),
    )
    return bool(connection.execute(sa.select(others)).scalar_one())


def _check_data(query: Query, data: DataState) -> None:
    try:
        data.check(query)
    except NotBuildable as error:
        raise Refused("Unable to create query object.", {"exception": str(error)}) from None


def _check_params(action: str, schema: ma.Schema, params: Params) -> None:
    if problems := params_problems(schema, params):
        raise Refused(f"Wrong parameters for action '{action}'.", dict(problems))
    values = VALUES.get(action)
    if values is not None and (problems := params_problems(values, params)):
        raise Refused("Parameter validation failed.", dict(problems))
