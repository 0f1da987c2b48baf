"""Compute the scopes that a server offers and a request needs.

A complex scope is ``unit:top kind:kind``. Offered scopes come from the engine's published schemas, needed
scopes from its report of the kinds in a query and of further scopes, which ``x-scopes`` of the schemas offer.
A new kind therefore needs no change here.

A kind in a subset of subscribers is needed as ``*:*:kind``: any scope for the kind is enough, whatever its
unit and top kind. A subset decides who is counted, but is itself neither placed nor published.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

RUN = "run"
GET_RESULT = "get_result"
GET_AVAILABLE_DATES = "get_available_dates"
GET_QA_CHECKS = "get_qa_checks"
CANCEL = "cancel"

SIMPLE_SCOPES = (GET_AVAILABLE_DATES, GET_QA_CHECKS, GET_RESULT, RUN)
NONSPATIAL = "nonspatial"
ANY = "*"
ROOT_SCHEMA = "FlowmachineQuerySchema"
_REFERENCE_PREFIX = "#/components/schemas/"
_ANYWHERE = f"{ANY}:{ANY}:"


def scope(unit: str | None, top_kind: str, kind: str) -> str:
    """Return the complex scope for ``kind`` in ``top_kind`` at ``unit``.

    ``unit`` None means a result without geography.
    """
    return f"{unit or NONSPATIAL}:{top_kind}:{kind}"


def geography_scope(unit: str) -> str:
    """Return the scope for the shapes of ``unit``."""
    return scope(unit, "geography", "geography")


def needed_scopes(
    unit: str | None,
    top_kind: str,
    kinds: Iterable[str],
    subset_kinds: Iterable[str] = (),
    further: Iterable[str] = (),
    finer: Iterable[Sequence[str]] = (),
) -> frozenset[str]:
    """Return the scopes that a query needs, all in one role.

    Parameters
    ----------
    unit
        The unit of its result.
    top_kind, kinds
        Its own kind, and the kinds that it is made of outside of subsets, its own among them.
    subset_kinds
        The kinds that its subsets of subscribers are made of, at any depth, given whole or by their ids.
    further
        Simple scopes that the engine asks for beside them, such as ``extremes``.
    finer
        Units and kinds of parts at finer units than the result, which need the right for that unit.
    """
    own = {scope(unit, top_kind, kind) for kind in kinds}
    own |= {scope(finer_unit, top_kind, kind) for finer_unit, kind in finer}
    return frozenset(own | {scope(ANY, ANY, kind) for kind in subset_kinds} | set(further))


def lacking_scopes(held: Collection[str], needed: Iterable[str]) -> set[str]:
    """Return the ``needed`` scopes that ``held`` scopes do not grant."""
    return {
        one
        for one in needed
        if one not in held
        and not (one.startswith(_ANYWHERE) and one.removeprefix(_ANYWHERE) in _held_kinds(held))
    }


def _held_kinds(held: Iterable[str]) -> set[str]:
    """Return the kinds for which there are complex scopes."""
    return {parts[2] for one in held if len(parts := one.split(":")) == 3}


def offered_scopes(schemas: Mapping[str, Any], *, cancel: bool = False) -> list[str]:
    """List all scopes of a server with these query schemas, sorted.

    ``schemas`` is an OpenAPI ``components.schemas`` map.
    """
    offered = set(SIMPLE_SCOPES)
    if cancel:
        offered.add(CANCEL)
    for alternative in schemas[ROOT_SCHEMA]["oneOf"]:
        own = _resolve(alternative, schemas)
        offered.update(own.get("x-scopes", ()))
        for top_kind in _own_kinds(own, schemas):
            for kind in _kinds_below(own, schemas):
                offered.update(scope(unit, top_kind, kind) for unit in _units(own, schemas))
    return sorted(offered)


def _resolve(node: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        node = schemas[node["$ref"].removeprefix(_REFERENCE_PREFIX)]
    return node


def _property_values(node: Mapping[str, Any], name: str, schemas: Mapping[str, Any]) -> list[str]:
    """Return the possible values of the property ``name`` of an object schema."""
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
    """Yield every object in a schema.

    Each reference is followed once, because kinds may nest recursively.
    """
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
