"""Scopes: what a server offers, what a request needs.

A complex scope is ``unit:top kind:kind``. Both sides are computed from the engine's own words, its published
schemas and the unit it derives of a spec, so that a new kind of query needs no change here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

RUN = "run"
GET_RESULT = "get_result"
GET_AVAILABLE_DATES = "get_available_dates"
GET_QA_CHECKS = "get_qa_checks"
CANCEL = "cancel"

SIMPLE_SCOPES = (GET_AVAILABLE_DATES, GET_QA_CHECKS, GET_RESULT, RUN)
NONSPATIAL = "nonspatial"
ROOT_SCHEMA = "FlowmachineQuerySchema"
_REFERENCE_PREFIX = "#/components/schemas/"


def scope(unit: str | None, top_kind: str, kind: str) -> str:
    """The complex scope for ``kind`` inside ``top_kind`` at ``unit`` (None: a result without geography)."""
    return f"{unit or NONSPATIAL}:{top_kind}:{kind}"


def geography_scope(unit: str) -> str:
    """The scope for the shapes of ``unit``."""
    return scope(unit, "geography", "geography")


def collect_kinds(spec: Any) -> frozenset[str]:
    """Every ``query_kind`` at any depth of a spec.

    A list instead of recursion: a spec may nest deeper than the interpreter's stack.
    """
    kinds = set()
    pending = [spec]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            kind = node.get("query_kind")
            if isinstance(kind, str):
                kinds.add(kind)
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    return frozenset(kinds)


def needed_scopes(spec: Mapping[str, Any], unit: str | None) -> frozenset[str]:
    """The complex scopes that a spec needs; ``unit`` is the engine's word for the whole spec."""
    top_kind = spec["query_kind"]
    return frozenset(scope(unit, top_kind, kind) for kind in collect_kinds(spec))


def offered_scopes(schemas: Mapping[str, Any], *, cancel: bool = False) -> list[str]:
    """All scopes of a server with these query schemas (an OpenAPI ``components.schemas`` map), sorted."""
    offered = set(SIMPLE_SCOPES)
    if cancel:
        offered.add(CANCEL)
    for alternative in schemas[ROOT_SCHEMA]["oneOf"]:
        own = _resolve(alternative, schemas)
        for top_kind in _own_kinds(own, schemas):
            for kind in _kinds_below(own, schemas):
                offered.update(scope(unit, top_kind, kind) for unit in _units(own, schemas))
    return sorted(offered)


def _resolve(node: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        node = schemas[node["$ref"].removeprefix(_REFERENCE_PREFIX)]
    return node


def _property_values(node: Mapping[str, Any], name: str, schemas: Mapping[str, Any]) -> list[str]:
    """The values that the property ``name`` of an object schema may take."""
    declared = node.get("properties", {}).get(name)
    if not isinstance(declared, dict):
        return []
    candidates = [declared, *declared.get("allOf", [])]
    return [
        value
        for candidate in candidates
        for value in _resolve(candidate, schemas).get("enum", [])
        if value is not None
    ]


def _own_kinds(node: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    return _property_values(node, "query_kind", schemas)


def _units(node: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    return _property_values(node, "aggregation_unit", schemas) or [NONSPATIAL]


def _kinds_below(top: Mapping[str, Any], schemas: Mapping[str, Any]) -> set[str]:
    return {kind for node in _reachable(top, schemas) for kind in _own_kinds(node, schemas)}


def _reachable(top: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every object in a schema, references followed once each, since kinds may nest in themselves."""
    followed = set()
    pending: list[Any] = [top]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                if reference not in followed:
                    followed.add(reference)
                    pending.append(_resolve(node, schemas))
                continue
            yield node
            pending.extend(node.values())
