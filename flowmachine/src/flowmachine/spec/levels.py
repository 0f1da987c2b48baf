"""Ask the same question at a coarser level of geography."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import marshmallow as ma

from flowmachine.spec.nested import SubscriberSubset
from flowmachine.spec.places import UNITS
from flowmachine.spec.query import NotBuildable, Query

_Kind = TypeVar("_Kind", bound=Query)

#: Fields of tables of points, which regions do not have.
_OF_POINTS = ("geom_table", "geom_table_join_column")


def coarser(query: _Kind) -> Iterator[_Kind]:
    """Yield the question at each coarser level of geography, the finest first.

    Levels at which it cannot be asked are left out.
    """
    if query.unit is None or query.unit.name not in UNITS:
        return
    for name in reversed(UNITS[: UNITS.index(query.unit.name)]):
        try:
            yield _at_level(query, name, {})
        except (ma.ValidationError, NotBuildable):
            continue


def _at_level(query: _Kind, name: str, made: dict[str, Query]) -> _Kind:
    """Return a query with its places at the level ``name``.

    Subsets and metrics are not changed, because they do not say where somebody is counted. ``made`` holds
    what was changed already, because many parts may be one query.
    """
    unit = query.unit

    def moved(field: str, value: Any) -> Any:
        if field == "aggregation_unit":
            return name
        if field in _OF_POINTS:
            return None
        if isinstance(value, tuple):
            return tuple(moved(field, item) for item in value)
        if not isinstance(value, Query) or isinstance(query.fields[field], SubscriberSubset):
            return value
        if value.unit != unit or "location" not in value.columns:
            return value
        if value.query_id not in made:
            made[value.query_id] = _at_level(value, name, made)
        return made[value.query_id]

    return type(query).of_values({field: moved(field, getattr(query, field)) for field in query.fields}, None)
