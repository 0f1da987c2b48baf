"""The client's query functions, as the engine's registry describes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flowmachine.queries.catalogue import kinds
from flowmachine.queries.examples import query, variants
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.arguments import Argument, declared
from flowmachine.spec.fields import (
    Choice,
    ColumnName,
    EventTypes,
    Flag,
    Hours,
    Integer,
    Moment,
    Number,
    TableName,
    optional,
    required,
)
from flowmachine.spec.nested import Nested, NestedList, SubscriberSubset
from flowmachine.spec.published import Region
from flowmachine.spec.query import Query
from flowmachine.spec.sampling import METHODS

#: Kinds without a function of their own: the areas have a route, and ``get_geography`` asks that.
WITHOUT_FUNCTION = frozenset({"geography"})

#: Kinds that only test servers answer.
_FOR_TESTS = frozenset({"dummy_query"})

#: Types of fields that most kinds have: where they are optional they come last, in this order.
_COMMON = (EventTypes, SubscriberSubset, TableName, ColumnName, Hours)


@dataclass(frozen=True)
class Function:
    """A function that returns a specification.

    Attributes
    ----------
    name : str
        The kind; the function is this name with ``_spec``.
    doc : str
        What a result says, in one sentence.
    arguments : tuple of Argument
        In the order of the signature.
    expression : str
        For functions that compose kinds: what they return.
    """

    name: str
    doc: str
    arguments: tuple[Argument, ...]
    expression: str = ""

    @property
    def released(self) -> bool:
        """Return whether servers answer the kind by itself.

        Other kinds occur only inside others or in tests.
        """
        cls = kinds().get(self.name)
        return cls is not None and issubclass(cls, Aggregate) and self.name not in _FOR_TESTS


def arguments(kind: str) -> tuple[Argument, ...]:
    """Return the arguments of a kind's function.

    Required arguments come first, then dates, units and the kind's own.
    """
    found = [argument for argument in kinds()[kind].arguments.values() if argument.form is not None]
    return tuple(sorted(found, key=_position))


def _position(argument: Argument) -> tuple[Any, ...]:
    common = [number for number, one in enumerate(_COMMON, 1) if type(argument.field) is one]
    return (
        not argument.required,
        0 if argument.required or not common else common[0],
        not isinstance(argument.field, Moment),
        argument.name != "aggregation_unit",
    )


def columns(kind: str) -> tuple[str, ...]:
    """The columns of a result; ``location`` stands for those that name a region."""
    return _columns(query(kind))


def columns_with(kind: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """Where a word in a field brings other columns: these, by field and word."""
    found = {(name, word): _columns(one) for name, word, one in variants(kind)}
    return {asked: names for asked, names in found.items() if names != columns(kind)}


def _columns(one: Query) -> tuple[str, ...]:
    assert isinstance(one, Aggregate)
    return tuple(
        name
        for part in one.published.parts
        for name in ([f"location{part.suffix}"] if isinstance(part, Region) else part.columns)
    )


def fractions(kind: str) -> tuple[str, ...]:
    """The columns that are no whole numbers: averages, shares, amounts of money."""
    found: dict[str, None] = {}
    for one in (query(kind), *(one for _, _, one in variants(kind))):
        assert isinstance(one, Aggregate)
        for name, type_ in one.published.columns.items():
            if isinstance(type_, sa.Float) or (name == "value" and isinstance(type_, sa.Numeric)):
                found[name] = None
    return tuple(found)


def inside(kind: str) -> str:
    """Return up to two kinds that take this kind.

    Kinds that are answered by themselves come first, the shortest to ask of all.
    """
    taking = [
        name for name, cls in kinds().items() if any(kind in _taken(field) for field in cls.fields.values())
    ]
    released = [name for name in taking if issubclass(kinds()[name], Aggregate)]
    easiest = sorted(
        released or taking, key=lambda name: (_needs_lists(name), len(_needed(name)), len(name), name)
    )
    return " or ".join(easiest[:2])


def _taken(field: Any) -> tuple[str, ...]:
    nested = field.inner if isinstance(field, NestedList) else field
    return nested.kinds if isinstance(nested, Nested) else ()


def _needs_lists(kind: str) -> bool:
    return any(field.required and isinstance(field, NestedList) for field in kinds()[kind].fields.values())


def _needed(kind: str) -> list[Argument]:
    return [argument for argument in arguments(kind) if argument.required]


def _of_kinds() -> Iterator[Function]:
    for name, cls in kinds().items():
        if name not in WITHOUT_FUNCTION:
            yield Function(name, cls.summary, arguments(name))


def _composing() -> Iterator[Function]:
    daily = {argument.name: argument for argument in arguments("daily_location") if argument.name != "date"}
    window = [argument for argument in arguments("most_frequent_location") if argument.name.endswith("_date")]
    yield Function(
        "modal_location_from_dates",
        "One location per subscriber: the most frequent daily location in a period.",
        (*window, *daily.values()),
        "modal_location_spec(locations=[daily_location_spec(date=day, {others}) "
        "for day in days(start_date, end_date)])",
    )
    yield Function(
        "random_sample",
        "A random sample of another query's rows.",
        tuple(declared(name, **field.metadata) for name, field in _SAMPLE.items()),
        "{{**query, 'sampling': sampling({others})}}",
    )


_SAMPLE = {
    "query": required(Nested(), "Specification of the query to sample; not changed."),
    "seed": required(Number(), "Equal seeds give equal samples; in [-1, 1] for ``random_ids``."),
    "sampling_method": optional(Choice(*METHODS), "random_ids"),
    "size": optional(Integer(), doc="Number of rows; this or ``fraction``."),
    "fraction": optional(Number(), doc="Share of the rows, between 0 and 1."),
    "estimate_count": optional(Flag(), True, "Whether an estimate of the number of rows will do to draw by."),
}


FUNCTIONS: tuple[Function, ...] = tuple(sorted([*_of_kinds(), *_composing()], key=lambda one: one.name))
AGGREGATES = tuple(function for function in FUNCTIONS if function.released)
BUILDING_BLOCKS = tuple(function for function in FUNCTIONS if not function.released)
