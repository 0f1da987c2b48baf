"""Put what is wrong with a description into words."""

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

_LONGEST_SHOWN = 60


def faults_of(error: ValidationError, kind: Any, whole: str) -> str:
    """Return every wrong key of a description, its value and what is allowed.

    ``whole`` stands for faults of no key.
    """
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or whole}: {_told(kind, fault)}"
        for fault in error.errors(include_url=False)
    )


def _told(kind: Any, fault: Any) -> str:
    told = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return f"no such key; allowed: {', '.join(_keys_beside(kind, fault['loc']))}"
    if fault["type"] in ("model_type", "dict_type", "model_attributes_type"):
        told = "must be keys with their values"
    # Words of our own name the value themselves.
    if fault["type"] not in ("value_error", "missing") and isinstance(fault["input"], str | int | float):
        return f"{told}, not {str(fault['input'])[:_LONGEST_SHOWN]!r}"
    return told


def _keys_beside(kind: Any, place: Sequence[int | str]) -> list[str]:
    """Return the keys that are allowed where a key is."""
    model = _model_in(kind)
    for part in place[:-1]:
        # Other parts of the place are keys and numbers in dictionaries and lists.
        for name, field in model.model_fields.items() if model else ():
            if part in (name, field.alias):
                model = _model_in(field.annotation)
    fields = model.model_fields.items() if model else ()
    return [field.alias or name for name, field in fields if not field.exclude]


def _model_in(kind: Any) -> type[BaseModel] | None:
    """Return the description that an annotation is, or is made of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((model for model in map(_model_in, get_args(kind)) if model), None)
