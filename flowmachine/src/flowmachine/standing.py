"""Keep parts of every loaded day stored for questions over many days.

Such questions then read parts instead of events. The setting FLOWMACHINE_STANDING lists the parts: specs
without their ``date``. Idle workers compute the missing ones, the latest day first. A part is made again when
its day is loaded again, like any part. Cleaners leave these parts alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import marshmallow as ma
import sqlalchemy as sa

from flowmachine.data import DataState
from flowmachine.jobs import submitting
from flowmachine.jobs.table import any_of, stored_ids
from flowmachine.queries.catalogue import load_any
from flowmachine.settings import Choice
from flowmachine.spec.query import NotBuildable, Query
from flowmachine.stores.base import Executor
from flowmachine.stores.choice import STORES, choose_executor
from flowmachine.tables import jobs
from flowsettings import SettingError

Spec = Mapping[str, Any]

#: States of a part that comes without being asked for, and of one that will not come.
UNDER_WAY = ("queued", "executing", "resetting")
ENDED = ("errored", "cancelled")

#: Any day, to check the listed specs with.
_SOME_DAY = date(2016, 1, 1)


@dataclass(frozen=True)
class Part:
    """Name one listed spec on one day."""

    spec: Spec
    query: Query
    fingerprint: str


@dataclass(frozen=True)
class Share:
    """Count the loaded and the stored days of a listed spec, and the bytes."""

    spec: Spec
    days: int
    stored: int
    bytes: int


class StandingParts:
    """Know the listed parts of all loaded days.

    Raises SettingError for a spec that does not make a query of one day.
    """

    def __init__(self, specs: Sequence[Spec]) -> None:
        for spec in specs:
            try:
                _of_day(spec, _SOME_DAY)
            except ma.ValidationError as error:
                raise SettingError(
                    f"FLOWMACHINE_STANDING lists {dict(spec)}; it must be a query of one day without its date:"
                    f" {error.messages}"
                ) from None
        self._specs = specs
        self._seen: DataState | None = None
        self._parts: dict[str, Part] = {}
        #: Fingerprints by id of what this process has asked for.
        self._asked: dict[str, str] = {}

    def ids(self, data: DataState) -> Collection[str]:
        """Return the ids of all parts that are to stay."""
        return self._look(data).keys()

    def offer(
        self, connection: sa.Connection, data: DataState, executors: Mapping[str, Executor], choice: Choice
    ) -> bool:
        """Queue a missing part; return whether there was any.

        Call this in a transaction, when nothing else waits. A part that failed is asked for again when its data change.
        """
        parts = self._look(data)
        missing = parts.keys() - self._stored(connection)
        states = self._states(connection, missing)
        for query_id, part in parts.items():
            given_up = states.get(query_id) in ENDED and self._asked.get(query_id) == part.fingerprint
            if query_id in missing and states.get(query_id) not in UNDER_WAY and not given_up:
                self._asked[query_id] = part.fingerprint
                store = STORES[choose_executor(part.query, data, choice, executors)]
                submitting.submit(connection, part.query, data, store=store)
                return True
        return False

    def shares(self, connection: sa.Connection, data: DataState) -> list[Share]:
        """Return for each listed spec what is stored of it."""
        parts = self._look(data)
        fresh = self._stored(connection)
        found = sa.select(jobs.c.query_id, jobs.c.bytes).where(
            jobs.c.query_id == any_of(fresh), jobs.c.state == "completed"
        )
        sizes = connection.execute(found).all()
        shares = []
        for spec in self._specs:
            own = {query_id for query_id, part in parts.items() if part.spec is spec}
            size = sum(row.bytes or 0 for row in sizes if row.query_id in own)
            shares.append(Share(spec, len(own), len(own & fresh), size))
        return shares

    def _stored(self, connection: sa.Connection) -> set[str]:
        return stored_ids(connection, {query_id: part.fingerprint for query_id, part in self._parts.items()})

    def _states(self, connection: sa.Connection, ids: Collection[str]) -> dict[str, str]:
        if not ids:
            return {}
        found = sa.select(jobs.c.query_id, jobs.c.state).where(jobs.c.query_id == any_of(ids))
        return {row.query_id: row.state for row in connection.execute(found)}

    def _look(self, data: DataState) -> Mapping[str, Part]:
        """Return the parts by id, the latest day first."""
        if data is not self._seen:
            self._seen, self._parts = data, {}
            for day in sorted({day for _, day in data.loads}, reverse=True):
                for spec in self._specs:
                    query = _of_day(spec, day)
                    try:
                        data.check(query)
                    except NotBuildable:
                        # The spec names event types that this day lacks.
                        continue
                    fingerprint = data.fingerprints(query)[query.query_id]
                    self._parts[query.query_id] = Part(spec, query, fingerprint)
        return self._parts


def _of_day(spec: Spec, day: date) -> Query:
    return load_any({**spec, "date": day.isoformat()})
