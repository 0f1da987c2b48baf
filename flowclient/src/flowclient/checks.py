"""Finding what a server would refuse before it does, by the server's own published description."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

#: What a kind without event types reads.
_DEFAULT_EVENT_TYPES = ("calls", "sms")
_ROOT = "FlowmachineQuerySchema"


def specification_problems(spec: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    """Return a line per problem: path, value, what is allowed.

    Parameters
    ----------
    spec : Mapping
        The specification.
    schemas : Mapping
        ``components.schemas`` of the server's OpenAPI document.
    """
    return [
        *_schema_problems(spec, schemas.get(_ROOT, {}), schemas, "query"),
        *_reversed_dates(spec, "query"),
    ]


def missing_days(spec: Any, available: Mapping[str, list[str]]) -> list[str]:
    """Return the days that a specification asks for and that no event type it reads has data of."""
    days: set[str] = set()
    for part in _objects(spec):
        types = part.get("event_types") or _DEFAULT_EVENT_TYPES
        days |= _days(part).difference(*(available.get(name, ()) for name in types))
    return sorted(days)


def _schema_problems(value: Any, schema: Any, schemas: Mapping[str, Any], path: str) -> Iterator[str]:
    schema = _resolved(schema, schemas)
    if value is None:
        if schema and not schema.get("nullable"):
            yield f"{path}: must not be null."
    elif "oneOf" in schema:
        yield from _union_problems(value, schema, schemas, path)
    elif "enum" in schema:
        if value not in schema["enum"]:
            yield f"{path} = {value!r}: must be one of {', '.join(map(str, schema['enum']))}."
    elif isinstance(value, list) and "items" in schema:
        for place, item in enumerate(value):
            yield from _schema_problems(item, schema["items"], schemas, f"{path}.{place}")
    elif isinstance(value, Mapping) and "properties" in schema:
        fields = schema["properties"]
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{path}.{name}: missing."
        for name, below in value.items():
            if name in fields and not fields[name].get("readOnly"):
                yield from _schema_problems(below, fields[name], schemas, f"{path}.{name}")
            elif schema.get("additionalProperties") is False:
                yield f"{path}.{name}: unknown field."


def _union_problems(
    value: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any], path: str
) -> Iterator[str]:
    discriminator = schema.get("discriminator", {})
    name, mapping = discriminator.get("propertyName"), discriminator.get("mapping", {})
    if name is None or not isinstance(value, Mapping):
        return
    kind = value.get(name)
    if kind not in mapping:
        yield f"{path}.{name} = {kind!r}: must be one of {', '.join(mapping)}."
        return
    yield from _schema_problems(value, {"$ref": mapping[kind]}, schemas, path)


def _resolved(schema: Any, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Follow references, also those wrapped in ``allOf`` so that something can stand beside them."""
    found = dict(schema)
    while "$ref" in found or len(found.get("allOf", ())) == 1:
        wrapped = found.pop("allOf", None)
        below = wrapped[0] if wrapped else schemas.get(found.pop("$ref").rpartition("/")[2], {})
        found = {**below, **found}
    return found


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for below in value:
            yield from _objects(below)


def _reversed_dates(spec: Mapping[str, Any], path: str) -> Iterator[str]:
    for part in _objects(spec):
        start, end = _date(part.get("start_date")), _date(part.get("end_date"))
        if start is not None and end is not None and end < start:
            yield f"{path}.end_date = {part['end_date']!r}: must be later than start_date {part['start_date']!r}."


def _days(part: Mapping[str, Any]) -> set[str]:
    day = _date(part.get("date"))
    start, end = (
        (day, None) if day is not None else (_date(part.get("start_date")), _date(part.get("end_date")))
    )
    if start is None:
        return set()
    count = 1 if end is None else (end - start).days
    return {(start + datetime.timedelta(days=number)).isoformat() for number in range(count)}


def _date(value: Any) -> datetime.date | None:
    """Return the day of an ISO text; the server has the last word on anything else."""
    try:
        return datetime.date.fromisoformat(value[:10])
    except (TypeError, ValueError):
        return None
