"""Write the values of a query's fields as JSON, and as they would be typed."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from flowmachine.spec.fields import canonical_value

#: Sub-queries and plain values of a list that a query's text shows; as many values as the day has hours.
_MOST_QUERIES, _MOST_VALUES = 3, 24


class Specified:
    """Stand for a query, whose module imports this one."""

    def spec(self) -> dict[str, Any]:
        """Return the query as JSON."""
        raise NotImplementedError


def shown(field: ma.fields.Field, value: Any) -> str:
    """Return a field's value as it would be typed."""
    if isinstance(value, Specified):
        return repr(value)
    of_queries = _holds_queries(value)
    items = list(value) if of_queries else canonical_value(field, value)
    if not isinstance(items, list):
        return repr(items)
    most = _MOST_QUERIES if of_queries else _MOST_VALUES
    more = [f"... {len(items)} in all"] if len(items) > most else []
    return f"[{', '.join([*map(repr, items[:most]), *more])}]"


def spec_value(field: ma.fields.Field, value: Any) -> Any:
    """Return a field's value as JSON, nested specs whole."""
    if isinstance(value, Specified):
        return value.spec()
    if _holds_queries(value):
        return [child.spec() for child in value]
    return canonical_value(field, value)


def _holds_queries(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Specified)
