"""Turn a spec into a query.

One object says what a spec may hold and is passed down to all nested specs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import marshmallow as ma

from flowmachine.spec.fields import load_fields
from flowmachine.spec.places import Tables
from flowmachine.spec.query import Query, SubscriberLocations, SubscriberMetric, registered


class TooDeep(Exception):
    """Report a spec with too many levels."""


class TooManyParts(Exception):
    """Report a spec with too many parts."""


@dataclass
class Parts:
    """Count the parts of a spec, so that reading stops at too many.

    The queries that put parts together do not count: one for each level above the lowest. How many levels
    there are is known at the end, so reading stops only where even ``most_levels`` would be too few.
    """

    most: int
    most_levels: int
    read: int = 0
    levels: int = 0

    def add(self, number: int, level: int = 0) -> None:
        """Count queries at a level, from 1; raises TooManyParts."""
        self.read += number
        self.levels = max(self.levels, level)
        if self.read > self.most + self.most_levels:
            raise TooManyParts

    def check(self) -> None:
        """Refuse too many parts once all are read; raises TooManyParts."""
        if self.read > self.most + self.levels - 1:
            raise TooManyParts


def _nothing(query_id: str) -> Any | None:
    return None


@dataclass(frozen=True)
class Reading:
    """Say what a spec may hold, and look up the queries and tables that it names.

    ``direct`` accepts kinds for direct use only. ``levels_left`` is the remaining nesting depth, and ``parts``
    counts what is read; None means unlimited. ``find_spec`` returns the spec of a query id. Without ``tables``, the tables
    that a spec names are not checked.
    """

    direct: bool = False
    levels_left: int | None = None
    parts: Parts | None = None
    find_spec: Callable[[str], Any | None] = _nothing
    tables: Tables | None = None
    #: Queries found by id with their number of parts; thousands of parts may name the same subset.
    _named: dict[str, tuple[Query | None, int]] = field(default_factory=dict)

    def one_of(self, accepted: Collection[str], spec: Any) -> Query:
        """Read a query of one of several kinds.

        Raises marshmallow.ValidationError with messages by field.
        """
        if not isinstance(spec, Mapping):
            raise ma.ValidationError({"_schema": f"Invalid data type: {spec}"})
        kind = spec.get("query_kind")
        if kind is None:
            raise ma.ValidationError({"query_kind": ["Missing data for required field."]})
        direct = self.is_direct(kind)
        if not (direct or (isinstance(kind, str) and kind in accepted and self._is_published(kind))):
            raise ma.ValidationError({"query_kind": [f"Unsupported value: {kind}"]})
        query = self.of_kind(kind, spec)
        if direct and query.stands_for not in accepted:
            raise ma.ValidationError({"query_kind": [f"Unsupported value: {kind}"]})
        return query

    def of_kind(self, kind: str, spec: Any) -> Query:
        """Read a query of exactly this kind; refuse another kind as a wrong field value."""
        if self.levels_left is None:
            return _of_kind(kind, spec, self)
        if self.levels_left == 0:
            raise TooDeep
        if self.parts is not None:
            self.parts.add(1, self.parts.most_levels + 1 - self.levels_left)
        return _of_kind(kind, spec, dataclasses.replace(self, levels_left=self.levels_left - 1))

    def named(self, query_id: str) -> Query | None:
        """Return the query with this id, of any kind, or None.

        Its levels and parts count like those of a spec given whole.
        """
        if query_id in self._named:
            query, parts = self._named[query_id]
            if self.parts is not None:
                self.parts.add(parts)
            return query
        before = 0 if self.parts is None else self.parts.read
        spec = self.find_spec(query_id)
        query = None if spec is None else dataclasses.replace(self, direct=True).one_of(registered, spec)
        self._named[query_id] = query, 0 if self.parts is None else self.parts.read - before
        return query

    def is_direct(self, kind: Any) -> bool:
        """Return whether this kind is for direct use and such kinds are accepted."""
        return self.direct and isinstance(kind, str) and kind in registered and registered[kind].direct

    def subscriber_level(self) -> list[str]:
        """List the kinds with a row for each subscriber.

        Where direct-use kinds are accepted, all of them are included.
        """
        return [
            name
            for name, cls in registered.items()
            if (self.direct if cls.direct else issubclass(cls, SubscriberLocations | SubscriberMetric))
        ]

    @staticmethod
    def _is_published(kind: str) -> bool:
        return kind in registered and not registered[kind].direct


def _of_kind(kind: str, spec: Any, reading: Reading) -> Query:
    cls = registered[kind]
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
        values = load_fields(cls.fields, spec, ignore=("query_kind",), reading=reading)
    except ma.ValidationError as error:
        errors.update(error.normalized_messages())
    if errors:
        raise ma.ValidationError(errors)
    return cls.of_values(values, reading.tables)
