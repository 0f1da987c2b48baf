"""The published schema as a whole: its components, and the scopes that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from flowmachine.queries.catalogue import kinds, submittable_kinds
from flowmachine.queries.schema import ROOT, query_schemas


def below(schema: Any, components: dict[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[Any]:
    """All parts of a schema, references followed."""
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if reference is not None and reference not in seen:
            yield from below(components[reference.rsplit("/", 1)[1]], components, seen | {reference})
        yield schema
        for key, value in schema.items():
            if key != "discriminator":
                yield from below(value, components, seen)
    elif isinstance(schema, list):
        for value in schema:
            yield from below(value, components, seen)


def scopes() -> set[str]:
    """Scopes as the HTTP API derives them: unit, submitted kind, any kind below it."""
    components = query_schemas()
    found = {"run", "get_result", "get_available_dates", "get_qa_checks"}
    for reference in components[ROOT]["discriminator"]["mapping"].values():
        schema = components[reference.rsplit("/", 1)[1]]
        (top,) = schema["properties"]["query_kind"]["enum"]
        units = schema["properties"].get("aggregation_unit", {}).get("enum", ["nonspatial"])
        nested = {
            part["query_kind"]["enum"][0]
            for part in below(schema, components)
            if isinstance(part.get("query_kind"), dict) and "enum" in part["query_kind"]
        }
        found |= {f"{unit}:{top}:{kind}" for unit in units for kind in nested}
    return found


def test_there_are_47_kinds_27_of_them_to_submit() -> None:
    assert len(kinds()) == 47
    assert len(submittable_kinds()) == 27


def test_the_scopes_are_628() -> None:
    assert len(scopes()) == 628


def test_components_are_62_and_refer_to_each_other() -> None:
    components = query_schemas()
    assert len(components) == 62
    referred = {
        part["$ref"].rsplit("/", 1)[1]
        for schema in components.values()
        for part in below(schema, components)
        if "$ref" in part
    }
    assert referred | {ROOT} == set(components)


@pytest.mark.parametrize("bounds", [{"lower_bound": 1, "upper_bound": 2}, [1, 2]])
def test_both_forms_of_a_range_are_published(bounds: Any) -> None:
    """The server takes a list as well, since that is what the published client sends."""
    validator = Draft202012Validator(query_schemas()["Bounds"])
    assert validator.is_valid(bounds)
    assert not validator.is_valid([1, 2, 3])
    assert not validator.is_valid({"lower_bound": 1})
