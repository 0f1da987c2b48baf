"""Define fields that hold queries, and list the kinds in a query."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import validate

from flowmachine.spec.fields import Entries, Form
from flowmachine.spec.places import DIRECT_UNITS, UNITS
from flowmachine.spec.query import NotBuildable, Query, queries_in, registered
from flowmachine.spec.reading import Reading
from flowmachine.spec.subsets import set_of


class Nested(ma.fields.Field[Query]):
    """Accept a query of one of the named kinds.

    A single kind is refused in that kind's own words, several kinds as a union.
    """

    form: ClassVar[Form] = Form("Spec")

    def __init__(self, *kinds: str, component: str | None = None) -> None:
        super().__init__()
        self.kinds = kinds
        self.component = component

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, reading: Reading | None = None, **kwargs: Any
    ) -> Query:
        if isinstance(value, Query):
            if value.stands_for not in self.kinds:
                raise ma.ValidationError({"query_kind": [f"Unsupported value: {value.kind}"]})
            return value
        reading = reading or Reading()
        kind = value.get("query_kind") if isinstance(value, Mapping) else None
        if len(self.kinds) == 1 and self.component is None and not reading.is_direct(kind):
            return reading.of_kind(self.kinds[0], value)
        return reading.one_of(self.kinds, value)

    def describe(self) -> dict[str, Any]:
        return {
            "$ref": f"#/components/schemas/{self.component or registered[self.kinds[0]].component_name()}"
        }


class NestedList(Entries):
    """Accept a list of at least one query, and of at most some; order is kept."""

    form: ClassVar[Form] = Form("list[Spec]")

    def __init__(
        self, *kinds: str, component: str | None = None, at_least: int = 1, at_most: int | None = None
    ) -> None:
        super().__init__(
            Nested(*kinds, component=component), validate=validate.Length(min=at_least, max=at_most)
        )
        self.at_least, self.at_most = at_least, at_most

    def settle(self, value: Sequence[Query]) -> tuple[Query, ...]:
        return tuple(value)

    def describe(self) -> dict[str, Any]:
        most = {} if self.at_most is None else {"maxItems": self.at_most}
        return {"type": "array", "minItems": self.at_least, **most, "items": self.inner.describe()}  # type: ignore[attr-defined]


class SubscriberSubset(ma.fields.Field[Any]):
    """Accept null for all subscribers, a subscriber-level query or a query id."""

    form: ClassVar[Form] = Form(
        "Subset",
        covers_none=True,
        example={"query_kind": "event_count", "start_date": "2016-01-01", "end_date": "2016-01-08"},
    )

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, reading: Reading | None = None, **kwargs: Any
    ) -> Any:
        reading = reading or Reading()
        if isinstance(value, Mapping):
            value = reading.one_of(reading.subscriber_level(), value)
        elif isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}", value):
            value = reading.named(value)
            if value is not None and not reading.direct and (direct := for_direct_use_within(value)):
                raise ma.ValidationError(
                    f"Query {value.query_id} cannot be a subset here: {', '.join(direct)} is for direct use only."
                )
        if not isinstance(value, Query):
            raise ma.ValidationError("Must be None or a valid query id.")
        if "subscriber" not in getattr(value, "columns", ()):
            # The id is valid, but its query cannot be used here, which shows only once queries are built.
            raise NotBuildable(f"{value.kind} has no column subscriber.")
        return value

    def inputs(self, value: Query | None) -> list[Query]:
        """Return what a query with this subset reads: the set that stands for it."""
        return [] if value is None else [set_of(value)]

    def describe(self) -> dict[str, Any]:
        return {"type": "string"}


def kinds_within(query: Query) -> tuple[frozenset[str], frozenset[str]]:
    """Return the kinds in a query and the kinds in its subsets of subscribers.

    The first set includes the query's own kind. Kinds inside a subset, at any depth, are only in the second
    set; a kind may be in both.
    """
    own: set[str] = set()
    in_subsets: set[str] = set()
    seen: set[tuple[int, bool]] = set()
    pending = [(query, False)]
    while pending:
        part, in_subset = pending.pop()
        # Compare by identity: a subset named by many parts is one object, and query ids would have to be
        # computed.
        if (id(part), in_subset) in seen:
            continue
        seen.add((id(part), in_subset))
        (in_subsets if in_subset else own).add(part.kind)
        for name, field in part.fields.items():
            below = in_subset or isinstance(field, SubscriberSubset)
            pending.extend((child, below) for child in queries_in(getattr(part, name)))
    return frozenset(own), frozenset(in_subsets)


def finer_within(query: Query) -> list[tuple[str, str]]:
    """List unit and kind of the parts that are at a finer unit than the result.

    Left out are subsets of subscribers, and places of which only distances are taken. A result without a unit
    shows no place, so no unit is finer.
    """
    if query.unit is None or query.unit.name not in UNITS:
        return []
    finer = set(UNITS[UNITS.index(query.unit.name) + 1 :])
    found: set[tuple[str, str]] = set()
    seen: set[int] = set()
    pending = [query]
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if part.unit is not None and part.unit.name in finer:
            found.add((part.unit.name, part.kind))
        for name, field in part.fields.items():
            if name not in part.only_distances and not isinstance(field, SubscriberSubset):
                pending.extend(queries_in(getattr(part, name)))
    return sorted(found)


def direct_kinds_within(query: Query) -> list[str]:
    """List the direct-use kinds in a query, sorted."""
    own, in_subsets = kinds_within(query)
    return sorted(kind for kind in own | in_subsets if registered[kind].direct)


def for_direct_use_within(query: Query) -> list[str]:
    """List the kinds and the units in a query that are for direct use only."""
    units = {part.unit.name for part in query.graph() if part.unit is not None}
    return [*direct_kinds_within(query), *sorted(units & set(DIRECT_UNITS))]
