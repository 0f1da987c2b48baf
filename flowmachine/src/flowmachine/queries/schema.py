"""Derive the published schema from the catalogue: OpenAPI components of all kinds.

The HTTP API publishes the schema unchanged and derives its scopes from it. The client's functions are checked
against it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flowmachine.queries.catalogue import component_name, kinds, submittable_kinds
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.nested import Nested, NestedList
from flowmachine.spec.places import UNITS
from flowmachine.spec.published import EXTREMES
from flowmachine.spec.query import Query
from flowmachine.spec.sampling import METHODS

ROOT = "FlowmachineQuerySchema"

_SAMPLE_COMPONENTS = {
    "system": "SystemRandomSample",
    "bernoulli": "BernoulliRandomSample",
    "random_ids": "RandomIDsRandomSample",
}


@lru_cache(maxsize=1)
def query_schemas() -> dict[str, Any]:
    """Return schemas by component name, sorted; built once."""
    components = {component_name(name): _kind_schema(name, cls) for name, cls in kinds().items()}
    components[ROOT] = _union(submittable_kinds())
    for cls in kinds().values():
        for field in cls.fields.values():
            nested = field.inner if isinstance(field, NestedList) else field
            if isinstance(nested, Nested) and nested.component is not None:
                components[nested.component] = _union([kind for kind in nested.kinds if kind in kinds()])
            elif (component := getattr(field, "component", None)) is not None and hasattr(
                field, "component_schema"
            ):
                components[component] = field.component_schema()
    components |= _samples()
    return dict(sorted(components.items()))


def _kind_schema(name: str, cls: type[Query]) -> dict[str, Any]:
    properties: dict[str, Any] = {"query_kind": {"type": "string", "enum": [name]}}
    required = ["query_kind"]
    for field_name, field in cls.fields.items():
        described = field.describe()  # type: ignore[attr-defined]
        if field.allow_none:
            described = (
                {"allOf": [described], "nullable": True}
                if "$ref" in described
                else described | {"nullable": True}
            )
        if not field.required and field.load_default is not None:
            described = described | {"default": field.load_default}
        properties[field_name] = described
        if field.required:
            required.append(field_name)
    if issubclass(cls, Aggregate) and cls.geographic and "aggregation_unit" not in properties:
        properties["aggregation_unit"] = {"type": "string", "enum": list(UNITS), "readOnly": True}
    extremes = cls.extremes if issubclass(cls, Aggregate) else {}
    scopes = {"x-scopes": {EXTREMES: {name: list(values) for name, values in extremes.items()}}}
    return (scopes if extremes else {}) | {
        "type": "object",
        "description": (cls.__doc__ or "").strip().partition("\n\n")[0],
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }


def _union(names: list[str]) -> dict[str, Any]:
    references = {name: f"#/components/schemas/{component_name(name)}" for name in names}
    return {
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "query_kind", "mapping": references},
    }


def _samples() -> dict[str, Any]:
    samples: dict[str, Any] = {}
    for method in METHODS:
        bounds = {"minimum": -1.0, "maximum": 1.0} if method == "random_ids" else {}
        samples[_SAMPLE_COMPONENTS[method]] = {
            "type": "object",
            "properties": {
                "sampling_method": {"type": "string", "enum": [method]},
                "seed": {"type": "number", **bounds},
                "size": {"type": "integer", "minimum": 1, "nullable": True},
                "fraction": {
                    "type": "number",
                    "minimum": 0.0,
                    "maximum": 1.0,
                    "exclusiveMinimum": True,
                    "exclusiveMaximum": True,
                    "nullable": True,
                },
                "estimate_count": {"type": "boolean", "default": True},
            },
            "required": ["sampling_method", "seed"],
            "additionalProperties": False,
        }
    references = {method: f"#/components/schemas/{name}" for method, name in _SAMPLE_COMPONENTS.items()}
    samples["RandomSample"] = {
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "sampling_method", "mapping": references},
    }
    return samples
