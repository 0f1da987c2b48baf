"""Describe the available data: days, loads, files, zone and cell version.

A result is fresh as long as the fingerprint of its inputs equals the fingerprint of the available data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.places import CELLS, SpatialUnit
from flowmachine.spec.published import differences, floor
from flowmachine.spec.query import EventSelection, NotBuildable, Query
from flowmachine.spec.subsets import SubscriberSet
from flowmachine.sql.statements import InsertNew
from flowmachine.tables import (
    columnar_files,
    current_loads,
    damaged_files,
    location_keys,
    unit_tables,
    versions,
    weights,
)

Day = tuple[str, date]


@dataclass(frozen=True)
class DataState:
    """Hold the loaded days (event type, date) with load ids and columnar files.

    ``cell_names`` is the number of cells that events may name; it only grows. ``checksums`` gives the files'
    size in bytes and SHA-256; a file without an entry is not checked. ``versions`` gives the version of each
    subject that kinds name in ``reads``, and of each table that spatial units may name. ``listed_damage`` names
    the days whose file waits for its repair. ``rows`` gives the number of events of days with a file. ``tallies``
    gives the files of events counted by cell and hour; a day with a file may lack its own.
    """

    loads: dict[Day, UUID]
    files: dict[Day, str]
    cells_version: int
    zone_name: str
    cell_names: int = 0
    checksums: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    listed_damage: frozenset[Day] = frozenset()
    rows: Mapping[Day, int] = field(default_factory=dict)
    tallies: Mapping[Day, str] = field(default_factory=dict)

    @cached_property
    def zone(self) -> ZoneInfo:
        """Return the deployment's zone, on whose wall clock days and hours are counted."""
        return ZoneInfo(self.zone_name)

    def utc(self, moment: datetime) -> datetime:
        """Return the naive UTC time of a local time.

        Of an ambiguous local time the first occurrence counts. A skipped local time is shifted forward by the
        length of the gap.
        """
        return moment.replace(tzinfo=self.zone).astimezone(UTC).replace(tzinfo=None)

    def local(self, moment: datetime) -> datetime:
        """Return the local time of a naive UTC time."""
        return moment.replace(tzinfo=UTC).astimezone(self.zone).replace(tzinfo=None)

    def map_version(self, unit: SpatialUnit) -> str:
        """Return the inputs' version of a unit's map.

        The version consists of numbers that never fall, with the number of the cells last.
        """
        # Names of cells arrive with days, without a change of the cells.
        before = [self.cell_names] if unit == CELLS else [self.versions.get(name, 0) for name in unit.tables]
        return "_".join(map(str, [*before, self.cells_version]))

    def days_of(self, selection: EventSelection) -> list[Day]:
        """Return the loaded days that a selection reads."""
        return [
            (event_type, day)
            for event_type in selection.types
            for day in selection.days
            if (event_type, day) in self.loads
        ]

    def dates_of(self, selection: EventSelection) -> list[date]:
        """Return the dates of which a selection reads a loaded day, in order."""
        return sorted({day for _, day in self.days_of(selection)})

    def check(self, query: Query) -> None:
        """Refuse a query for whose window no day is loaded; raises NotBuildable."""
        try:
            for part in query.graph():
                part.check_buildable()
                for selection in part.events:
                    if not (part.may_lack_data or self.days_of(selection)):
                        raise NotBuildable(f"No data for date: {selection.start} - {selection.end}")
        except OverflowError:
            raise NotBuildable("A date lies beyond the calendar.") from None

    def days(self, query: Query) -> set[Day]:
        """Return the loaded days that the query and its sub-queries read."""
        return {day for part in query.graph() for selection in part.events for day in self.days_of(selection)}

    def rows_of(self, query: Query) -> int:
        """Return the number of events of all days that the query reads."""
        return sum(self.rows.get(day, 0) for day in self.days(query))

    def columnar(self, query: Query) -> bool:
        """Return whether every loaded day that the query reads has a columnar file.

        Sub-queries are included. The files must be current.
        """
        return self.days(query) <= self.files.keys()

    def fingerprints(self, query: Query) -> dict[str, str]:
        """Return the fingerprint of the query and of each sub-query, by id.

        A fingerprint is a digest of the versions and of the loads of all days read, including absent days.
        For judged results the settings of the gate are included, so that results stored under a lower floor or
        never compared with other answers are not released again.
        """
        found: dict[str, str] = {}
        for part in query.graph():
            digest = hashlib.sha256()
            if isinstance(part, Aggregate):
                digest.update(f"floor {floor()}; differences {differences()};".encode())
            if isinstance(part, SubscriberSet):
                digest.update(f"differences {differences()};".encode())
            if part.reads_cells and (part.unit is not None or part.events):
                version = str(self.cells_version) if part.unit is None else self.map_version(part.unit)
                digest.update(version.encode())
            for subject in part.subjects:
                digest.update(f"{subject} {self.versions.get(subject)};".encode())
            for selection in part.events:
                for event_type in selection.types:
                    for day in selection.days:
                        digest.update(f"{event_type} {day} {self.loads.get((event_type, day))};".encode())
            for child in part.children:
                digest.update(found[child.query_id].encode())
            found[part.query_id] = digest.hexdigest()[:32]
        return found

    def inputs(self, query: Query) -> dict[Day, UUID]:
        """Return the loads that the query itself reads."""
        return {day: self.loads[day] for selection in query.events for day in self.days_of(selection)}


#: The last state read and its digest.
_latest: tuple[str, DataState] | None = None


def read_data_state(connection: sa.Connection) -> DataState:
    """Read the state of the data in the connection's transaction.

    The state is read whole only if its digest has changed, because years of days are thousands of rows and
    every job asks twice. The digest covers the whole state, so equal digests mean equal states in any
    database. The digest is read before the rows. If the rows are newer than the digest, the next digest
    differs and the rows are read again.
    """
    global _latest
    digest = connection.execute(_DIGEST).scalar_one()
    known = _latest
    if known is not None and known[0] == digest:
        return known[1]
    state = _read_whole(connection)
    _latest = (digest, state)
    return state


class NamedTables:
    """Look up the tables that specs may name, for reading specs.

    The database is asked once for all their columns.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def columns(self, name: str) -> Collection[str] | None:
        return self._columns.get(name)

    @cached_property
    def _columns(self) -> dict[str, Collection[str]]:
        return {row.name: row.columns for row in self._connection.execute(sa.select(unit_tables))}

    def weights_problem(self, name: str, column: str) -> str | None:
        rows = weights(name, column)
        # Not a number is greater than all numbers.
        wrong = sa.or_(
            sa.func.count() > 1,
            sa.func.min(rows.c.weight) < 0,
            sa.func.max(rows.c.weight) >= sa.literal_column("'infinity'::float8", sa.Double),
        )
        places = sa.select(rows.c.pcod).group_by(rows.c.pcod).having(wrong)
        try:
            with self._connection.begin_nested():
                found = self._connection.execute(sa.select(places.exists())).scalar_one()
        except sa.exc.DataError:
            return f"weights_table must have numbers in column {column}."
        return "weights_table has negative or repeated entries." if found else None


def check_weights(connection: sa.Connection, table: str, column: str) -> None:
    """Refuse a table with wrong weights; raises NotBuildable."""
    if (problem := NamedTables(connection).weights_problem(table, column)) is not None:
        raise NotBuildable(problem)


def report_damage(connection: sa.Connection, days: Iterable[Day]) -> None:
    """Ask the loader to rebuild these days' columnar files.

    The loader is notified when the transaction commits.
    """
    rows = [{"cdr_type": event_type, "cdr_date": day} for event_type, day in sorted(days)]
    if rows:
        connection.execute(InsertNew(damaged_files), rows)


def _digest_of(table: sa.TableClause) -> sa.ScalarSelect[Any]:
    """Return a digest of a table.

    A sum needs no order. Because each row holds a random load id, the sum is as good as a digest of the
    whole.
    """
    row = sa.func.hash_record_extended(table.table_valued(), 0)
    return sa.select(sa.func.concat_ws(" ", sa.func.count(), sa.func.sum(row))).scalar_subquery()


_cell_names = sa.select(sa.func.count()).select_from(location_keys).scalar_subquery()
#: Read from the index. Keys may become visible out of order, but always before the load that names them, and
#: that load changes the digest.
_newest_cell_name = sa.select(sa.func.max(location_keys.c.location_key)).scalar_subquery()

_DIGEST = sa.select(
    sa.func.concat_ws(
        " ",
        _digest_of(current_loads),
        _digest_of(columnar_files),
        _digest_of(damaged_files),
        sa.func.cells_version(),
        sa.select(
            sa.func.string_agg(
                sa.func.concat_ws(" ", *versions.c), aggregate_order_by(sa.literal(";"), versions.c.subject)
            )
        ).scalar_subquery(),
        sa.func.current_setting("TimeZone"),
        _newest_cell_name,
    )
)


def _read_whole(connection: sa.Connection) -> DataState:
    loads = {
        (row.cdr_type, row.cdr_date): row.load_id
        for row in connection.execute(sa.select(current_loads)).all()
    }
    current = [
        row
        for row in connection.execute(sa.select(columnar_files)).all()
        if loads.get((row.cdr_type, row.cdr_date)) == row.load_id
    ]
    files = {(row.cdr_type, row.cdr_date): row.path for row in current}
    rows = {(row.cdr_type, row.cdr_date): row.rows for row in current}
    checksums = {row.path: (row.bytes, row.sha256) for row in current}
    tallied = [row for row in current if row.tally_path is not None]
    tallies = {(row.cdr_type, row.cdr_date): row.tally_path for row in tallied}
    checksums |= {row.tally_path: (row.tally_bytes, row.tally_sha256) for row in tallied}
    version, zone, cell_names = connection.execute(
        sa.select(sa.func.cells_version(), sa.func.current_setting("TimeZone"), _cell_names)
    ).one()
    others = {row.subject: row.version for row in connection.execute(sa.select(versions))}
    damage = frozenset(
        (row.cdr_type, row.cdr_date) for row in connection.execute(sa.select(damaged_files)).all()
    )
    return DataState(loads, files, version, zone, cell_names, checksums, others, damage, rows, tallies)
