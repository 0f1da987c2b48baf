"""Define the types of query fields: accepted values, refusals, canonical form.

Each type is a marshmallow field, so that validation texts, OpenAPI properties and canonical JSON come from
the declaration in the query's dataclass. Values are held in parsed form: moments as naive ``datetime`` on the
deployment's wall clock, lists as tuples, nested specs as query objects.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import validate

from flowmachine.spec.steps import Steps


@dataclasses.dataclass(frozen=True)
class Form:
    """Describe how Python users give a value of a field's type.

    ``annotation`` is the type as the client writes it, and ``covers_none`` says whether that allows None.
    ``write`` names the function of ``flowclient.values`` that turns an argument into the field's value.
    ``example`` is a value; ``argument`` is the matching argument where the two differ.
    """

    annotation: str
    write: str = ""
    covers_none: bool = False
    example: Any = None
    argument: Any = None


def required(field: ma.fields.Field, doc: str = "", **more: Any) -> Any:
    """Declare a dataclass field that a spec must give and that must not be null.

    ``doc`` says what the type does not say; ``more`` holds further values of ``Argument``.
    """
    field.required = True
    return dataclasses.field(metadata={"field": field, "doc": doc, **more})


def optional(
    field: ma.fields.Field,
    default: Any = None,
    doc: str = "",
    *,
    added: bool = False,
    null: bool = True,
    **more: Any,
) -> Any:
    """Declare a dataclass field with a default.

    Null is allowed if it is the default and ``null`` is true.

    A field that was ``added`` to a released kind is no part of a query's id while it has its default, so that
    ids stay what they were.
    """
    field.metadata = {**field.metadata, "added": added}
    field.load_default = default
    field.allow_none = default is None and null
    return dataclasses.field(default=default, metadata={"field": field, "doc": doc, **more})


class Moment(ma.fields.Field[datetime]):
    """Accept an ISO 8601 date or date and time without zone.

    Fractions of seconds are truncated. An offset would have to be dropped or converted silently, so it is
    refused.
    """

    form: ClassVar[Form] = Form("DateLike", "iso_date", example="2016-01-01")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)
        elif isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                raise ma.ValidationError("Not a valid datetime.") from None
        else:
            raise ma.ValidationError("Not a valid datetime.")
        if moment.tzinfo is not None:
            raise ma.ValidationError("Not a valid datetime.")
        return moment.replace(microsecond=0)

    def canonical(self, value: datetime) -> str:
        return value.isoformat(sep=" ")

    def describe(self) -> dict[str, Any]:
        return {"type": "string", "format": "date-time"}


class Choice(ma.fields.String):
    """Accept one of a few words; refusals list them in the order of declaration."""

    form: ClassVar[Form] = Form("str")

    def __init__(self, *words: str) -> None:
        super().__init__(validate=validate.OneOf(words))
        self.words = words

    def describe(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}


class Text(ma.fields.String):
    """Accept any text."""

    form: ClassVar[Form] = Form("str", example="anything")

    def describe(self) -> dict[str, Any]:
        return {"type": "string"}


class TableName(Text):
    """Accept a table name, ``schema.table`` or a name in schema ``flowmachine``.

    ``units`` checks the table.
    """

    form: ClassVar[Form] = Form("str", example="geography.cell_to_region")


class ColumnName(Text):
    """Accept a column's name as written in the database."""

    form: ClassVar[Form] = Form("str", example="region")


class Integer(ma.fields.Integer):
    """Accept a whole number of 64 bits, as the databases hold.

    Fractions of JSON numbers are truncated.
    """

    form: ClassVar[Form] = Form("int", example=2)
    _of_64_bits = validate.Range(-(2**63), 2**63 - 1)

    def __init__(self, at_least: int | None = None, at_most: int | None = None) -> None:
        rules = [validate.Range(min=at_least, max=at_most)] if (at_least, at_most) != (None, None) else []
        super().__init__(validate=rules)
        self.at_least, self.at_most = at_least, at_most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        number = super()._deserialize(value, attr, data, **kwargs)
        self._of_64_bits(number)
        return number

    def describe(self) -> dict[str, Any]:
        return {"type": "integer", **_bounds(self.at_least, self.at_most)}


class Number(ma.fields.Float):
    """Accept a finite decimal number."""

    form: ClassVar[Form] = Form("float", example=0.5)

    def __init__(
        self,
        at_least: float | None = None,
        at_most: float | None = None,
        *,
        exclusive: bool = False,
        above: bool = False,
    ) -> None:
        """Take limits, both ``exclusive`` or only the lower one, ``above``."""
        over, under = not (exclusive or above), not exclusive
        rules = (
            [validate.Range(at_least, at_most, min_inclusive=over, max_inclusive=under)]
            if (at_least, at_most) != (None, None)
            else []
        )
        super().__init__(validate=rules)
        self.at_least, self.at_most, self.exclusive, self.above = at_least, at_most, exclusive, above

    def describe(self) -> dict[str, Any]:
        described: dict[str, Any] = {"type": "number", **_bounds(self.at_least, self.at_most)}
        open_at = {"minimum": self.exclusive or self.above, "maximum": self.exclusive}
        for bound, is_open in open_at.items():
            if is_open and bound in described:
                described[f"exclusive{bound.capitalize()}"] = True
        return described


class Flag(ma.fields.Boolean):
    """Accept true or false."""

    form: ClassVar[Form] = Form("bool", example=True)

    def describe(self) -> dict[str, Any]:
        return {"type": "boolean"}


#: Longer lists of a submitted spec are refused before anybody looks at their entries.
MOST_ENTRIES = 10_000


#: Wrong entries of a list that are named in a refusal. A spec may have hundreds of thousands.
MOST_REFUSED = 100


class Entries(ma.fields.List):
    """Accept a list; the first ``MOST_REFUSED`` of its wrong entries are named."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list | tuple | set | frozenset):
            raise self.make_error("invalid")
        found: list[Any] = []
        errors: dict[int, Any] = {}
        for position, entry in enumerate(value):
            try:
                found.append(self.inner.deserialize(entry, **kwargs))
            except ma.ValidationError as error:
                errors[position] = error.messages
                if len(errors) == MOST_REFUSED:
                    break
        if errors:
            raise ma.ValidationError(errors)
        return found


class EventTypes(Entries):
    """Accept at least one event type.

    Repeats are dropped and the order does not matter.
    """

    form: ClassVar[Form] = Form("EventTypes", "list_of_types", covers_none=True, example=["calls", "sms"])

    def __init__(self) -> None:
        super().__init__(Choice("calls", "sms", "mds", "topups"), validate=validate.Length(min=1))

    def settle(self, value: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))

    def describe(self) -> dict[str, Any]:
        return {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "enum": ["calls", "sms", "mds", "topups"]},
        }


class Listed(Entries):
    """Accept at least one item; order is kept."""

    def __init__(self, item: ma.fields.Field) -> None:
        super().__init__(item, validate=validate.Length(min=1))

    def settle(self, value: list[Any]) -> tuple[Any, ...]:
        return tuple(value)


@dataclasses.dataclass(frozen=True)
class HourInterval:
    """Hold half-open hours of the day [start, end) on the local clock.

    A start after the end wraps past midnight.
    """

    start_hour: int
    end_hour: int


class Hours(ma.fields.Field[HourInterval]):
    """Accept ``{"start_hour", "end_hour"}``, hours 0 to 24.

    24 may end an interval, but may begin one only if that is allowed.
    """

    component = "Hours"
    form: ClassVar[Form] = Form(
        "Hours", "hours_of_day", covers_none=True, example={"start_hour": 20, "end_hour": 4}, argument=(20, 4)
    )

    def __init__(self, *, latest_start: int = 23) -> None:
        super().__init__()
        self.latest_start = latest_start

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> HourInterval:
        if isinstance(value, HourInterval):
            value = dataclasses.asdict(value)
        values = load_fields(
            {"start_hour": _required(Integer(0, 24)), "end_hour": _required(Integer(0, 24))}, value
        )
        if values["start_hour"] > self.latest_start:
            limit = f"Must be greater than or equal to 0 and less than or equal to {self.latest_start}."
            raise ma.ValidationError({"start_hour": [limit]})
        return HourInterval(**values)

    def beyond_limits(self, value: HourInterval, steps: Steps) -> dict[str, list[str]]:
        """Return messages about hours that a part of a spec may not have."""
        edges = self.canonical(value)
        return {name: [text] for name, hour in edges.items() if (text := steps.hour_problem(hour))}

    def canonical(self, value: HourInterval) -> Any:
        return dataclasses.asdict(value)

    def describe(self) -> dict[str, Any]:
        return {"$ref": "#/components/schemas/Hours"}

    def component_schema(self) -> dict[str, Any]:
        hour = {"type": "integer", "minimum": 0, "maximum": 24}
        return {
            "type": "object",
            "properties": {"start_hour": hour, "end_hour": hour},
            "required": ["end_hour", "start_hour"],
            "additionalProperties": False,
        }


def _required(field: ma.fields.Field) -> ma.fields.Field:
    field.required = True
    return field


def _bounds(at_least: float | None, at_most: float | None) -> dict[str, Any]:
    bounds = {"minimum": at_least, "maximum": at_most}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def load_fields(
    fields: Mapping[str, ma.fields.Field], raw: Any, *, ignore: Sequence[str] = (), **context: Any
) -> dict[str, Any]:
    """Check ``raw`` against the fields and return the parsed values.

    ``context`` is passed to each field. Raises marshmallow.ValidationError with the messages of all fields at
    once. The loop replaces ``Schema.load``, which takes a hundred times as long on a spec of thousands of
    similar parts.
    """
    if not isinstance(raw, Mapping):
        raise ma.ValidationError({"_schema": ["Invalid input type."]})
    values: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for name, field in fields.items():
        try:
            values[name] = _load_value(field, raw.get(name, ma.missing), context)
        except ma.ValidationError as error:
            errors[name] = error.messages
    for name in raw:
        if name not in fields and name not in ignore:
            errors[str(name)] = ["Unknown field."]
    if errors:
        raise ma.ValidationError(errors)
    return values


def _load_value(field: ma.fields.Field, value: Any, context: Mapping[str, Any]) -> Any:
    limited = getattr(context.get("reading"), "parts", None) is not None
    if limited and isinstance(value, list | tuple | Mapping) and len(value) > MOST_ENTRIES:
        raise ma.ValidationError(f"Longer than maximum length {MOST_ENTRIES}.")
    loaded = field.deserialize(value, None, None, **context)
    settle = getattr(field, "settle", None)
    return settle(loaded) if settle is not None and loaded is not None else loaded


def canonical_value(field: ma.fields.Field, value: Any) -> Any:
    """Return the field's value as JSON in its canonical form."""
    if value is None:
        return None
    canonical = getattr(field, "canonical", None)
    if canonical is not None:
        return canonical(value)
    if isinstance(value, tuple):
        return list(value)
    return value


def canonical_json(document: Any) -> str:
    """Return the canonical text of a value: keys sorted, no spaces, no NaN."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
