"""Fields that hold queries, and the kinds that a query is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import validate

from flowmachine.spec.fields import Form
from flowmachine.spec.query import NotBuildable, Query, queries_in, registered
from flowmachine.spec.reading import Reading


class Nested(ma.fields.Field[Query]):
    """A query of one of the named kinds; one kind is refused in that kind's own words, several as a union."""

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


class NestedList(ma.fields.List):
    """A list of at least one query; order is kept."""

    form: ClassVar[Form] = Form("list[Spec]")

    def __init__(self, *kinds: str, component: str | None = None) -> None:
        super().__init__(Nested(*kinds, component=component), validate=validate.Length(min=1))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return super()._deserialize(list(value) if isinstance(value, tuple) else value, attr, data, **kwargs)

    def settle(self, value: Sequence[Query]) -> tuple[Query, ...]:
        return tuple(value)

    def describe(self) -> dict[str, Any]:
        return {"type": "array", "minItems": 1, "items": self.inner.describe()}  # type: ignore[attr-defined]


class SubscriberSubset(ma.fields.Field[Any]):
    """All subscribers (null), those of a subscriber-level query given whole, or of a query known by its id."""

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
            if value is not None and not reading.direct and (direct := direct_kinds_within(value)):
                raise ma.ValidationError(
                    f"Query {value.query_id} cannot be a subset here: {', '.join(direct)} is for direct use only."
                )
        if not isinstance(value, Query):
            raise ma.ValidationError("Must be None or a valid query id.")
        if "subscriber" not in getattr(value, "columns", ()):
            # A valid id, of a query that cannot be used like this: what is known only once queries are built.
            raise NotBuildable(f"{value.kind} has no column subscriber.")
        return value

    def describe(self) -> dict[str, Any]:
        return {"type": "string"}


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
            pending.extend((child, below) for child in queries_in(getattr(part, name)))
    return frozenset(own), frozenset(in_subsets)


def direct_kinds_within(query: Query) -> list[str]:
    """The kinds for direct use only that a query is made of, sorted."""
    own, in_subsets = kinds_within(query)
    return sorted(kind for kind in own | in_subsets if registered[kind].direct)
