"""Aggregation units of specifications and of permissions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: From coarse to fine.
UNITS = ("admin0", "admin1", "admin2", "admin3", "lon-lat")

#: The field that a kind takes its unit from, where it is not the first nested query.
_UNIT_OF = ("locations", "reference_location", "unique_locations", "from_location", "total_network_objects")


def unit_of(spec: Mapping[str, Any]) -> str | None:
    """Return the unit of a query's result; None for a result without places."""
    if "aggregation_unit" in spec:
        return spec["aggregation_unit"]
    if spec.get("query_kind") in ("histogram_aggregate", "calendar_activity"):
        return None
    first = [spec[name] for name in _UNIT_OF if name in spec]
    for below in [*first, *spec.values()]:
        for nested in below if isinstance(below, list) else [below]:
            if isinstance(nested, Mapping) and "query_kind" in nested:
                unit = unit_of(nested)
                if unit is not None:
                    return unit
    return None


def kinds_in(value: Any, *, subset: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield every ``query_kind`` at any depth, and whether it is inside a subset."""
    below: list[tuple[Any, bool]] = []
    if isinstance(value, Mapping):
        if "query_kind" in value:
            yield str(value["query_kind"]), subset
        below = [(part, subset or name == "subscriber_subset") for name, part in value.items()]
    elif isinstance(value, list):
        below = [(part, subset) for part in value]
    for part, inside in below:
        yield from kinds_in(part, subset=inside)


def units_allowed(permissions: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return the units at which each kind may be run, by the roles that may run."""
    allowed: dict[str, set[str]] = {}
    for scopes in permissions.values():
        held = set(scopes)
        if "run" not in held:
            continue
        for scope in held:
            unit, _, kinds = scope.partition(":")
            top, _, below = kinds.partition(":")
            if top and top == below:
                allowed.setdefault(top, set()).add(unit)
    return {kind: sorted(units) for kind, units in sorted(allowed.items())}


def nearest_unit(spec: Mapping[str, Any], allowed: Iterable[str]) -> str | None:
    """Return the allowed unit nearest to the wanted unit, the coarser of two.

    None if the unit is not the obstacle.
    """
    wanted = unit_of(spec)
    known = [unit for unit in UNITS if unit in set(allowed)]
    if wanted not in UNITS or wanted in known or not known:
        return None
    return min(known, key=lambda unit: (abs(UNITS.index(unit) - UNITS.index(wanted)), UNITS.index(unit)))
