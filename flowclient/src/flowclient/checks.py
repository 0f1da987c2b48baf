"""Find what a server would refuse, by the server's own published description."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowclient.units import kinds_in, unit_of

#: Event types of a kind whose event types are not given.
_DEFAULT_EVENT_TYPES = ("calls", "sms")
#: Event types of a kind without that field; servers list no days of mobile money.
_EVENT_TYPES = {"topup_amount": ("topups",), "topup_balance": ("topups",), "dfs_metric_total_amount": ()}
#: Endings of the fields that hold the start and the end of a span.
_SPANS = ("", "_a", "_b")
#: Fields beside one another whose locations must have one unit; so must those of a list.
_AT_ONE_UNIT = ("from_location", "to_location", "preferred_location", "fallback_location")
#: Spans of missing days that a warning names.
_MOST_SPANS = 5
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
        *_reversed_dates(spec),
        *_mixed_units(spec),
    ]


def missing_scopes(
    spec: Mapping[str, Any], permissions: Mapping[str, list[str]], schemas: Mapping[str, Any]
) -> list[str]:
    """Return the scopes that the closest role lacks; none if a role has them all.

    The kinds of a subset need some scope each, whatever it is granted for: ``*:*:<kind>``. A kind's schema
    says with which values of its fields a query needs further scopes: ``x-scopes``.
    """
    kind, unit = spec.get("query_kind"), unit_of(spec) or "nonspatial"
    needed = {"run"}
    needed |= {f"*:*:{each}" if subset else f"{unit}:{kind}:{each}" for each, subset in kinds_in(spec)}
    needed |= {
        scope
        for schema in schemas.values()
        if kind in schema.get("properties", {}).get("query_kind", {}).get("enum", ())
        for scope, values in schema.get("x-scopes", {}).items()
        if all(_value_at(spec, name) in accepted for name, accepted in values.items())
    }
    # The server never adds up what several roles allow.
    return min(
        (sorted(needed - _held(scopes)) for scopes in permissions.values()), key=len, default=sorted(needed)
    )


def _value_at(spec: Any, name: str) -> Any:
    """Return the value of a field with a dotted name, or None."""
    for part in name.split("."):
        spec = spec.get(part) if isinstance(spec, Mapping) else None
    return spec


def _held(scopes: Iterable[str]) -> set[str]:
    """Return a role's scopes and the kinds that it may use anywhere."""
    held = set(scopes)
    return held | {f"*:*:{scope.rpartition(':')[2]}" for scope in held if scope.count(":") == 2}


def missing_days(spec: Any, available: Mapping[str, list[str]]) -> list[str]:
    """Return the wanted days for which no event type read has data."""
    days: set[str] = set()
    for _, part in _objects(spec, "query"):
        default = _EVENT_TYPES.get(str(part.get("query_kind")), _DEFAULT_EVENT_TYPES)
        types = part.get("event_types") or default
        if types:
            days |= _days(part).difference(*(available.get(name, ()) for name in types))
    return sorted(days)


def missing_days_told(missing: Mapping[str, Iterable[str]]) -> str:
    """Describe the days without data, by event type; consecutive days as a span."""
    types: dict[str, list[str]] = {}
    for name, days in missing.items():
        types.setdefault(_spans_of_days(sorted(days)), []).append(name)
    told = "; ".join(f"{' and '.join(names)}: {spans}" for spans, names in types.items())
    return (
        f"There are no data of some of the days asked for ({told}). They count as days without events; "
        "attrs['missing_days'] of the result lists them."
    )


def _spans_of_days(days: list[str]) -> str:
    spans: list[list[str]] = []
    for day in days:
        before = (datetime.date.fromisoformat(day) - datetime.timedelta(days=1)).isoformat()
        if spans and spans[-1][1] == before:
            spans[-1][1] = day
        else:
            spans.append([day, day])
    named = [first if first == last else f"{first} to {last}" for first, last in spans[:_MOST_SPANS]]
    return ", ".join(named) + (", ..." if len(spans) > _MOST_SPANS else "")


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
    elif schema.get("format") in ("date", "date-time"):
        if _moment(value) is None:
            yield f"{path} = {value!r}: must be a date such as 2016-01-01 or 2016-01-01 12:00, without an offset."
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
    """Follow references, also those wrapped in ``allOf``.

    The wrapper lets other keys stand beside a reference.
    """
    found = dict(schema)
    while "$ref" in found or len(found.get("allOf", ())) == 1:
        wrapped = found.pop("allOf", None)
        below = wrapped[0] if wrapped else schemas.get(found.pop("$ref").rpartition("/")[2], {})
        found = {**below, **found}
    return found


def _objects(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        yield path, value
    below = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, item in below:
        yield from _objects(item, f"{path}.{name}")


def _reversed_dates(spec: Mapping[str, Any]) -> Iterator[str]:
    for path, part in _objects(spec, "query"):
        for suffix in _SPANS:
            first, last = f"start_date{suffix}", f"end_date{suffix}"
            start, end = _moment(part.get(first)), _moment(part.get(last))
            if start is not None and end is not None and end < start:
                yield f"{path}.{last} = {part[last]!r}: must be later than {first} {part[first]!r}."


def _mixed_units(spec: Mapping[str, Any]) -> Iterator[str]:
    for path, part in _objects(spec, "query"):
        groups = [value for value in part.values() if isinstance(value, list)]
        groups.append([part[name] for name in _AT_ONE_UNIT if name in part])
        for group in groups:
            units = {unit_of(nested) for nested in group if isinstance(nested, Mapping)} - {None}
            if len(units) > 1:
                yield f"{path}: what it is made of must have one aggregation unit, not {', '.join(sorted(map(str, units)))}."


def _days(part: Mapping[str, Any]) -> set[str]:
    return {
        (start.date() + datetime.timedelta(days=number)).isoformat()
        for start, end in _spans(part)
        for number in range((end.date() - start.date()).days + (end.time() != datetime.time()))
    }


def _spans(part: Mapping[str, Any]) -> Iterator[tuple[datetime.datetime, datetime.datetime]]:
    """Yield the start and the exclusive end of the times that a kind reads."""
    day = _moment(part.get("date"))
    if day is not None:
        yield day, day + datetime.timedelta(days=1)
    for suffix in _SPANS:
        start, end = _moment(part.get(f"start_date{suffix}")), _moment(part.get(f"end_date{suffix}"))
        if start is not None and end is not None:
            yield start, end
        elif start is not None and "total_periods" in part:
            unit, length = part.get("period_unit") or "days", part.get("period_length", 1)
            try:
                yield start, start + datetime.timedelta(**{unit: length * part["total_periods"]})
            except (TypeError, OverflowError):
                # The server has the last word on what is no number of periods.
                return


def _moment(value: Any) -> datetime.datetime | None:
    """Return the time of an ISO text, without an offset."""
    try:
        moment = datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is None else None
