"""Check the form of requests: the envelope, and the parameters of each action."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import marshmallow as ma

from flowmachine.spec.places import UNITS

#: Maximum nesting of lists and objects in a request: more than any spec of permitted depth needs, and far
#: below the limit of recursive code.
DEEPEST_MESSAGE = 250

#: Longest time in seconds that a poll may wait for a change.
LONGEST_WAIT = 30.0

Problems = dict[str, list[str]]

_NO_TEXT = "Not a valid string."


def _text(**options: Any) -> ma.fields.String:
    """Declare a required text; null is a wrong type as any other."""
    return ma.fields.String(required=True, error_messages={"null": _NO_TEXT}, **options)


class Wait(ma.fields.Field):
    """Declare the seconds that a poll asks to wait."""

    default_error_messages = {  # noqa: RUF012 - marshmallow reads it from the class
        "null": f"Must be a number of seconds from 0 to {LONGEST_WAIT:g}.",
        "wrong": f"Must be a number of seconds from 0 to {LONGEST_WAIT:g}.",
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_WAIT:
            raise self.make_error("wrong")
        return float(value)


class Day(ma.fields.String):
    """Declare a day as an ISO date."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ma.ValidationError("Not a valid date.") from None


def _texts(*names: str) -> ma.Schema:
    return ma.Schema.from_dict({name: _text() for name in names})()


class Poll(ma.Schema):
    """The parameters of ``poll_query``."""

    query_id = _text()
    wait = Wait()


class Geography(ma.Schema):
    """The values of ``get_geography``."""

    aggregation_unit = _text(validate=ma.validate.OneOf(UNITS, error="Must be one of: {choices}."))


class Checks(ma.Schema):
    """The values of ``get_qa_checks``."""

    cdr_type = _text()
    check_type = _text()
    start_date = Day(required=True)
    end_date = Day(required=True)


#: The parameters of each action; None for those that take a spec, whose kind checks it.
ACTIONS: dict[str, ma.Schema | None] = {
    "authorise": None,
    "cancel_query": _texts("query_id"),
    "explain_query": None,
    "get_aggregation_unit": None,
    "get_available_dates": _texts(),
    "get_available_queries": _texts(),
    "get_geo_sql_for_query_result": _texts("query_id"),
    "get_geography": _texts("aggregation_unit"),
    "get_loads": _texts(),
    "get_qa_checks": _texts("cdr_type", "start_date", "end_date", "check_type"),
    "get_query_kind": _texts("query_id"),
    "get_query_params": _texts("query_id"),
    "get_query_schemas": _texts(),
    "get_sql_for_query_result": _texts("query_id"),
    "health": _texts(),
    "list_qa_checks": _texts(),
    "ping": _texts(),
    "poll_query": Poll(),
    "run_query": None,
}

#: Allowed values of parameters with their own messages.
VALUES: dict[str, ma.Schema] = {"get_geography": Geography(), "get_qa_checks": Checks()}

#: ``authorise`` takes a spec or this.
NAMED_QUERY = _texts("query_id")


class Envelope(ma.Schema):
    """The outer form of each request."""

    action = _text(validate=ma.validate.OneOf(sorted(ACTIONS), error="Must be one of: {choices}."))
    request_id = _text()
    params = ma.fields.Dict(allow_none=True)
    user = ma.fields.String(allow_none=True)


_ENVELOPE = Envelope()


def envelope_problems(request: Any) -> Problems:
    """Return what is wrong with a parsed message, by key."""
    if isinstance(request, dict) and (problem := problem_within(request)):
        return {"_schema": [problem]}
    return _ENVELOPE.validate(request)


def params_problems(schema: ma.Schema, params: Mapping[str, Any]) -> Problems:
    """Return what is wrong with an action's parameters, by name."""
    return schema.validate(params)


def longest_wait(value: Any) -> float:
    """Return the seconds that a poll may wait; raises ValidationError."""
    return Wait().deserialize(value)


def problem_within(value: Any) -> str | None:
    """Return what no action accepts in a parsed message, or None.

    The walk goes level by level, because nesting itself may be the problem.
    """
    level = [value]
    depth = 0
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if "\0" in item or any("\ud800" <= character <= "\udfff" for character in item):
                    return "A text contains a null character or half a surrogate pair; no such text is taken."
            elif isinstance(item, float):
                if not math.isfinite(item):
                    return "A number is infinite, too large or none; no such number is taken."
            elif isinstance(item, dict | list):
                if depth == DEEPEST_MESSAGE:
                    return f"Lists and objects are nested more than {DEEPEST_MESSAGE} deep."
                below += [*item.keys(), *item.values()] if isinstance(item, dict) else item
        level, depth = below, depth + 1
    return None
