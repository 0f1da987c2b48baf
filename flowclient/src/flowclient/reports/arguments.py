"""Hold what a definition gives to a notebook: a typed value with its bounds."""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

import flowclient
from flowclient.connection import Connection

Number = int | float
#: What a value of each type is in the file.
_TYPES: dict[str, tuple[type, ...]] = {
    "date": (datetime.date,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "text": (str,),
    "unit": (str,),
    "areas": (list,),
    "event_types": (list,),
}
_BOUNDED = ("date", "integer", "number")


class Strict(BaseModel):
    """Refuse unknown keys and other types than those named."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Argument(Strict):
    """Hold one argument of a notebook.

    The value has the type and lies within the bounds or choices. ``areas`` are codes of areas at ``unit``, ``event_types`` names of types, and a ``unit`` an aggregation unit; the
    server says which there are.
    """

    type: Literal["date", "integer", "number", "boolean", "text", "unit", "areas", "event_types"]
    value: Any
    minimum: datetime.date | Number | None = None
    maximum: datetime.date | Number | None = None
    choices: tuple[Any, ...] | None = None
    unit: str | None = None

    @field_validator("choices", mode="before")
    @classmethod
    def _tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _within(self) -> Argument:
        _demand_type(self.type, self.value, "value")
        for name in ("minimum", "maximum"):
            limit = getattr(self, name)
            if limit is not None:
                if self.type not in _BOUNDED:
                    raise ValueError(f"'{name}' goes with {', '.join(_BOUNDED)} alone")
                _demand_type(self.type, limit, name)
        if self.minimum is not None and self.value < self.minimum:
            raise ValueError(f"value must be at least {self.minimum}")
        if self.maximum is not None and self.value > self.maximum:
            raise ValueError(f"value must be at most {self.maximum}")
        if self.choices is not None and self.value not in self.choices:
            raise ValueError(f"value must be one of {', '.join(map(str, self.choices))}")
        if (self.type == "areas") != (self.unit is not None):
            raise ValueError("'unit' goes with areas, which need it")
        return self

    @property
    def written(self) -> Any:
        """Return the value as the notebook gets it; a date is ISO text."""
        return self.value.isoformat() if isinstance(self.value, datetime.date) else self.value

    def unknown(self, connection: Connection) -> list[str]:
        """Return the parts of the value that the server does not know."""
        if self.type == "unit":
            known = set(flowclient.get_aggregation_units(connection=connection))
            return [self.value] if self.value not in known else []
        if self.type == "event_types":
            known = set(flowclient.get_available_dates(connection=connection))
        elif self.type == "areas":
            assert self.unit is not None
            geography = flowclient.get_geography(connection=connection, aggregation_unit=self.unit)
            known = {feature["properties"]["pcod"] for feature in geography["features"]}
        else:
            return []
        return [one for one in self.value if one not in known]


def _demand_type(type_: str, value: Any, name: str) -> None:
    whole = isinstance(value, _TYPES[type_]) and (isinstance(value, bool) == (type_ == "boolean"))
    if type_ in ("areas", "event_types"):
        whole = whole and bool(value) and all(isinstance(one, str) for one in value)
    if not whole or isinstance(value, datetime.datetime):
        raise ValueError(f"{name} must be {_called(type_)}")


def _called(type_: str) -> str:
    called = {
        "integer": "an integer",
        "areas": "a list of codes of areas",
        "event_types": "a list of event types",
    }
    return called.get(type_, f"a {type_}")
