"""What a query kind is, and the one registry from which schemas, scopes, documentation and client code derive.

A kind is a frozen dataclass in ``flowmachine/queries/<kind>.py``::

    @query_kind("spatial_aggregate")
    class SpatialAggregate(Aggregate):
        locations: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))
        def select(self, sources): ...

Constructing one validates it, so an invalid query cannot exist. A query does no I/O and holds no state: it knows its
parameters, its identity, which events it reads and its SQL.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.fields import SubscriberSubset, canonical_json, canonical_value, load_fields, required

if TYPE_CHECKING:
    from flowmachine.release import Published
    from flowmachine.sql.events import EventSelection
    from flowmachine.sql.sources import Sources
    from flowmachine.units import SpatialUnit

_kinds: dict[str, type[Query]] = {}
#: Kinds for direct use only: not in the schema, not for submission.
_direct_kinds: dict[str, type[Query]] = {}
#: Whether specs may hold kinds of direct use; only where a spec comes from the job table.
_direct_accepted: ContextVar[bool] = ContextVar("direct_accepted", default=False)

#: Queries nested in each other of which a submitted spec may consist, those that it names by id among them. Each takes
#: several frames of the interpreter's stack to read, so that three times as many would overflow it.
DEEPEST = 50
#: How many more may be nested in the one being read; None where depth does not matter.
_levels_left: ContextVar[int | None] = ContextVar("levels_left", default=None)


class _TooDeep(Exception):
    """A submitted spec has more than DEEPEST levels."""


class Query:
    """Base of all kinds: validation, identity and the graph of sub-queries."""

    kind: ClassVar[str]
    #: Raised by one whenever the SQL of the kind changes its answer; part of the identity.
    sql_version: ClassVar[int] = 1
    fields: ClassVar[dict[str, ma.fields.Field]]
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

    def __init__(self, **values: Any) -> None:
        self._settle(load_fields(self.fields, values))

    def _settle(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self.check()

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
            for child in _queries_in(getattr(self, name)):
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
    name: str, *, sql_version: int = 1, component: str | None = None, direct: bool = False
) -> Callable[[_Kind], _Kind]:
    """Register a class as the kind ``name``; a ``direct`` one is neither published nor submittable."""

    def register(cls: _Kind) -> _Kind:
        if issubclass(cls, Aggregate) and cls.published is Aggregate.published:
            raise TypeError(f"{name} declares no release rule")
        dataclasses.dataclass(init=False, eq=False, kw_only=True, repr=False)(cls)
        cls.kind, cls.sql_version, cls.component = name, sql_version, component
        cls.fields = {field.name: field.metadata["field"] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
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
        (_direct_kinds if direct else _kinds)[name] = cls
        return cls

    return register


def field_group(cls: type) -> type:
    """Declare fields that several kinds share; the kinds inherit from the group."""
    return dataclasses.dataclass(init=False, eq=False, kw_only=True, repr=False)(cls)


@lru_cache(maxsize=1)
def kinds() -> Mapping[str, type[Query]]:
    """All kinds by name, sorted."""
    import flowmachine.queries

    for module in pkgutil.iter_modules(flowmachine.queries.__path__):
        importlib.import_module(f"flowmachine.queries.{module.name}")
    return dict(sorted(_kinds.items()))


@lru_cache(maxsize=1)
def all_kinds() -> Mapping[str, type[Query]]:
    """All kinds by name, those for direct use only among them."""
    import flowmachine.combining  # noqa: F401 (registers its kinds)

    return {**kinds(), **_direct_kinds}


def submittable_kinds() -> list[str]:
    """The kinds that may be submitted on their own."""
    return [name for name, cls in kinds().items() if issubclass(cls, Aggregate)]


def subscriber_level_kinds() -> tuple[str, ...]:
    """The kinds with a row for each subscriber; where kinds of direct use are accepted, all of those too."""
    found = tuple(
        name for name, cls in kinds().items() if issubclass(cls, (SubscriberLocations, SubscriberMetric))
    )
    return (*found, *(all_kinds().keys() - kinds().keys())) if _direct_accepted.get() else found


def holds_subscribers(column: str) -> bool:
    """Whether a column of this name holds subscribers: integer keys in one store, pseudonyms in the other."""
    return column.startswith(("subscriber", "msisdn_counterpart"))


def component_name(kind: str) -> str:
    """The kind's name in the published schema."""
    return kinds()[kind].component or "".join(word.capitalize() for word in kind.split("_"))


def load(spec: Any) -> Aggregate:
    """The query that a submitted spec describes; raises marshmallow.ValidationError with messages by field."""
    token = _levels_left.set(DEEPEST)
    try:
        query = load_one_of(submittable_kinds(), spec)
    except _TooDeep:
        problem = f"Queries are nested more than {DEEPEST} deep, subsets named by their ids included."
        raise ma.ValidationError({"_schema": [problem]}) from None
    finally:
        _levels_left.reset(token)
    assert isinstance(query, Aggregate)
    return query


def load_any(spec: Any) -> Query:
    """Like ``load`` for a spec of any kind, nested ones and those of direct use included."""
    token = _direct_accepted.set(True)
    try:
        return load_one_of(all_kinds(), spec)
    finally:
        _direct_accepted.reset(token)


def load_one_of(accepted: Collection[str], spec: Any) -> Query:
    """A query of one of several kinds."""
    if not isinstance(spec, Mapping):
        raise ma.ValidationError({"_schema": f"Invalid data type: {spec}"})
    kind = spec.get("query_kind")
    if kind is None:
        raise ma.ValidationError({"query_kind": ["Missing data for required field."]})
    direct = is_direct(kind)
    if not isinstance(kind, str) or not (direct or (kind in accepted and kind in kinds())):
        raise ma.ValidationError({"query_kind": [f"Unsupported value: {kind}"]})
    query = load_kind(kind, spec)
    if direct and query.stands_for not in accepted:
        raise ma.ValidationError({"query_kind": [f"Unsupported value: {kind}"]})
    return query


def is_direct(kind: Any) -> bool:
    """Whether this is a kind of direct use, where such are accepted."""
    return _direct_accepted.get() and isinstance(kind, str) and kind in all_kinds() and kind not in kinds()


def load_kind(kind: str, spec: Any) -> Query:
    """A query of exactly this kind; another kind is refused as a field's wrong value."""
    left = _levels_left.get()
    if left is None:
        return _load_kind(kind, spec)
    if left == 0:
        raise _TooDeep
    token = _levels_left.set(left - 1)
    try:
        return _load_kind(kind, spec)
    finally:
        _levels_left.reset(token)


def _load_kind(kind: str, spec: Any) -> Query:
    cls = all_kinds()[kind]
    if not isinstance(spec, Mapping):
        raise ma.ValidationError({"_schema": ["Invalid input type."]})
    errors: dict[str, Any] = {}
    given = spec.get("query_kind", ma.missing)
    if given is ma.missing:
        errors["query_kind"] = ["Missing data for required field."]
    elif given is None:
        errors["query_kind"] = ["Field may not be null."]
    elif not isinstance(given, str):
        errors["query_kind"] = ["Not a valid string."]
    elif given != kind:
        errors["query_kind"] = [f"Must be one of: {kind}."]
    try:
        values = load_fields(cls.fields, spec, ignore=("query_kind",))
    except ma.ValidationError as error:
        errors.update(error.normalized_messages())
    if errors:
        raise ma.ValidationError(errors)
    query = cls.__new__(cls)
    query._settle(values)
    return query


def kinds_within(query: Query) -> tuple[frozenset[str], frozenset[str]]:
    """The kinds that a query is made of, itself included, and those that its subsets of subscribers are made of.

    What is in a subset, at whatever depth, is of the second set only; a kind may be in both.
    """
    own: set[str] = set()
    in_subsets: set[str] = set()
    seen: set[tuple[int, bool]] = set()
    pending = [(query, False)]
    while pending:
        part, in_subset = pending.pop()
        # By identity: a subset named by many parts is one object, and ids of queries would have to be computed.
        if (id(part), in_subset) in seen:
            continue
        seen.add((id(part), in_subset))
        (in_subsets if in_subset else own).add(part.kind)
        for name, field in part.fields.items():
            below = in_subset or isinstance(field, SubscriberSubset)
            pending.extend((child, below) for child in _queries_in(getattr(part, name)))
    return frozenset(own), frozenset(in_subsets)


def direct_kinds_within(query: Query) -> list[str]:
    """The kinds for direct use only that a query is made of, sorted."""
    own, in_subsets = kinds_within(query)
    return sorted((own | in_subsets) - kinds().keys())


def accepts_direct() -> bool:
    """Whether the spec being read may hold kinds for direct use only."""
    return _direct_accepted.get()


def _queries_in(value: Any) -> Iterator[Query]:
    if isinstance(value, Query):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _queries_in(item)


def _spec_value(field: ma.fields.Field, value: Any) -> Any:
    if isinstance(value, Query):
        return value.spec()
    if isinstance(value, tuple) and value and isinstance(value[0], Query):
        return [child.spec() for child in value]
    return canonical_value(field, value)
