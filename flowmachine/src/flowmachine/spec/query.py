"""What a query is: its kind, its fields, its identity, the events that it reads and the relations that its SQL may use.

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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import Published

#: Event types read where a query names none: those with a counterpart (documented with the field).
DEFAULT_EVENT_TYPES = ("calls", "sms")

#: Event types that have a column; the others have it in every type.
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

#: Columns that the event tables call otherwise than queries do.
NAMES_IN_TABLES = {"counterpart": "msisdn_counterpart", "event_id": "id"}

#: A window is cut into at most so many spans, each of which is read by a part of the statement; where that needs more of
#: them, it is read whole.
MOST_SPANS = 40

#: Days are looked at one by one, so a window of thousands of years would keep whoever plans it busy.
LONGEST_WINDOW = timedelta(days=40 * 366)


class NotBuildable(Exception):
    """A valid spec for which no query can be built; the text says why."""


@dataclass(frozen=True)
class EventSelection:
    """Events of some types in a half-open window [start, end) of wall-clock time."""

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
        """The calendar days that the window touches; the end's day is left out if the end is midnight."""
        last = (self.end - timedelta(microseconds=1)).date()
        return [self.start.date() + timedelta(n) for n in range((last - self.start.date()).days + 1)]

    def split(self, dates: Iterable[date]) -> list[EventSelection]:
        """The selection cut at the beginning of each of the dates, which are in order; in order, and all of it."""
        cuts = [datetime.combine(day, time.min) for day in dates]
        bounds = [self.start, *(cut for cut in cuts if self.start < cut < self.end), self.end]
        return [replace(self, start=start, end=end) for start, end in pairwise(bounds)]

    def by_day(self) -> list[EventSelection]:
        """The selection cut at each midnight, or whole if it has more than ``MOST_SPANS`` days."""
        days = self.split(self.days)
        return days if len(days) <= MOST_SPANS else [self]

    @property
    def earliest(self) -> datetime:
        """A UTC time before all events: the wall clock differs from UTC by less than a day."""
        return self.start - timedelta(days=1)

    @property
    def span(self) -> int:
        """Microseconds from ``earliest`` to a UTC time after all events."""
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
        """Refuse event types that lack a column that the query needs; raises NotBuildable."""
        for event_type in self.types:
            lacking = {c for c in columns if event_type not in COLUMNS_OF_TYPES.get(c, self.types)}
            if lacking:
                names = ", ".join(sorted(repr(NAMES_IN_TABLES.get(column, column)) for column in lacking))
                raise NotBuildable(f"{{{names}}} are not columns of events.{event_type}")


class Sources(Protocol):
    """Relations for one query. Subscribers are opaque keys: 64-bit integers in one store, pseudonyms in the other."""

    def events(self, selection: EventSelection, columns: Sequence[str]) -> FromClause:
        """Events of the window, hours and types of the selection (not its subset), with the named columns.

        Columns: ``subscriber``, ``time`` (UTC, for order and durations), ``local_time`` (wall clock, for dates and
        hours), ``cell``, ``tac``, ``counterpart``, ``outgoing``, ``event_id``, ``duration``, ``volume_total``,
        ``volume_upload``, ``volume_download``, ``recharge_amount``, ``airtime_fee``, ``tax_and_fee``,
        ``pre_event_balance``, ``post_event_balance``. Rows of several types are concatenated with repeats.
        """
        ...

    def utc(self, moment: datetime) -> datetime:
        """When it is a moment of wall-clock time, such as a window's edge, to be compared with ``time`` of events."""
        ...

    def cells(self, unit: SpatialUnit) -> FromClause:
        """The pre-joined map: ``cell``, ``valid_from``, ``valid_before`` (wall clock, half-open, never null), ``location``.

        ``location`` is null where a mapping table puts the cell into a region that does not exist: the null place, which as
        in SQL is one group, but equals nothing.
        """
        ...

    def regions(self, unit: SpatialUnit) -> FromClause:
        """The regions: ``location`` and the id columns; for lon-lat these are ``lon`` and ``lat`` in degrees."""
        ...

    def region_count(self, unit: SpatialUnit) -> int:
        """How many regions there are, so that ``location`` lies in [0, count) or is null."""
        ...

    def moves(self, unit: SpatialUnit) -> Sequence[date]:
        """The dates, in order, on which entries of the map begin or end: between two of them no cell changes its place."""
        ...

    def boundaries(self, unit: SpatialUnit) -> FromClause:
        """The regions of an administrative unit: ``location`` and ``geom``, a geometry of the store's own kind."""
        ...

    def stored(self, query: Query) -> FromClause:
        """The stored result of a sub-query, with its columns."""
        ...

    def devices(self) -> FromClause:
        """Device models: ``tac``, ``hnd_type``, ``brand``, ``model``, ``software_os_name``, ``software_os_vendor``."""
        ...


#: The kinds whose modules were imported, by name; ``catalogue`` imports them all.
registered: dict[str, type[Query]] = {}


class Query:
    """Base of all kinds: validation, identity and the graph of sub-queries."""

    kind: ClassVar[str]
    #: Raised by one whenever the SQL of the kind changes its answer; part of the identity.
    sql_version: ClassVar[int] = 1
    fields: ClassVar[dict[str, ma.fields.Field]]
    #: What the client's function and the documentation say of each field.
    arguments: ClassVar[dict[str, Argument]]
    #: What a result says, in one sentence for analysts; by default the docstring's first paragraph.
    summary: ClassVar[str]
    #: Columns of the stored result and their SQLAlchemy types, in order; ``location`` is a region's integer key.
    columns: ClassVar[dict[str, Any]]
    #: Columns that rows are shown in the order of, ``-`` before one for descending; ties go by all others, ascending.
    order: ClassVar[tuple[str, ...]] = ()
    #: Whether the columns that name a region are shown by their own names' order, not in that of the unit.
    ids_by_name: ClassVar[bool] = False
    #: Whether the query reads what only the database has, so that no other executor can run it.
    needs_database: ClassVar[bool] = False
    #: Whether the answer depends on where cells are; a kind that locates nothing stays fresh when a cell moves.
    reads_cells: ClassVar[bool] = True
    #: Columns that the selected event types must have, beside those of every type; a direction other than both is added.
    event_columns: ClassVar[tuple[str, ...]] = ()
    #: What else the answer depends on: ``devices``, ``mobile_money``.
    reads: ClassVar[tuple[str, ...]] = ()
    #: Spelling of the kind in the published schema, where it is not plain CamelCase.
    component: ClassVar[str | None] = None
    #: Whether the kind is for direct use only: not in the schema, not for submission.
    direct: ClassVar[bool] = False

    def __init__(self, **values: Any) -> None:
        self._settle(load_fields(self.fields, values), None)

    @classmethod
    def of_values(
        cls, values: Mapping[str, Any], columns_of: Callable[[str], Collection[str] | None] | None
    ) -> Self:
        """A query of parsed values, its tables checked by ``columns_of`` (see ``Reading``)."""
        query = cls.__new__(cls)
        query._settle(values, columns_of)
        return query

    @classmethod
    def component_name(cls) -> str:
        """The kind's name in the published schema."""
        return cls.component or "".join(word.capitalize() for word in cls.kind.split("_"))

    def _settle(
        self, values: Mapping[str, Any], columns_of: Callable[[str], Collection[str] | None] | None
    ) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if columns_of is not None:
            self.check_tables(columns_of)
        self.check()

    def check_tables(self, columns_of: Callable[[str], Collection[str] | None]) -> None:
        """Refuse tables that are not there or lack a column; raises marshmallow.ValidationError. Runs before ``check``."""

    def check(self) -> None:
        """Rules between fields; raises marshmallow.ValidationError. Runs once every field is valid by itself."""

    def check_buildable(self) -> None:
        """Refuse a valid query that cannot be computed; raises NotBuildable."""
        directed = getattr(self, "direction", "both") != "both"
        columns = (*self.event_columns, "outgoing") if directed else self.event_columns
        for selection in self.events:
            selection.check()
            selection.check_columns(columns)

    def select(self, sources: Sources) -> Select[Any]:
        """The result as one SELECT over ``sources``, with the columns of ``columns``."""
        raise NotImplementedError

    @property
    def events(self) -> Sequence[EventSelection]:
        """The events that this query itself reads, those of its sub-queries left out."""
        return ()

    @property
    def unit(self) -> SpatialUnit | None:
        """The spatial unit of the result, or None."""
        return None

    @property
    def stands_for(self) -> str:
        """The kind in whose place this query can be used: its own, or one of which it has a part of the rows or like rows."""
        return self.kind

    @property
    def places(self) -> dict[str, SpatialUnit]:
        """The columns that hold a region's integer key, with the unit of the regions."""
        return {} if self.unit is None or "location" not in self.columns else {"location": self.unit}

    @cached_property
    def children(self) -> tuple[Query, ...]:
        """The distinct sub-queries, in the order of the fields."""
        found: dict[str, Query] = {}
        for name in self.fields:
            for child in queries_in(getattr(self, name)):
                found.setdefault(child.query_id, child)
        return tuple(found.values())

    @cached_property
    def query_id(self) -> str:
        """32 hexadecimal digits; equal for equal questions, in any process and whatever the order of keys."""
        parameters: dict[str, Any] = {}
        dependencies: dict[str, str | list[str]] = {}
        for name, field in self.fields.items():
            value = getattr(self, name)
            if isinstance(value, Query):
                dependencies[name] = value.query_id
            elif isinstance(value, tuple) and value and isinstance(value[0], Query):
                dependencies[name] = [child.query_id for child in value]
            else:
                parameters[name] = canonical_value(field, value)
        document = {"kind": self.kind, "schema": self.sql_version, "params": parameters, "deps": dependencies}
        return hashlib.sha256(canonical_json(document).encode()).hexdigest()[:32]

    def spec(self) -> dict[str, Any]:
        """The query as the JSON that ``load`` reads: every field given, nested specs whole."""
        return {"query_kind": self.kind} | {
            name: _spec_value(field, getattr(self, name)) for name, field in self.fields.items()
        }

    def graph(self) -> Iterator[Query]:
        """This query and all below it, each once, sub-queries before the queries that need them."""
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


class Aggregate(Query):
    """A kind that may be submitted: its result leaves the building, through the release gate."""

    #: Whether GeoJSON can be made of the result.
    geographic: ClassVar[bool] = True

    @property
    def published(self) -> Published:
        """What is published of ``select``: columns, order and the release rule."""
        raise NotImplementedError


class SubscriberLocations(Query):
    """A kind with one or more rows (subscriber, location)."""

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "location": sa.Integer()}


class SubscriberMetric(Query):
    """A kind with rows (subscriber, value)."""


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
    """Register a class as the kind ``name``; a ``direct`` one is neither published nor submittable."""

    def register(cls: _Kind) -> _Kind:
        if issubclass(cls, Aggregate) and cls.published is Aggregate.published:
            raise TypeError(f"{name} declares no release rule")
        dataclasses.dataclass(init=False, eq=False, kw_only=True, repr=False)(cls)
        cls.kind, cls.sql_version, cls.component, cls.direct = name, sql_version, component, direct
        cls.summary = summary or (cls.__doc__ or "").strip().partition("\n\n")[0]
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
    """Whether a column of this name holds subscribers: integer keys in one store, pseudonyms in the other."""
    return column.startswith(("subscriber", "msisdn_counterpart"))


def queries_in(value: Any) -> Iterator[Query]:
    if isinstance(value, Query):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from queries_in(item)


def _spec_value(field: ma.fields.Field, value: Any) -> Any:
    if isinstance(value, Query):
        return value.spec()
    if isinstance(value, tuple) and value and isinstance(value[0], Query):
        return [child.spec() for child in value]
    return canonical_value(field, value)
