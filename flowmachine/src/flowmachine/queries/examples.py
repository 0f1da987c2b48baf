"""Build examples of each kind from the examples that its fields declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import marshmallow as ma

from flowmachine.queries.catalogue import kinds, load_any
from flowmachine.spec.arguments import Argument
from flowmachine.spec.nested import Nested, NestedList
from flowmachine.spec.query import Query


def example(kind: str, unit: str = "admin3", **values: Any) -> dict[str, Any]:
    """Return the shortest valid specification of a kind, with the given fields."""
    spec: dict[str, Any] = {"query_kind": kind}
    for name, argument in kinds()[kind].arguments.items():
        if name in values:
            spec[name] = values[name]
        elif argument.field.required:
            spec[name] = value(argument, unit)
    return spec


def full_example(kind: str) -> dict[str, Any]:
    """Return a specification with every field given.

    Each option has another value than its default.
    """
    arguments = kinds()[kind].arguments
    return example(kind, **{name: option(one) for name, one in arguments.items() if not one.field.required})


def option(argument: Argument) -> Any:
    """Return a value of an optional field, other than its default where possible.

    An example that the field itself declares wins.
    """
    words = getattr(argument.field, "words", None)
    if words:
        return next(word for word in reversed(words) if word != argument.default)
    declared = argument.form is not None and argument.example is not argument.form.example
    turned = isinstance(argument.default, bool) and not declared
    return not argument.default if turned else value(argument)


def value(argument: Argument, unit: str = "admin3") -> Any:
    """Return the value of a field in an example."""
    field = argument.field
    if argument.name == "aggregation_unit":
        return unit
    if argument.example is not None:
        return argument.example
    if isinstance(field, NestedList):
        assert isinstance(field.inner, Nested)
        return [example(field.inner.kinds[0], unit)]
    if isinstance(field, Nested):
        return example(field.kinds[0], unit)
    raise LookupError(f"{argument.name} has no example: declare it with one")


def query(kind: str, unit: str = "admin3", **values: Any) -> Query:
    """Return the query of the example."""
    return load_any(example(kind, unit, **values))


def variants(kind: str) -> Iterator[tuple[str, str, Query]]:
    """Yield queries that differ from the example in one word of one field.

    Each comes with that field and word.
    """
    for name, field in kinds()[kind].fields.items():
        for word in getattr(field, "words", ()):
            if name != "aggregation_unit" and (found := _with(kind, name, word)) is not None:
                yield name, word, found


def _with(kind: str, name: str, word: str) -> Query | None:
    """Return the example with one word changed, or None.

    Inner kinds are replaced where the word does not fit the first kinds.
    """
    alternatives: list[Mapping[str, Any]] = [{}]
    for other, argument in kinds()[kind].arguments.items():
        if isinstance(argument.field, Nested) and argument.example is None:
            alternatives += [{other: example(inner)} for inner in argument.field.kinds]
    for values in alternatives:
        try:
            return query(kind, **{**values, name: word})
        except ma.ValidationError:
            continue
    return None
