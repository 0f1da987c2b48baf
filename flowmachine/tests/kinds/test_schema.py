"""Check the published schema: its components and the scopes derived from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from flowmachine.queries.catalogue import component_name, kinds, load, load_any, submittable_kinds
from flowmachine.queries.examples import example, full_example, variants
from flowmachine.queries.schema import ROOT, query_schemas
from flowmachine.spec.aggregate import Aggregate

CASES = Path(__file__).parents[3] / "flowclient" / "tests" / "data" / "expected_specs.json"

#: The kinds of the first release: those that a client's function describes, and the areas.
FIRST = {case["spec"]["query_kind"] for case in json.loads(CASES.read_text())} | {"geography"}

#: Published names that are not the kind in plain CamelCase.
SPELT_OTHERWISE = {
    "DFSTotalMetricAmount",
    "TopUpAmount",
    "TopUpBalance",
    "TripsODMatrix",
    "ConsecutiveTripsODMatrix",
    "MeaningfulLocationsBetweenLabelODMatrix",
    "MeaningfulLocationsBetweenDatesODMatrix",
}

#: Published names of what is no kind.
HELPERS = {
    "Hours",
    "Bounds",
    "HistogramBins",
    "RandomSample",
    "SystemRandomSample",
    "BernoulliRandomSample",
    "RandomIDsRandomSample",
    "ReferenceLocation",
    "InputToFlows",
    "InputToModalLocation",
    "VisitableLocation",
    "WeightedLocationQueries",
    "HistogrammableMetrics",
    "JoinableMetrics",
    "FlowmachineQuerySchema",
}


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
    """Derive scopes as the first release does: unit, submitted kind, kind below."""
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
        found |= {
            f"{unit}:{top}:{kind}" for unit in units for kind in nested if FIRST.issuperset((top, kind))
        }
    return found


def test_no_kind_of_the_first_release_is_lost() -> None:
    assert len(FIRST) == 47
    assert set(kinds()) >= FIRST
    assert len(FIRST & set(submittable_kinds())) == 27


def test_the_scopes_of_the_first_release_are_628() -> None:
    assert len(scopes()) == 628


@pytest.mark.parametrize("kind", kinds())
def test_examples_are_valid(kind: str) -> None:
    assert set(example(kind)) <= set(full_example(kind)) == {"query_kind", *kinds()[kind].fields}
    for spec in (example(kind), full_example(kind)):
        assert load_any(spec).kind == kind


def test_components_keep_their_names_and_refer_to_each_other() -> None:
    components = query_schemas()
    assert set(components) >= SPELT_OTHERWISE | HELPERS
    assert set(components) >= {component_name(kind) for kind in kinds()}
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


#: By each kind, values of its fields with which a published value may be one subscriber's own.
EXTREME = {
    "histogram_aggregate": [{"bins": {"n_bins": 3}}],
    "joined_spatial_aggregate": [{"method": method} for method in ("max", "min", "mode")],
}


@pytest.mark.parametrize("kind", submittable_kinds())
def test_values_of_one_subscriber_need_a_scope(kind: str) -> None:
    schema = query_schemas()[component_name(kind)]
    assert ("x-scopes" in schema) == (kind in EXTREME)
    extreme = [load(example(kind, **values)).query_id for values in EXTREME.get(kind, ())]
    others = [query for _, _, query in variants(kind) if query.query_id not in extreme]
    if kind == "histogram_aggregate":
        others += [
            load(example(kind, bins={"n_bins": 3}, range=[0, 9])),
            load(example(kind, bins={"bin_list": [0, 9]})),
        ]
    for query in others:
        assert isinstance(query, Aggregate)
        assert query.further_scopes == ()
    for values in EXTREME.get(kind, ()):
        assert load(example(kind, **values)).further_scopes == ("extremes",)
