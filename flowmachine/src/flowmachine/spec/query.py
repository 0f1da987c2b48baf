"""Define queries: kind, fields, identity, events read and relations of their SQL.

A kind is a frozen dataclass in ``flowmachine/queries/<theme>/<kind>.py``::

    @query_kind("spatial_aggregate")
    class SpatialAggregate(Aggregate):
        locations: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))
        def select(self, sources): ...

Constructing a query validates it, so an invalid query cannot exist. A query does no I/O and holds no state.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Protocol, Self, TypeVar, dataclass_transform

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.spec.arguments import Argument, declared
from flowmachine.spec.fields import HourInterval, canonical_json, canonical_value, load_fields, required
from flowmachine.spec.places import SpatialUnit, Tables
from flowmachine.spec.written import Specified, shown, spec_value

#: Default event types: those with a counterpart (documented with the field).
DEFAULT_EVENT_TYPES = ("calls", "sms")

#: Event types that have a column; columns not listed exist in every type.
COLUMNS_OF_TYPES: dict[str, tuple[str, ...]] = {
    "counterpart": ("calls", "sms"),
    "outgoing": ("calls", "sms"),
    "duration": ("calls", "mds"),
    "volume_total": ("mds",),
    "volume_upload": ("mds",),
    "volume_download": ("mds",),
    "recharge_amount": ("topups",),
    "airtime_fee": ("topups",),
    "tax_and_fee": ("topups",),
    "pre_event_balance": ("topups",),
    "post_event_balance": ("topups",),
}

#: Columns whose names in the event tables differ from those in queries.
NAMES_IN_TABLES = {"counterpart": "msisdn_counterpart", "event_id": "id"}

#: Maximum number of spans of a window, each read by a part of the statement; other windows are read whole.
MOST_SPANS = 40

#: Planning looks at days one by one, so bound the window.
LONGEST_WINDOW = timedelta(days=40 * 366)


class NotBuildable(Exception):
    """Report a valid spec for which no query can be built, and why."""


@dataclass(frozen=True)
class EventSelection:
    """Select events of some types in a wall-clock window [start, end)."""

    start: datetime
    end: datetime
    event_types: tuple[str, ...] | None = None
    hours: HourInterval | None = None
    subset: Query | None = None

    @property
    def types(self) -> tuple[str, ...]:
        return DEFAULT_EVENT_TYPES if self.event_types is None else self.event_types

    @property
    def days(self) -> list[date]:
        """List the calendar days that the window touches.

        The end's day is left out if the end is midnight.
        """
        last = (self.end - timedelta(microseconds=1)).date()
        return [self.start.date() + timedelta(n) for n in range((last - self.start.date()).days + 1)]

    def split(self, dates: Iterable[date]) -> list[EventSelection]:
        """Cut the selection at the beginning of each of the ordered dates."""
        cuts = [datetime.combine(day, time.min) for day in dates]
        bounds = [self.start, *(cut for cut in cuts if self.start < cut < self.end), self.end]
        return [replace(self, start=start, end=end) for start, end in pairwise(bounds)]

    def by_day(self) -> list[EventSelection]:
        """Cut the selection at each midnight.

        A selection of more than ``MOST_SPANS`` days stays whole.
        """
        days = self.split(self.days)
        return days if len(days) <= MOST_SPANS else [self]

    @property
    def earliest(self) -> datetime:
        """Return a UTC time before all events.

        The wall clock differs from UTC by less than a day.
        """
        return self.start - timedelta(days=1)

    @property
    def span(self) -> int:
        """Return microseconds from ``earliest`` to a UTC time after all events."""
        return (self.end - self.earliest + timedelta(days=1)) // timedelta(microseconds=1)

    def check(self) -> None:
        """Refuse a window without length; raises NotBuildable."""
        if self.start == self.end:
            raise NotBuildable("Start and stop are the same.")
        if self.end.date() < self.start.date():
            raise NotBuildable("The start date is later than the stop date.")
        if self.end - self.start > LONGEST_WINDOW:
            raise NotBuildable(f"A window can be no longer than {LONGEST_WINDOW.days} days.")

    def check_columns(self, columns: Sequence[str]) -> None:
        """Refuse event types that lack a needed column; raises NotBuildable."""
        for event_type in self.types:
            lacking = {c for c in columns if event_type not in COLUMNS_OF_TYPES.get(c, self.types)}
            if lacking:
                names = ", ".join(sorted(repr(NAMES_IN_TABLES.get(column, column)) for column in lacking))
                raise NotBuildable(f"{{{names}}} are not columns of events.{event_type}")


class Sources(Protocol):
    """Provide the relations of one query.

    Subscribers are opaque keys: 64-bit integers in the columnar store, pseudonyms in PostgreSQL.
    """

    def events(self, selection: EventSelection, columns: Sequence[str]) -> FromClause:
        """Return events of the selection, without its subset, with the named columns.

        Columns: ``subscriber``, ``time`` (UTC, for order and durations), ``local_time`` (wall clock, for dates and
        hours), ``cell``, ``tac``, ``counterpart``, ``outgoing``, ``event_id``, ``duration``, ``volume_total``,
        ``volume_upload``, ``volume_download``, ``recharge_amount``, ``airtime_fee``, ``tax_and_fee``,
        ``pre_event_balance``, ``post_event_balance``. Rows of several types are concatenated with repeats.
        """
        ...

    def tallied(self, selection: EventSelection) -> tuple[FromClause | None, list[EventSelection]]:
        """Return whole days' events counted by cell and hour, and what is not counted.

        Columns: ``cell``, ``local_time`` (start of the hour), ``events``, ``bits`` (as of ``subscriber_bits``).
        """
        ...

    def loaded_dates(self, selection: EventSelection) -> Sequence[date]:
        """List the dates of the selection that are loaded for one of its types, in order.

        Silence on another date says nothing.
        """
        ...

    def utc(self, moment: datetime) -> datetime:
        """Convert wall-clock time, such as a window's edge, for comparison with ``time``."""
        ...

    def local(self, moment: datetime) -> datetime:
        """Convert UTC to wall-clock time."""
        ...

    def cells(self, unit: SpatialUnit) -> FromClause:
        """Return the map: ``cell``, ``valid_from``, ``valid_before``, ``location``.

        The validity is half-open wall-clock time and never null. ``location`` is null where a mapping table
        puts the cell into a region that does not exist. This null place forms one group in SQL, but equals
        nothing.
        """
        ...

    def regions(self, unit: SpatialUnit) -> FromClause:
        """Return the regions: ``location`` and the id columns, in degrees for lon-lat."""
        ...

    def region_count(self, unit: SpatialUnit) -> int:
        """Count the regions, so that ``location`` lies in [0, count) or is null."""
        ...

    def moves(self, unit: SpatialUnit) -> Sequence[date]:
        """List the dates on which map entries begin or end, in order.

        Between two of these dates no cell changes its place.
        """
        ...

    def boundaries(self, unit: SpatialUnit) -> FromClause:
        """Return an administrative unit's ``location`` and ``geom``, of the store's type."""
        ...

    def parents(self, unit: SpatialUnit) -> FromClause:
        """Return an administrative unit's ``location`` and ``parent``.

        The parent is the place code of the region one level up, or null.
        """
        ...

    def weights(self, table: str, column: str) -> FromClause:
        """Return ``pcod`` and ``weight`` of a table; raises NotBuildable if wrong."""
        ...

    def stored(self, query: Query) -> FromClause:
        """Return the stored result of a sub-query, with its columns."""
        ...

    def stored_all(self, queries: Sequence[Query]) -> FromClause:
        """Return the stored results of sub-queries of one kind, one after the other."""
        ...

    def devices(self) -> FromClause:
        """Return device models.

        Columns: ``tac``, ``hnd_type``, ``brand``, ``model``, ``software_os_name``, ``software_os_vendor``.
        """
        ...


#: Kinds whose modules were imported, by name; ``catalogue`` imports all.
registered: dict[str, type[Query]] = {}


class Query(Specified):
    """Give all kinds validation, identity and the graph of sub-queries."""

    kind: ClassVar[str]
    #: Raised whenever a change of the kind's SQL changes answers; part of the identity.
    sql_version: ClassVar[int] = 1
    fields: ClassVar[dict[str, ma.fields.Field]]
    #: What the client's function and the documentation say of each field.
    arguments: ClassVar[dict[str, Argument]]
    #: Meaning of a result in one sentence for analysts; by default the docstring's first paragraph.
    summary: ClassVar[str]
    #: Columns of the stored result with SQLAlchemy types, in order; ``location`` is a region's integer key.
    columns: ClassVar[dict[str, Any]]
    #: Columns to sort shown rows by, with ``-`` for descending; all other columns break ties, ascending.
    order: ClassVar[tuple[str, ...]] = ()
    #: Whether region columns are sorted by their own names instead of in the unit's order.
    ids_by_name: ClassVar[bool] = False
    #: Fields with places of which only distances are taken.
    only_distances: ClassVar[frozenset[str]] = frozenset()
    #: Whether the query reads database tables that no other executor has.
    needs_database: ClassVar[bool] = False
    #: Whether the answer depends on where cells are; other kinds stay fresh when a cell moves.
    reads_cells: ClassVar[bool] = True
    #: Columns that the selected event types must have; ``outgoing`` is added where a direction is chosen.
    event_columns: ClassVar[tuple[str, ...]] = ()
    #: Further inputs of the answer: ``devices``, ``mobile_money``.
    reads: ClassVar[tuple[str, ...]] = ()
    #: Spelling of the kind in the published schema, where it is not plain CamelCase.
    component: ClassVar[str | None] = None
    #: Whether it reads events counted by cell and hour.
    reads_tallies: ClassVar[bool] = False
    #: Whether it has an answer where nothing is loaded: a part of a question that says what it needs.
    may_lack_data: ClassVar[bool] = False
    #: Whether the kind is for direct use only: not published.
    direct: ClassVar[bool] = False

    def __init__(self, **values: Any) -> None:
        self._set_checked(load_fields(self.fields, values), None)

    @classmethod
    def of_values(cls, values: Mapping[str, Any], tables: Tables | None) -> Self:
        """Build a query of parsed values; ``tables`` checks the tables that they name."""
        query = cls.__new__(cls)
        query._set_checked(values, tables)
        return query

    @classmethod
    def component_name(cls) -> str:
        """Return the kind's name in the published schema."""
        return cls.component or "".join(word.capitalize() for word in cls.kind.split("_"))

    @classmethod
    def check_declared(cls, name: str) -> None:
        """Refuse a kind that lacks a declaration, when it is registered; raises TypeError."""

    def _set_checked(self, values: Mapping[str, Any], tables: Tables | None) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if tables is not None:
            self.check_tables(tables)
        self.check()

    def check_tables(self, tables: Tables) -> None:
        """Refuse tables that are missing or lack a column; raises ValidationError."""

    def check(self) -> None:
        """Check rules between valid fields; raises marshmallow.ValidationError."""

    def check_buildable(self) -> None:
        """Refuse a valid query that cannot be computed; raises NotBuildable."""
        directed = getattr(self, "direction", "both") != "both"
        columns = (*self.event_columns, "outgoing") if directed else self.event_columns
        for selection in self.events:
            selection.check()
            selection.check_columns(columns)

    def select(self, sources: Sources) -> Select[Any]:
        """Return the result as one SELECT over ``sources`` with ``columns``."""
        raise NotImplementedError

    @property
    def events(self) -> Sequence[EventSelection]:
        """Return the events that this query itself reads, without its sub-queries'."""
        return ()

    @property
    def edges(self) -> Mapping[str, datetime]:
        """Return the edges of this query's own windows by the field that sets each."""
        return {name: value for name in self.fields if isinstance(value := getattr(self, name), datetime)}

    @property
    def unit(self) -> SpatialUnit | None:
        """Return the spatial unit of the result, or None."""
        return None

    @property
    def subjects(self) -> tuple[str, ...]:
        """Return what else the answer depends on: ``reads``, and tables of its own fields."""
        return self.reads

    @property
    def stands_for(self) -> str:
        """Return the kind in whose place this query can be used.

        This is its own kind, or a kind of which it has similar rows or part of the rows.
        """
        return self.kind

    @property
    def places(self) -> dict[str, SpatialUnit]:
        """Return the columns that hold a region's integer key, with the regions' unit."""
        return {} if self.unit is None or "location" not in self.columns else {"location": self.unit}

    @cached_property
    def children(self) -> tuple[Query, ...]:
        """Return the distinct queries that this query reads, in the order of fields."""
        found: dict[str, Query] = {}
        for name, field in self.fields.items():
            for child in getattr(field, "inputs", queries_in)(getattr(self, name)):
                found.setdefault(child.query_id, child)
        return tuple(found.values())

    @cached_property
    def query_id(self) -> str:
        """Return the 32 hexadecimal digits of the id.

        Equal questions have equal ids in any process, whatever the order of keys.
        """
        parameters: dict[str, Any] = {}
        dependencies: dict[str, str | list[str]] = {}
        for name, field in self.fields.items():
            value = getattr(self, name)
            if field.metadata.get("added") and value == field.load_default:
                continue
            if isinstance(value, Query):
                dependencies[name] = value.query_id
            elif isinstance(value, tuple) and value and isinstance(value[0], Query):
                dependencies[name] = [child.query_id for child in value]
            else:
                parameters[name] = canonical_value(field, value)
        document = {"kind": self.kind, "schema": self.sql_version, "params": parameters, "deps": dependencies}
        return hashlib.sha256(canonical_json(document).encode()).hexdigest()[:32]

    def spec(self) -> dict[str, Any]:
        """Return the query as JSON for ``load``: all fields, nested specs whole."""
        return {"query_kind": self.kind} | {
            name: spec_value(field, getattr(self, name)) for name, field in self.fields.items()
        }

    def __repr__(self) -> str:
        """The call that makes the query, without defaults and with long lists cut short."""
        given = (
            (field.name, getattr(self, field.name), field.default)
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
        )
        told = (
            f"{name}={shown(self.fields[name], value)}" for name, value, default in given if value != default
        )
        return f"{type(self).__name__}({', '.join(told)})"

    def graph(self) -> Iterator[Query]:
        """Yield this query and all below it once, sub-queries first."""
        seen: set[str] = set()
        stack: list[tuple[Query, bool]] = [(self, False)]
        while stack:
            query, expanded = stack.pop()
            if expanded:
                yield query
            elif query.query_id not in seen:
                seen.add(query.query_id)
                stack.append((query, True))
                stack.extend((child, False) for child in reversed(query.children))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Query) and self.query_id == other.query_id

    def __hash__(self) -> int:
        return hash(self.query_id)

    def __setattr__(self, name: str, value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


class SubscriberLocations(Query):
    """Define kinds with one or more rows (subscriber, location)."""

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "location": sa.Integer()}


class SubscriberMetric(Query):
    """Define kinds with rows (subscriber, value)."""

    @property
    def stands_for(self) -> str:
        """Return the kind in whose place this query can be used.

        A number for each subscriber is as good a metric as any: in direct use it stands where a count of events can.
        """
        numbers = isinstance(self.columns.get("value"), sa.Integer | sa.Numeric)
        return "event_count" if self.direct and numbers else self.kind


_Kind = TypeVar("_Kind", bound=type[Query])


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(required,))
def query_kind(
    name: str,
    *,
    sql_version: int = 1,
    component: str | None = None,
    direct: bool = False,
    summary: str | None = None,
) -> Callable[[_Kind], _Kind]:
    """Register a class as the kind ``name``.

    A ``direct`` kind is neither published nor submittable.
    """

    def register(cls: _Kind) -> _Kind:
        cls.check_declared(name)
        # A dataclass gives a class without a docstring one.
        cls.summary = summary or (cls.__doc__ or "").strip().partition("\n\n")[0]
        dataclasses.dataclass(init=False, eq=False, kw_only=True, repr=False)(cls)
        cls.kind, cls.sql_version, cls.component, cls.direct = name, sql_version, component, direct
        cls.fields = {field.name: field.metadata["field"] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        cls.arguments = {
            field.name: declared(field.name, **field.metadata)
            for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        }
        for argument in () if direct else cls.arguments.values():
            if not argument.text:
                raise TypeError(f"{name}.{argument.name} has no documentation: declare it with a text")
        cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if cls.fields[field.name].required else field.default,
                    annotation=field.type,
                )
                for field in dataclasses.fields(cls)  # type: ignore[arg-type]
            ]
        )
        registered[name] = cls
        return cls

    return register


def field_group(cls: type) -> type:
    """Declare fields that several kinds share; the kinds inherit from the group."""
    return dataclasses.dataclass(init=False, eq=False, kw_only=True, repr=False)(cls)


def holds_subscribers(column: str) -> bool:
    """Return whether a column of this name holds subscribers.

    Subscribers are integer keys in the columnar store, pseudonyms in PostgreSQL.
    """
    return column.startswith(("subscriber", "msisdn_counterpart"))


def queries_in(value: Any) -> Iterator[Query]:
    if isinstance(value, Query):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from queries_in(item)
